"""A small log in the shape of Retailrocket's, by its own mapping, through the jobs up to build_examples."""

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import build_examples, build_features, clean_logs
from jobs._window import test_window as last_window
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.lake.example_files import newest_example_files
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage

# Three jobs on a log of 35 days.
pytestmark = pytest.mark.long

FIRST_DAY, NUM_DAYS = date(2015, 5, 4), 35
RUN_DATE = FIRST_DAY + timedelta(days=NUM_DAYS)
TRAIN, VALIDATION, TEST = (RUN_DATE - timedelta(days=days) for days in (21, 14, 7))
SETTINGS = (
    "source.name=retailrocket", "examples.label_days=7", "examples.gap_days=0", "examples.train_windows=1",
    "examples.row_groups=2",
)  # fmt: skip
ANN_LOOKS = [
    ("view", "77", TRAIN - timedelta(days=1), 2),
    ("cart", "77", TRAIN - timedelta(days=1), 1),
    ("cart", "77", TRAIN + timedelta(days=1), 1),
    ("view", "10", TRAIN + timedelta(days=2), 1),
    ("view", "77", VALIDATION - timedelta(days=1), 1),
    ("buy", "77", VALIDATION + timedelta(days=1), 1),
    ("view", "12", TEST + timedelta(days=1), 1),
]


def line(user: str, item: str, kind: str, day: date, hour: int = 12) -> str:
    at = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    return f"{user},{item},{kind},{int(at.timestamp())}"


def write_log(folder: Path) -> None:
    """Four users look each in turn, and buy what they look at on every other day; Ann looks more and buys once."""
    lines = ["user_id,item_id,event_type,timestamp", line("1", "10", "zoom", FIRST_DAY)]
    for number in range(NUM_DAYS):
        kinds = ("view", "cart", "buy") if number % 2 else ("view",)
        day = FIRST_DAY + timedelta(days=number)
        lines += [line(str(number % 4), str(10 + number % 5), kind, day) for kind in kinds]
    lines += [line("ann", item, kind, day, hour) for kind, item, day, times in ANN_LOOKS for hour in range(times)]
    folder.mkdir()
    with gzip.open(folder / "events.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    with gzip.open(folder / "test_buy.csv.gz", "wt") as file:
        file.write("user_id,item_id\nstranger,10\n")


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """After the three jobs."""
    folder = tmp_path_factory.mktemp("views")
    write_log(folder / "log")
    config = load_config([], [*SETTINGS, f"source.input={folder / 'log'}"])
    lake = Lake(spark, str(folder / "lake"))
    run = Run(spark=spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=None)
    cleaned = run_stage(clean_logs.STAGE, run).figures
    assert (cleaned["rows_quarantined"], cleaned["items"], cleaned["users"]) == (1, 6, 5)
    dated = replace(run, run_date=RUN_DATE)
    run_stage(build_features.STAGE, dated)
    run_stage(build_examples.STAGE, dated)
    return dated


def of(run: Run, table: tables.Table, day: date, **key: str) -> dict[str, Any]:
    rows = run.lake.read(table).where(F.col(c.AS_OF_DATE) == F.lit(day))
    for name, value in key.items():
        rows = rows.where(F.col(name) == value)
    (row,) = rows.collect()
    return row.asDict()


def test_features_know_views_and_carts_of_the_days_before_their_cut_off(run: Run) -> None:
    names = (
        c.USER_ITEM_VIEWS_28D, c.USER_ITEM_CARTS_28D, c.USER_ITEM_VIEW_RECENCY_DAYS, c.USER_ITEM_CART_RECENCY_DAYS,
        c.USER_ITEM_PURCHASES_365D,
    )  # fmt: skip
    pairs = {day: of(run, tables.USER_ITEM_FEATURES, day, user_id="ann", item_id="77") for day in (TRAIN, VALIDATION)}
    assert tuple(pairs[TRAIN][name] for name in names) == (2, 1, 1, 1, 0)
    assert tuple(pairs[VALIDATION][name] for name in names) == (3, 2, 1, 6, 0)
    item = of(run, tables.ITEM_FEATURES, RUN_DATE, item_id="77")
    assert (item[c.ITEM_CART_RATE_28D], item[c.ITEM_PURCHASE_RATE_28D]) == (2 / 3, 1 / 3)
    assert item[c.ITEM_PRICE_CENTS_91D] is None
    ann = of(run, tables.USER_FEATURES, RUN_DATE, user_id="ann")
    assert (ann[c.USER_VIEWS_28D], ann[c.USER_CARTS_28D], ann[c.USER_PURCHASES_28D]) == (5, 2, 1)
    assert (ann[c.USER_VIEW_RECENCY_DAYS], ann[c.USER_RECENCY_DAYS]) == (6, 13)


def test_labels_are_graded_and_what_was_viewed_is_a_candidate(run: Run) -> None:
    rows = run.lake.read(tables.EXAMPLES).where((F.col(c.USER_ID) == "ann") & (F.col(c.LABEL) > 0)).collect()
    labels = {(row[c.AS_OF_DATE], row[c.ITEM_ID]): round(row[c.LABEL], 3) for row in rows}
    assert labels == {(TRAIN, "77"): 0.5, (TRAIN, "10"): 0.2, (VALIDATION, "77"): 1.0}
    (bought,) = (row for row in rows if row[c.LABEL] == 1.0)
    assert (bought[c.USER_ITEM_CARTS_28D], bought[c.USER_ITEM_VIEW_RECENCY_DAYS]) == (2.0, 1.0)
    inputs = newest_example_files(run.lake, RUN_DATE).manifest.inputs
    assert inputs.left_out == (c.CONTEXT_MAIN_DEVICE_SHARE_91D,)
    assert {n.name for n in inputs.numeric if n.std > 0} >= {c.USER_VIEWS_7D, c.ITEM_CART_RATE_28D, c.ITEM_VIEWS_28D}


def test_the_truth_of_an_evaluation_is_what_was_bought(run: Run) -> None:
    users = {row[c.USER_ID] for row in last_window(run).truth.select(c.USER_ID).distinct().collect()}
    # The days with odd numbers of the last week: 29, 31 and 33.
    assert users == {"1", "3"}
