from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.lake import runs
from recsys.lake.maintenance import (
    delete_before,
    delete_superseded_runs,
    optimize,
    pinned_versions,
    set_properties,
    vacuum,
    vacuuming,
)
from recsys.lake.store import Lake
from tests.feature_rows import rows_of

DAY = date(2017, 12, 18)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, str(tmp_path / "lake"))


def write_users(lake: Lake, *users: str) -> None:
    rows = [{c.USER_ID: user, c.USER_IDX: number} for number, user in enumerate(users)]
    lake.overwrite(tables.USER_IDS, rows_of(lake.spark, tables.USER_IDS, rows))


def users(lake: Lake, version: int | None = None) -> list[str]:
    return sorted(row[c.USER_ID] for row in lake.read(tables.USER_IDS, version).collect())


def write_lists(lake: Lake, day: date, scene: str = "home") -> None:
    rows = [{c.RUN_DATE: day, c.SCENE: scene, c.USER_ID: user, c.RANK: 1, c.ITEM_ID: "a"} for user in "vu"]
    frame = rows_of(lake.spark, tables.TOP_N, rows).repartition(2, c.USER_ID)
    lake.overwrite(tables.TOP_N, frame, f"run_date = DATE'{day}' AND scene = '{scene}'")


def test_vacuum_deletes_what_no_pinned_version_needs(lake: Lake) -> None:
    for user in "abc":
        write_users(lake, user)
    with vacuuming(lake):
        vacuum(lake, tables.USER_IDS, hours=0.0, pinned=[1, 2], now=datetime.now(tz=UTC))
        assert (users(lake), users(lake, 1)) == (["c"], ["b"])
        vacuum(lake, tables.USER_IDS, hours=0.0, pinned=[2], now=datetime.now(tz=UTC))
    assert users(lake) == ["c"]
    with pytest.raises(Exception, match=r"FILE_NOT_EXIST|does not exist"):
        users(lake, 1)


def test_files_are_kept_since_the_oldest_pinned_version_was_replaced(lake: Lake) -> None:
    for user in "abc":
        write_users(lake, user)
    replaced = lake.lost_ms(tables.USER_IDS, 0)
    assert replaced is not None
    later = datetime.fromtimestamp(replaced / 1000 + 300 * 3600, tz=UTC)
    with vacuuming(lake):
        assert vacuum(lake, tables.USER_IDS, hours=168.0, pinned=[0, 1], now=later) == pytest.approx(301.0)
        assert vacuum(lake, tables.USER_IDS, hours=168.0, pinned=[2, 9], now=later) == 168.0
        assert vacuum(lake, tables.USER_IDS, hours=400.0, pinned=[0], now=later) == 400.0


def test_pins_are_the_versions_of_runs_that_ended_since_then_and_the_last_export(lake: Lake) -> None:
    runs.record(lake, "clean_logs", None, "r1", 1.0, {"ids.users": 3, "clean.events": 1}, {})
    runs.record(lake, "score", DAY, "r2", 1.0, {"ids.users": 4}, {})
    exports = [{c.EXPORT_NUMBER: number, c.UNTIL_VERSION: 10 * number} for number in (1, 2)]
    lake.overwrite(tables.EXPORTS, rows_of(lake.spark, tables.EXPORTS, exports))
    assert pinned_versions(lake, datetime(2020, 1, 1)) == {
        "ids.users": {3, 4}, "clean.events": {1}, "recs.top_n": {20},
    }  # fmt: skip
    assert pinned_versions(lake, datetime(2100, 1, 1)) == {"recs.top_n": {20}}


def test_both_runs_of_a_day_are_pinned_until_the_first_is_past_keeping(lake: Lake) -> None:
    for number, run_id in enumerate(("home", "cart")):
        runs.record(lake, "score", DAY, run_id, 1.0, {"ids.users": number}, {})
    delete_superseded_runs(lake, datetime(2020, 1, 1))
    assert pinned_versions(lake, datetime(2020, 1, 1)) == {"ids.users": {0, 1}}
    assert lake.version(tables.RUNS) == 1, "nothing to delete, no commit"
    delete_superseded_runs(lake, datetime(2100, 1, 1))
    assert [row[c.RUN_ID] for row in lake.read(tables.RUNS).collect()] == ["cart"]


