from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, Stage, fingerprint, run_stage
from tests.feature_rows import write_rows

RUN_DATE = date(2017, 12, 18)


# A stage that copies ids.users to ids.items, standing free of the real ones.


def copy_ids(run: Run) -> Figures:
    users = run.lake.read(tables.USER_IDS)
    run.lake.overwrite(tables.ITEM_IDS, users.selectExpr("user_id AS item_id", "user_idx AS item_idx"))
    return {"rows": users.count()}


def fail_halfway(run: Run) -> Figures:
    copy_ids(run)
    raise InputError("half of it was written")


COPY = Stage(name="copy", reads=(tables.USER_IDS,), writes=(tables.ITEM_IDS,), settings=("examples",), run=copy_ids)


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    lake = Lake(spark, str(tmp_path / "lake"))
    write_users(lake, "a")
    return Run(spark=spark, lake=lake, config=load_config([]), conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def write_users(lake: Lake, *users: str) -> None:
    rows = [{c.USER_ID: user, c.USER_IDX: number} for number, user in enumerate(users)]
    write_rows(lake, tables.USER_IDS, rows)


def item_ids(run: Run) -> list[str]:
    return sorted(row[c.ITEM_ID] for row in run.lake.read(tables.ITEM_IDS).collect())


@pytest.mark.spark
def test_missing_tables_are_named_with_the_job_that_writes_them(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "empty"))
    run = Run(spark=spark, lake=lake, config=load_config([]), conf_folder=CONF_FOLDER, run_date=RUN_DATE)
    message = r"copy reads \['ids.users'\], which the lake .*empty does not have. Cure: run \['clean_logs'\] first"
    with pytest.raises(InputError, match=message):
        run_stage(COPY, run)


@pytest.mark.spark
def test_a_run_is_recorded_and_skipped_while_it_stands(run: Run) -> None:
    first = run_stage(COPY, run, is_skippable=True)
    assert (first.is_skipped, first.figures) == (False, {"rows": 1})
    recorded = run.lake.read(tables.RUNS).collect()
    assert [(row[c.STAGE], row[c.RUN_DATE], row[c.ROWS]) for row in recorded] == [("copy", RUN_DATE, 1)]
    assert dict(recorded[0][c.VERSIONS]) == {"ids.users": 0, "ids.items": 0}
    again = run_stage(COPY, run, is_skippable=True)
    assert (again.is_skipped, again.figures) == (True, {"rows": 1})
    assert run.lake.version(tables.ITEM_IDS) == 0


@pytest.mark.spark
def test_a_run_does_not_stand_once_its_input_or_its_own_table_changed(run: Run) -> None:
    run_stage(COPY, run)
    write_users(run.lake, "a", "b")
    assert run_stage(COPY, run, is_skippable=True).figures == {"rows": 2}
    run.lake.restore(tables.ITEM_IDS, 0)
    assert not run_stage(COPY, run, is_skippable=True).is_skipped
    assert item_ids(run) == ["a", "b"]


@pytest.mark.spark
def test_the_fingerprint_follows_settings_date_tables_and_what_lies_outside(run: Run) -> None:
    def changed(*settings: str) -> str:
        return fingerprint(COPY, replace(run, config=load_config([], settings)))

    first = fingerprint(COPY, run)
    assert len(first) == 16
    assert changed() == first
    assert changed("train.epochs=9") == first  # not a section that the stage depends on
    others = [
        changed("examples.label_days=9"),
        fingerprint(COPY, replace(run, run_date=date(2017, 12, 19))),
        fingerprint(replace(COPY, name="copy_2"), run),
        fingerprint(replace(COPY, inputs=lambda _: ["a file"]), run),
    ]
    write_users(run.lake, "a")
    others.append(fingerprint(COPY, run))  # the same rows, but another version
    assert len({first, *others}) == 6


@pytest.mark.spark
def test_a_stage_that_fails_leaves_its_tables_and_its_record_as_they_were(run: Run) -> None:
    run_stage(COPY, run)
    write_users(run.lake, "a", "b")
    with pytest.raises(InputError, match="half of it was written"):
        run_stage(replace(COPY, run=fail_halfway), run)
    assert item_ids(run) == ["a"]
    assert [row[c.ROWS] for row in run.lake.read(tables.RUNS).collect()] == [1]


@pytest.mark.spark
def test_a_first_run_that_fails_leaves_no_table(run: Run) -> None:
    with pytest.raises(InputError, match="half of it was written"):
        run_stage(replace(COPY, run=fail_halfway), run)
    assert not run.lake.exists(tables.ITEM_IDS)
    assert run.lake.exists(tables.USER_IDS)


@pytest.mark.spark
def test_a_stage_of_all_days_has_no_date_and_another_takes_the_day_after_the_last_event(run: Run) -> None:
    seen: list[date | None] = []

    def note_date(run: Run) -> Figures:
        seen.append(run.run_date)
        return {}

    events = [{c.EVENT_DATE: date(2017, 11, 30), c.SOURCE_FILE: "log", c.SOURCE_ROW: 1}]
    write_rows(run.lake, tables.EVENTS, events)
    stage = replace(COPY, run=note_date)
    run_stage(replace(stage, is_dated=False), run)
    run_stage(stage, replace(run, run_date=None))
    assert seen == [None, date(2017, 12, 1)]


@pytest.mark.spark
def test_a_run_stands_though_another_of_the_day_wrote_other_tables(run: Run) -> None:
    """Which tables a stage writes may depend on the settings."""
    other = replace(COPY, writes=lambda run: (tables.ITEM_IDS,) if run.config.score.top_n == 10 else ())
    other = replace(other, settings=("score",))
    run_stage(other, run)
    run_stage(replace(other, run=lambda _: {}), replace(run, config=load_config([], ["score.top_n=9"])))
    assert run_stage(other, run, is_skippable=True).is_skipped
    assert run.lake.read(tables.RUNS).count() == 2
