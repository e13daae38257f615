from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys import tables
from recsys.features.purchases import visits
from recsys.features.user import user_features
from tests.feature_rows import rows_of
from tests.purchase_rows import Row, purchase

AS_OF = date(2017, 12, 18)


def day_before(days: int, hour: int = 12) -> datetime:
    return datetime(2017, 12, 18, hour) - timedelta(days=days)


def features(spark: SparkSession, *rows: Row) -> dict[str, dict[str, Any]]:
    found = user_features(visits(rows_of(spark, tables.EVENTS, rows)), None, [AS_OF])
    assert tuple(found.columns) == tables.USER_FEATURES.column_names
    return {row["user_id"]: row.asDict() for row in found.collect()}


def test_lines_baskets_and_money_of_each_window(spark: SparkSession) -> None:
    user = features(
        spark,
        purchase("u", "milk", day_before(1), basket_id="a", amount_cents=250),
        purchase("u", "bread", day_before(1), basket_id="a", amount_cents=150),
        purchase("u", "milk", day_before(7), basket_id="b"),
        purchase("u", "milk", day_before(8), basket_id="c"),
        purchase("u", "milk", day_before(28), basket_id="d"),
        purchase("u", "milk", day_before(29), basket_id="e"),
        purchase("u", "milk", day_before(91), basket_id="f"),
        purchase("u", "milk", day_before(92), basket_id="g"),
        purchase("u", "milk", day_before(1), basket_id="h", event_type="cart"),
    )["u"]
    assert (user["user_purchases_7d"], user["user_purchases_28d"], user["user_purchases_91d"]) == (3, 5, 7)
    assert (user["user_baskets_28d"], user["user_baskets_91d"]) == (4, 6)
    assert (user["user_spend_cents_28d"], user["user_spend_cents_91d"]) == (700, 900)
    assert user["user_mean_spend_cents_91d"] == 150.0
    assert user["user_basket_items_91d"] == pytest.approx(7 / 6)
    assert user["user_recency_days"] == 1


def test_who_bought_long_ago_has_zeros_and_no_mean(spark: SparkSession) -> None:
    found = features(spark, purchase("old", "milk", day_before(365)), purchase("gone", "milk", day_before(366)))
    assert set(found) == {"old"}
    user = found["old"]
    assert (user["user_purchases_91d"], user["user_baskets_91d"], user["user_spend_cents_91d"]) == (0, 0, 0)
    assert user["user_mean_spend_cents_91d"] is None
    assert user["user_basket_items_91d"] is None
    assert user["user_recency_days"] == 365


def test_heat_halves_with_age(spark: SparkSession) -> None:
    user = features(spark, *(purchase("u", "milk", day_before(days)) for days in (28, 28, 56, 91, 182)))["u"]
    assert user["user_heat_28d"] == pytest.approx(0.5 + 0.5 + 0.25 + 2 ** (-91 / 28) + 2 ** (-182 / 28), abs=1e-5)
    assert user["user_heat_91d"] == pytest.approx(2 * 2 ** (-28 / 91) + 2 ** (-56 / 91) + 0.5 + 0.25, abs=1e-5)


def test_without_basket_ids_a_day_is_a_basket(spark: SparkSession) -> None:
    user = features(
        spark,
        purchase("u", "milk", day_before(3, hour=8)),
        purchase("u", "milk", day_before(3, hour=20)),
        purchase("u", "milk", day_before(4, hour=8)),
    )["u"]
    assert user["user_baskets_28d"] == 2
    assert user["user_usual_hour"] == 8


def test_two_users_with_one_basket_id_have_two_baskets(spark: SparkSession) -> None:
    found = features(
        spark, purchase("u", "milk", day_before(3), basket_id="b"), purchase("v", "milk", day_before(3), basket_id="b")
    )
    assert (found["u"]["user_baskets_28d"], found["v"]["user_baskets_28d"]) == (1, 1)


def test_habits_count_baskets_not_lines(spark: SparkSession) -> None:
    user = features(
        spark,
        *(purchase("u", item, day_before(2, hour=20), basket_id="big", store_id="s9") for item in "abcde"),
        purchase("u", "a", day_before(6, hour=9), basket_id="b", store_id="s2"),
        purchase("u", "a", day_before(13, hour=9), basket_id="c", store_id="s2"),
    )["u"]
    assert user["user_main_store_id"] == "s2"
    assert user["user_usual_hour"] == 9
    assert user["user_usual_weekday"] == 2  # 12 December and 5 December are Tuesdays


def test_habits_at_a_tie_and_without_a_store(spark: SparkSession) -> None:
    found = features(
        spark,
        purchase("u", "a", day_before(1, hour=21), basket_id="x", store_id="s3"),
        purchase("u", "a", day_before(2, hour=10), basket_id="y", store_id="s20"),
        purchase("u", "a", day_before(3, hour=9), basket_id="z", store_id=None),
        purchase("v", "a", day_before(3), store_id=None),
    )
    assert found["u"]["user_main_store_id"] == "s20"  # the smallest text; the basket without a store does not count
    assert found["u"]["user_usual_hour"] == 9
    assert found["u"]["user_usual_weekday"] == 5
    assert found["v"]["user_main_store_id"] is None