def test_old_lists_go_and_the_rest_stays(lake: Lake) -> None:
    old, kept = date(2017, 10, 1), date(2017, 10, 2)
    for day in (old, kept, DAY):
        write_lists(lake, day)
    delete_before(lake, tables.TOP_N, kept)
    assert {row[c.RUN_DATE] for row in lake.read(tables.TOP_N).collect()} == {kept, DAY}
    version = lake.version(tables.TOP_N)
    delete_before(lake, tables.TOP_N, kept)
    assert lake.version(tables.TOP_N) == version, "nothing to delete, no commit"


def test_optimize_joins_files_and_what_was_made_of_the_table_stands(lake: Lake) -> None:
    write_lists(lake, DAY)
    assert lake.read(tables.TOP_N).rdd.getNumPartitions() >= 1
    before, rows = len(lake.read(tables.TOP_N).inputFiles()), lake.read(tables.TOP_N).collect()
    optimize(lake, tables.TOP_N)
    set_properties(lake, tables.TOP_N, 30)
    assert (before, len(lake.read(tables.TOP_N).inputFiles())) == (2, 1)
    assert sorted(lake.read(tables.TOP_N).collect()) == sorted(rows)
    assert lake.version(tables.TOP_N) == 2
    assert lake.is_same(tables.TOP_N, 0)
    set_properties(lake, tables.TOP_N, 30)
    assert lake.version(tables.TOP_N) == 2, "properties that are there make no commit"


@pytest.mark.long
def test_lists_of_all_days_since_the_last_time_are_sorted_so_that_a_user_is_found_in_few_files(lake: Lake) -> None:
    def write(day: date, scene: str) -> None:
        """Each file has rows of all users, so that no range of users tells one from another."""
        rows = [
            {c.RUN_DATE: day, c.SCENE: scene, c.USER_ID: user, c.RANK: rank, c.ITEM_ID: f"i{rank}"}
            for user in "uvwx"
            for rank in range(8)
        ]
        frame = rows_of(lake.spark, tables.TOP_N, rows).repartition(3, c.RANK)
        lake.overwrite(tables.TOP_N, frame, f"run_date = DATE'{day}' AND scene = '{scene}'")

    def files_of_a_user() -> int:
        return len(lake.read(tables.TOP_N).where(F.col(c.USER_ID) == "v").inputFiles())

    days = [date(2017, 12, day) for day in (16, 17, 18)]
    for day in days[:2]:
        write(day, "home")
    before = files_of_a_user()
    assert before >= 4
    optimize(lake, tables.TOP_N)
    assert files_of_a_user() == 2, "one a day"
    version = lake.version(tables.TOP_N)
    optimize(lake, tables.TOP_N)
    assert lake.version(tables.TOP_N) == version, "all is sorted, no commit"
    write(days[1], "cart")
    write(days[2], "home")
    assert lake.days_as_written(tables.TOP_N) == {"2017-12-17", "2017-12-18"}
    optimize(lake, tables.TOP_N)
    assert files_of_a_user() == 4
    assert lake.days_as_written(tables.TOP_N) == set()


def test_a_note_outlives_upkeep(lake: Lake) -> None:
    lake.overwrite(tables.USER_IDS, rows_of(lake.spark, tables.USER_IDS, [{c.USER_ID: "a"}]), note="made of b")
    set_properties(lake, tables.USER_IDS, 30)
    assert (lake.version(tables.USER_IDS), lake.note(tables.USER_IDS)) == (1, "made of b")


def test_the_rows_of_a_run_date_are_the_same_while_only_other_days_change(lake: Lake) -> None:
    write_lists(lake, DAY)
    write_lists(lake, date(2017, 12, 19))
    of_day = {c.RUN_DATE: [DAY.isoformat()]}
    assert lake.is_same(tables.TOP_N, 0, of_day)
    assert not lake.is_same(tables.TOP_N, 0)
    write_lists(lake, DAY, scene="cart")
    assert not lake.is_same(tables.TOP_N, 0, of_day)
    assert lake.is_same(tables.TOP_N, 0, {**of_day, c.SCENE: ["home"]})
    assert not lake.is_same(tables.TOP_N, 0, {**of_day, c.SCENE: ["home", "cart"]})
    assert lake.is_same(tables.TOP_N, 2, of_day)
    assert not lake.is_same(tables.TOP_N, 3, of_day), "a version that is not there yet"
    assert not lake.is_same(tables.TOP_N, None)
    assert lake.is_same(tables.USER_IDS, None), "no table then, none now"
