from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.purchases import item_days, visits
from recsys.lake.day_tables import bring_up_to_date
from recsys.lake.store import Lake
from tests.feature_rows import rows_of
from tests.purchase_rows import Row, purchase

MAKES = {tables.ITEM_DAYS: item_days, tables.VISITS: visits}
FIRST, SECOND, THIRD, FOURTH = (datetime(2017, 12, day, 9, 15) for day in (4, 5, 6, 7))


def from_file(file: str, *rows: Row) -> list[Row]:
    return [{**row, c.SOURCE_FILE: file, c.SOURCE_ROW: number} for number, row in enumerate(rows)]


def take(lake: Lake, rows: Sequence[Row], where: str | None = None) -> None:
    lake.overwrite(tables.EVENTS, rows_of(lake.spark, tables.EVENTS, rows), where)


def update(lake: Lake, code: str = "v1") -> list[set[str] | None]:
    """The days that were made again, of both tables."""
    return [bring_up_to_date(lake, table, source=tables.EVENTS, make=make, code=code) for table, make in MAKES.items()]


def contents(lake: Lake) -> list[list[str]]:
    return [sorted(map(str, lake.read(table).collect())) for table in MAKES]


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    """Three days from two files, with sums of tenths that no double holds exactly."""
    lake = Lake(spark, str(tmp_path / "lake"))
    first = from_file("a", *(purchase(user, "milk", FIRST, quantity=0.1, amount_cents=7) for user in "uuuv"))
    second = from_file("b", purchase("u", "milk", SECOND, quantity=0.7), purchase("u", "bread", THIRD, basket_id="b"))
    take(lake, [*first, *second])
    assert update(lake) == [None, None]
    return lake


def test_days_that_changed_are_made_again_and_the_tables_are_those_of_all_days(lake: Lake) -> None:
    late = purchase("u", "milk", FIRST, quantity=0.2, amount_cents=5)
    take(lake, from_file("c", late, purchase("w", "milk", FOURTH)), "source_file = 'c'")
    assert update(lake) == [{"2017-12-04", "2017-12-07"}] * 2
    take(lake, from_file("b", purchase("u", "milk", SECOND, quantity=0.4)), "source_file = 'b'")
    assert update(lake) == [{"2017-12-05", "2017-12-06"}] * 2
    grown = contents(lake)
    assert [len(rows) for rows in grown] == [4, 4], "of the third day nothing is left"
    assert update(lake, code="v2") == [None, None], "other code makes all days again"
    assert contents(lake) == grown


def test_nothing_is_written_where_nothing_changed(lake: Lake) -> None:
    assert update(lake) == [set(), set()]
    assert lake.versions(MAKES) == {table.name: 0 for table in MAKES}


@pytest.mark.long
def test_a_table_that_was_taken_back_still_knows_what_it_was_made_of(lake: Lake) -> None:
    before = contents(lake)
    take(lake, from_file("c", purchase("w", "milk", FOURTH)), "source_file = 'c'")
    update(lake)
    for table in MAKES:
        lake.restore(table, 0)
    assert contents(lake) == before
    assert update(lake) == [{"2017-12-07"}] * 2


def test_all_days_are_made_where_the_source_was_made_again_or_its_commits_are_gone(lake: Lake, tmp_path: Path) -> None:
    take(lake, from_file("c", purchase("w", "milk", FOURTH)), "source_file = 'c'")
    commit = tmp_path / "lake" / "clean" / "events" / "_delta_log" / f"{1:020d}.json"
    assert lake.changed_partitions(tables.EVENTS, 0, 1) == {"2017-12-07"}
    kept = commit.read_text()
    commit.write_text("")
    assert lake.changed_partitions(tables.EVENTS, 0, 1) is None
    commit.write_text(kept)
    assert lake.changed_partitions(tables.EVENTS, 2, 1) is None
    lake.drop(tables.EVENTS)
    take(lake, from_file("c", purchase("w", "milk", FOURTH)))
    assert update(lake) == [None, None]
    assert [len(rows) for rows in contents(lake)] == [1, 1]
