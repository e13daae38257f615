from datetime import date, datetime, timedelta
from typing import Any

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.catalog import ITEM, USER, USER_ITEM, Grain, features_of
from recsys.features.item import item_features
from recsys.features.purchases import item_days, visits
from recsys.features.user import user_features
from recsys.features.user_item import user_item_features
from recsys.features.views import view_days
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of
from tests.purchase_rows import Row, purchase

AS_OF = date(2017, 12, 18)
Found = dict[tuple[str, ...], dict[str, Any]]


def event(kind: str, user: str, item: str, days: int, hour: int = 12) -> Row:
    at = datetime(2017, 12, 18, hour) - timedelta(days=days)
    return purchase(user, item, at, event_type=kind, quantity=None, amount_cents=None)


LOG = [
    event(c.VIEW, "u", "lamp", 1, hour=8),
    event(c.VIEW, "u", "lamp", 1, hour=9),
    event(c.CART, "u", "lamp", 1, hour=9),
    event(c.VIEW, "u", "lamp", 8),
    event(c.VIEW, "u", "desk", 29),  # out of the counts, not of the recency
    event(c.CART, "v", "lamp", 28),
    event(c.VIEW, "w", "lamp", 91),
    event(c.VIEW, "gone", "bed", 92),
    event(c.VIEW, "today", "bed", 0),
    event(c.PURCHASE, "u", "lamp", 7),
    event(c.PURCHASE, "w", "desk", 300),
    event(c.IMPRESSION, "x", "lamp", 2),
]


@pytest.fixture(scope="module")
def log(spark: SparkSession) -> DataFrame:
    return rows_of(spark, tables.EVENTS, LOG)


def found(features: DataFrame, grain: Grain) -> Found:
    """What views and carts tell, and the purchases of 28 days."""
    assert features.count() == features.select(*grain.key).distinct().count()
    names = [f.name for f in features_of(grain) if f.needs or f.name.endswith("_purchases_28d")]
    return {tuple(row[key] for key in grain.key): {name: row[name] for name in names} for row in features.collect()}


def test_view_days_count_views_and_carts_of_a_day_apart(spark: SparkSession, log: DataFrame) -> None:
    days = [(1, "u", "lamp", 2, 1), (8, "u", "lamp", 1, 0), (28, "v", "lamp", 0, 1)]
    expected = local_rows(
        spark,
        [(user, item, AS_OF - timedelta(days=day), views, carts) for day, user, item, views, carts in days],
        "user_id string, item_id string, event_date date, views bigint, carts bigint",
    )
    of_lamp = view_days(log).where("item_id = 'lamp' AND user_id IN ('u', 'v')")
    assert_df_equality(of_lamp, expected, ignore_nullable=True, ignore_row_order=True)


def test_users_who_only_look_have_a_row_with_zeros_of_purchases(log: DataFrame) -> None:
    users = found(user_features(visits(log), view_days(log), [AS_OF]), USER)
    names = (c.USER_PURCHASES_28D, c.USER_VIEWS_7D, c.USER_VIEWS_28D, c.USER_CARTS_28D, c.USER_VIEW_RECENCY_DAYS)
    assert {key[0]: tuple(row[name] for name in names) for key, row in users.items()} == {
        "u": (1, 2, 3, 1, 1),
        "v": (0, 0, 0, 1, None),  # put into the cart without a view
        "w": (0, 0, 0, 0, 91),
    }


def test_items_know_their_rates_where_they_were_viewed(spark: SparkSession, log: DataFrame) -> None:
    items = found(item_features(item_days(log), view_days(log), rows_of(spark, tables.ITEM_HISTORY, []), [AS_OF]), ITEM)
    names = (
        c.ITEM_VIEWS_7D,
        c.ITEM_VIEWS_28D,
        c.ITEM_CARTS_28D,
        c.ITEM_CART_RATE_28D,
        c.ITEM_PURCHASE_RATE_28D,
        c.ITEM_VIEW_RECENCY_DAYS,
    )
    assert {key[0]: tuple(row[name] for name in names) for key, row in items.items()} == {
        "lamp": (2, 3, 2, 2 / 3, 1 / 3, 1),
        "desk": (0, 0, 0, None, None, 29),
    }


def test_pairs_tell_views_carts_and_how_long_ago(log: DataFrame) -> None:
    pairs = found(user_item_features(item_days(log), view_days(log), [AS_OF]), USER_ITEM)
    names = (
        c.USER_ITEM_PURCHASES_28D, c.USER_ITEM_VIEWS_28D, c.USER_ITEM_CARTS_28D,
        c.USER_ITEM_VIEW_RECENCY_DAYS, c.USER_ITEM_CART_RECENCY_DAYS,
    )  # fmt: skip
    assert {key: tuple(row[name] for name in names) for key, row in pairs.items()} == {
        ("u", "lamp"): (1, 3, 1, 1, 1),
        ("u", "desk"): (0, 0, 0, 29, None),
        ("v", "lamp"): (0, 0, 1, None, 28),
        ("w", "lamp"): (0, 0, 0, 91, None),
        ("w", "desk"): (0, 0, 0, None, None),  # bought in the last 365 days
    }
