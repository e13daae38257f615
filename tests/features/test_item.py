from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys import tables
from recsys.features.item import item_features
from recsys.features.purchases import item_days
from tests.feature_rows import rows_of, versions_of
from tests.purchase_rows import Row, purchase

AS_OF = date(2017, 12, 18)


def day_before(days: int) -> datetime:
    return datetime(2017, 12, 18, 12) - timedelta(days=days)


def features(spark: SparkSession, *rows: Row, **category_of: str | None) -> dict[str, dict[str, Any]]:
    items = versions_of(spark, *({"item_id": item, "category": category} for item, category in category_of.items()))
    return features_of(spark, items, *rows)


def features_of(spark: SparkSession, items: DataFrame, *rows: Row) -> dict[str, dict[str, Any]]:
    days = item_days(rows_of(spark, tables.EVENTS, rows))
    found = item_features(days, None, items, [AS_OF])
    assert tuple(found.columns) == tables.ITEM_FEATURES.column_names
    return {row["item_id"]: row.asDict() for row in found.collect()}


def test_price_lines_buyers_and_repeats(spark: SparkSession) -> None:
    milk = features(
        spark,
        purchase("u", "milk", day_before(1), quantity=2.0, amount_cents=500),
        purchase("u", "milk", day_before(1), quantity=1.0, amount_cents=100),  # the same day: no repeat
        purchase("v", "milk", day_before(8), quantity=0.5, amount_cents=100),
        purchase("v", "milk", day_before(40), quantity=0.5, amount_cents=100),  # a second day: repeat
        purchase("w", "milk", day_before(91), quantity=None, amount_cents=900),  # a line, but without a price
        purchase("w", "milk", day_before(92), quantity=1.0, amount_cents=900),  # before the window: no repeat
    )["milk"]
    assert milk["item_price_cents_91d"] == 800 / 4
    assert (milk["item_purchases_7d"], milk["item_purchases_28d"], milk["item_purchases_91d"]) == (2, 3, 5)
    assert (milk["item_buyers_28d"], milk["item_buyers_91d"]) == (2, 3)
    assert milk["item_repeat_rate_91d"] == pytest.approx(1 / 3)


def test_an_item_not_sold_lately_has_zeros_and_nulls(spark: SparkSession) -> None:
    found = features(
        spark, purchase("u", "old", day_before(365)), purchase("u", "gone", day_before(366)), old="dairy", never="dairy"
    )
    assert set(found) == {"old"}
    assert {name: value for name, value in found["old"].items() if value is not None} == {
        "item_id": "old",
        "item_category": "dairy",
        "as_of_date": AS_OF,
        "item_recency_days": 365,
        "item_purchases_7d": 0,
        "item_purchases_28d": 0,
        "item_purchases_91d": 0,
        "item_buyers_28d": 0,
        "item_buyers_91d": 0,
        "item_views_7d": 0,
        "item_views_28d": 0,
        "item_carts_28d": 0,
    }


def test_rank_is_by_buyers_within_the_category_with_the_smaller_id_first_at_a_tie(spark: SparkSession) -> None:
    found = features(
        spark,
        *(purchase(user, "milk", day_before(2)) for user in "uv"),
        *(purchase("u", "whey", day_before(2)) for _ in range(5)),  # five lines, one buyer
        purchase("u", "cream", day_before(28)),
        purchase("u", "curd", day_before(29)),  # no buyer in 28 days
        purchase("u", "bread", day_before(2)),
        purchase("u", "thing", day_before(2)),
        milk="dairy",
        whey="dairy",
        cream="dairy",
        curd="dairy",
        bread="bakery",
        thing=None,
    )
    ranks = {item: row["item_category_rank_28d"] for item, row in found.items()}
    assert ranks == {"milk": 1, "cream": 2, "whey": 3, "curd": None, "bread": 1, "thing": None}


def test_the_category_is_that_of_the_day_before_the_cut_off(spark: SparkSession) -> None:
    eve = date(2017, 12, 17)
    items = versions_of(
        spark,
        {"item_id": "oat", "category": "dairy", "valid_to": eve},
        {"item_id": "oat", "category": "drinks", "valid_from": eve, "valid_to": AS_OF},
        {"item_id": "oat", "category": "later", "valid_from": AS_OF},
        {"item_id": "milk", "category": "dairy"},
        {"item_id": "new", "category": "dairy", "valid_from": AS_OF},
    )
    log = [purchase(user, "oat", day_before(9)) for user in "uv"]
    found = features_of(spark, items, *log, purchase("u", "milk", day_before(9)), purchase("u", "new", day_before(9)))
    assert {item: (row["item_category"], row["item_category_rank_28d"]) for item, row in found.items()} == {
        "oat": ("drinks", 1), "milk": ("dairy", 1), "new": (None, None),
    }  # fmt: skip
