import logging
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import build_features
from jobs._stale_features import drop_stale_features
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.features.purchases import item_days
from recsys.lake.day_tables import bring_up_to_date
from recsys.lake.read_features import FEATURE_TABLES
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from recsys.tables import Table
from tests.feature_rows import FROM_THE_BEGINNING, rows_of, write_rows
from tests.purchase_rows import Row, purchase

RUN_DATE = date(2017, 12, 18)
LATE = datetime(2017, 12, 4, 9)
# The day itself is not seen, the 365 days after it are.
UNTOUCHED, SAW = [date(2017, 12, 4), date(2018, 12, 5)], [date(2017, 12, 5), date(2018, 12, 4)]


def written(file: str, *events: Row) -> list[Row]:
    return [{**event, c.SOURCE_FILE: file, c.SOURCE_ROW: number} for number, event in enumerate(events)]


def take(lake: Lake, file: str, *events: Row) -> None:
    lake.overwrite(tables.EVENTS, rows_of(lake.spark, tables.EVENTS, written(file, *events)), f"source_file = '{file}'")


def cutoffs_in(lake: Lake, table: Table) -> list[date]:
    return sorted({row[c.AS_OF_DATE] for row in lake.read(table).collect()})


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    """Of one purchase a day from 30 October to 17 December."""
    lake = Lake(spark, str(tmp_path / "lake"))
    first = datetime(2017, 10, 30, 12)
    log = [purchase(f"u{day % 2}", "milk", first + timedelta(days=day)) for day in range(49)]
    write_rows(lake, tables.EVENTS, written("first", *log))
    settings = ["examples.label_days=7", "examples.train_windows=1", "examples.gap_days=0"]
    return Run(
        spark=spark, lake=lake, config=load_config([], settings), conf_folder=CONF_FOLDER, run_date=RUN_DATE
    )  # fmt: skip


def test_rows_of_other_cut_offs_that_saw_a_late_day_go_and_no_others(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    lake = run.lake
    bring_up_to_date(lake, tables.ITEM_DAYS, source=tables.EVENTS, make=item_days, code="v1")
    users = [{c.USER_ID: "u0", c.AS_OF_DATE: day} for day in (*UNTOUCHED, *SAW, RUN_DATE)]
    write_rows(lake, tables.USER_FEATURES, users)
    write_rows(lake, tables.SEQUENCE_FEATURES, users)
    assert drop_stale_features(run, [RUN_DATE]) == [], "no day changed"
    assert lake.version(tables.USER_FEATURES) == 0
    take(lake, "late", purchase("u0", "milk", LATE))
    with caplog.at_level(logging.INFO):
        assert drop_stale_features(run, [RUN_DATE]) == SAW
    assert "2017-12-05, 2018-12-04. Run build_features for their run dates again" in caplog.text
    for table in (tables.USER_FEATURES, tables.SEQUENCE_FEATURES):
        assert cutoffs_in(lake, table) == sorted([*UNTOUCHED, RUN_DATE])
    lake.drop(tables.ITEM_DAYS)
    assert drop_stale_features(run, [RUN_DATE]) == UNTOUCHED, "nothing tells which days changed"


@pytest.mark.long
def test_after_a_late_row_an_earlier_run_date_is_asked_for_again_and_then_is_that_of_a_new_lake(
    run: Run, tmp_path: Path
) -> None:
    items = [{c.ITEM_ID: "milk", c.CATEGORY: "dairy", **FROM_THE_BEGINNING}]
    lakes = [run.lake, Lake(run.spark, str(tmp_path / "new"))]
    for lake in lakes:
        write_rows(lake, tables.ITEM_HISTORY, items)
        for table in (tables.ITEM_VALUES, tables.PROMOTIONS):
            write_rows(lake, table, [])
    earlier = replace(run, run_date=date(2017, 12, 11))
    run_stage(build_features.STAGE, earlier)
    take(run.lake, "late", purchase("u0", "milk", LATE))
    run_stage(build_features.STAGE, replace(run, run_date=date(2017, 12, 17)))
    assert date(2017, 12, 11) not in cutoffs_in(run.lake, tables.USER_FEATURES)
    assert date(2017, 12, 4) in cutoffs_in(run.lake, tables.USER_FEATURES)
    again = run_stage(build_features.STAGE, earlier)
    lakes[1].overwrite(tables.EVENTS, run.lake.read(tables.EVENTS))
    assert run_stage(build_features.STAGE, replace(earlier, lake=lakes[1])).figures == again.figures
    for table in FEATURE_TABLES:
        found, expected = (lake.read(table).where(f"{c.AS_OF_DATE} <= DATE'2017-12-11'").collect() for lake in lakes)
        assert set(expected) <= set(found)
