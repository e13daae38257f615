from datetime import date
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.scoring.export import changes, key_values, records
from tests.feature_rows import rows_of

DAY = date(2017, 12, 18)


def lists(spark: SparkSession, day: date, **items: str) -> DataFrame:
    """By user, the items in the order of the list; written last first."""
    rows: list[dict[str, Any]] = [
        {
            c.RUN_DATE: day, c.SCENE: "home", c.USER_ID: user, c.RANK: rank, c.ITEM_ID: item, c.SCORE: 1 / rank,
            c.MODEL_NAME: "mlp", c.MODEL_VERSION: 3,
        }
        for user, row in items.items()
        for rank, item in reversed(list(enumerate(row, start=1)))
    ]  # fmt: skip
    return rows_of(spark, tables.TOP_N, rows)


def changed(frame: DataFrame) -> dict[str, tuple[str, list[str] | None]]:
    rows = frame.select(c.USER_ID, c.CHANGE, f"{c.ITEMS}.{c.ITEM_ID}").collect()
    return {user: (change, items) for user, change, items in rows}


def test_only_lists_that_differ_and_those_that_are_gone(spark: SparkSession) -> None:
    before = records(lists(spark, DAY, same="ab", turned="ab", shorter="ab", gone="c"))
    now = records(lists(spark, date(2017, 12, 19), same="ab", turned="ba", shorter="a", new="c"))
    assert changed(changes(now, before)) == {
        "turned": ("set", ["b", "a"]), "shorter": ("set", ["a"]), "new": ("set", ["c"]), "gone": ("gone", None),
    }  # fmt: skip
    assert set(changed(changes(now, None))) == {"same", "turned", "shorter", "new"}


def test_a_key_keeps_its_shard_and_one_that_is_gone_has_no_value(spark: SparkSession) -> None:
    before, now = records(lists(spark, DAY, u="ab", v="a")), records(lists(spark, DAY, u="b"))
    first = {row[c.KEY]: row for row in key_values(changes(before, None), 3).collect()}
    second = {row[c.KEY]: row for row in key_values(changes(now, before), 3).collect()}
    assert set(first) == set(second) == {"home/u", "home/v"}
    assert {key: row[c.SHARD] for key, row in first.items()} == {key: row[c.SHARD] for key, row in second.items()}
    assert second["home/v"][c.VALUE] is None
    value = (
        '{"run_date":"2017-12-18","model_name":"mlp","model_version":3,"items":[{"rank":1,"item_id":"b","score":1.0}]}'
    )
    assert second["home/u"][c.VALUE] == value
