from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.generated_log import (
    HOT,
    OWN_TASTE_SHARE,
    TASTES,
    LogShape,
    Rows,
    event_table,
    events_of_days,
    happened,
    item_table,
    known_on,
    tastes,
    write_day,
)
from jobs.clean_logs import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import load_config
from recsys.lake.store import Lake
from recsys.stages import Run

CONF = Path(__file__).parents[2] / "benchmarks" / "conf"
SHAPE = LogShape(events=40_000, days=10)


def day(shape: LogShape, number: int) -> Rows:
    return happened(shape, number, np.arange(events_of_days(shape)[number]))


def test_as_many_events_happen_as_asked_for_and_more_of_them_at_weekends() -> None:
    counts = events_of_days(SHAPE)
    assert counts.sum() == 40_000
    assert SHAPE.day(0) == date(2023, 1, 1), "a Sunday"
    assert counts[6] == pytest.approx(1.5 * counts[5], rel=0.01)


def test_one_user_and_one_item_have_each_one_percent_of_the_events() -> None:
    days = [day(SHAPE, number) for number in range(SHAPE.days)]
    users = Counter(np.concatenate([rows.user for rows in days]).tolist())
    items = Counter(np.concatenate([rows.item for rows in days]).tolist())
    assert users[HOT] == pytest.approx(400, abs=SHAPE.days)
    assert items[HOT] == pytest.approx(400, abs=SHAPE.days)


def test_new_users_and_items_come_every_day_and_are_seen_on_it() -> None:
    few = LogShape(events=2_000, days=10)
    for number in range(1, few.days):
        rows = day(few, number)
        for total, seen in ((few.users, rows.user), (few.items, rows.item)):
            before, now = (known_on(total, few, which) for which in (number - 1, number))
            assert set(range(before, now)) <= set(seen.tolist())
            assert before < now
            assert seen.max() < now
    listed = sum(item_table(few, number).num_rows for number in range(few.days))
    assert listed == known_on(few.items, few, few.days - 1) == few.items


def test_users_keep_to_their_taste_until_it_drifts() -> None:
    rows = day(SHAPE, 3)
    is_drawn = rows.number % 100 >= 20
    share = np.mean(rows.item[is_drawn] % TASTES == tastes(SHAPE, rows.user[is_drawn], 3))
    assert share == pytest.approx(OWN_TASTE_SHARE + (1 - OWN_TASTE_SHARE) / TASTES, abs=0.05)
    users = np.arange(1000)
    assert np.mean(tastes(SHAPE, users, 0) == tastes(SHAPE, users, 30)) == pytest.approx(0.5, abs=0.05)
    assert (tastes(SHAPE, users, 60) == (tastes(SHAPE, users, 0) + 1) % TASTES).all()


def test_a_day_is_the_same_whenever_it_is_made_and_another_seed_gives_another() -> None:
    assert event_table(SHAPE, 5)[0].equals(event_table(SHAPE, 5)[0])
    assert not event_table(SHAPE, 5)[0].equals(event_table(LogShape(events=40_000, days=10, seed=8), 5)[0])


def test_late_rows_lie_in_files_of_later_days_and_none_is_lost() -> None:
    kept = sum(event_table(SHAPE, number)[1].rows_kept for number in range(SHAPE.days))
    bad = sum(sum(event_table(SHAPE, number)[1].reasons.values()) for number in range(SHAPE.days))
    assert kept + bad == 40_000
    lines = event_table(SHAPE, 9)[0]
    late = sum(not time.startswith(("2023-01-10", "31/12")) for time in lines["time"].to_pylist())
    # Of the last seven days, each has one in a hundred that is late, and all of them are here by now.
    assert late == pytest.approx(0.01 * events_of_days(SHAPE)[2:9].sum() * 4 / 7, rel=0.3)


@pytest.mark.spark
@pytest.mark.long
def test_cleaning_makes_of_it_what_the_generator_says(spark: SparkSession, tmp_path: Path) -> None:
    shape = LogShape(events=9_000, days=3)
    truths = {truth.file: truth for truth in (write_day(shape, tmp_path / "log", number) for number in range(3))}
    config = load_config([CONF / "generated.yaml"], [f"source.input={tmp_path / 'log'}"])
    lake = Lake(spark, str(tmp_path / "lake"))
    figures = STAGE.run(Run(spark=spark, lake=lake, config=config, conf_folder=CONF, run_date=None))
    counts = (c.ROWS_KEPT, c.ROWS_QUARANTINED, c.ROWS_DUPLICATE)
    of_events = lake.read(tables.QUALITY).where(f"{c.SOURCE_TABLE} = 'events'")
    found = of_events.groupBy(c.SOURCE_FILE).agg(*(F.sum(name) for name in counts)).collect()
    assert {file: tuple(of_file) for file, *of_file in found} == {
        file: (truth.rows_kept, sum(truth.reasons.values()), truth.rows_duplicate) for file, truth in truths.items()
    }
    reasons = sum((Counter(truth.reasons) for truth in truths.values()), Counter())
    assert len(reasons) == 8
    assert figures["reasons"] == {**reasons, "exact_duplicate": sum(t.rows_duplicate for t in truths.values())}
