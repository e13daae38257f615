from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.errors import DataQualityError
from recsys.scoring.scene_checks import require_not_emptied, require_sound_lists
from recsys.tables import Table
from tests.feature_rows import rows_of


def listed(user: str, *items: str, **other: Any) -> list[dict[str, Any]]:
    return [
        {c.USER_ID: user, c.RANK: rank, c.ITEM_ID: item, c.SCORE: 0.5, c.RULES: [], **other}
        for rank, item in enumerate(items, start=1)
    ]


def checked(spark: SparkSession, rows: list[dict[str, Any]], table: Table = tables.CART) -> int:
    return require_sound_lists(rows_of(spark, table, rows), table)


def test_sound_lists_are_counted(spark: SparkSession) -> None:
    assert checked(spark, listed("u", "a", "b") + listed("v", "b")) == 3
    assert checked(spark, []) == 0
    offers = [
        {c.USER_ID: "u", c.RANK: n, c.CAMPAIGN_ID: "k", c.OFFER_ID: f"o{n}", c.EXPECTED_GAIN: 0.1} for n in (1, 2)
    ]
    assert checked(spark, offers, tables.COUPONS) == 2
    places = [{c.LEVEL: "all", c.RANK: 1, c.ITEM_ID: "a", c.SCORE: 0.5, c.RULES: []}]
    assert checked(spark, places, tables.ANONYMOUS) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [*listed("v", "a"), *listed("u", "a", "b")[1:]],
            r"""recs.cart: {"user_id":"u"} has ranks that are not 1 to""",
        ),
        ([*listed("u", "a"), *listed("u", "b")], "ranks that are not 1 to their number"),
        (
            listed("u", "a", "b", "a"),
            r"""{"user_id":"u"} has an item more than once. No table of a scene was written""",
        ),
        (listed("u", "a", score=float("nan")), "a score that is no number"),
        (listed("u", "a", score=float("-inf")), "a score that is no number"),
        (listed("u", "a", score=None), "none where neither a rule nor a draw put the item"),
    ],
)
def test_a_list_that_is_none_is_named_with_its_fault(
    spark: SparkSession, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataQualityError, match=message):
        checked(spark, rows)


def test_what_a_rule_or_a_draw_put_needs_no_score(spark: SparkSession) -> None:
    assert checked(spark, listed("u", "a", score=None, rules=["top"])) == 1
    assert checked(spark, listed("u", "a", score=None, source="exploration"), tables.NEW_ITEMS) == 1
    with pytest.raises(DataQualityError, match="none where neither"):
        checked(spark, listed("u", "a", score=None, source="affinity"), tables.NEW_ITEMS)


def test_a_table_that_had_lists_keeps_some() -> None:
    require_not_emptied(tables.BUY_AGAIN, 0, had_rows=False)
    require_not_emptied(tables.BUY_AGAIN, 1, had_rows=True)
    with pytest.raises(DataQualityError, match=r"recs.buy_again would have no list, .* set scenes.allow_empty=true"):
        require_not_emptied(tables.BUY_AGAIN, 0, had_rows=True)
