from datetime import date, datetime, timedelta

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from recsys import tables
from recsys.features.purchases import item_days
from recsys.features.user_item import user_item_features
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

AS_OF = date(2017, 12, 18)


def day_before(days: int, hour: int = 12) -> datetime:
    return datetime(2017, 12, 18, hour) - timedelta(days=days)


def test_days_recency_and_gaps_of_a_pair(spark: SparkSession) -> None:
    log = [
        purchase("u", "milk", day_before(5, hour=8)),
        purchase("u", "milk", day_before(5, hour=20)),  # the same day counts once
        purchase("u", "milk", day_before(28)),
        purchase("u", "milk", day_before(91)),
        purchase("u", "milk", day_before(365)),
        purchase("u", "milk", day_before(366)),  # out of every window, and of the gaps
        purchase("u", "bread", day_before(92)),
        purchase("v", "milk", day_before(400)),
        purchase("v", "salt", day_before(1), event_type="view"),
    ]
    actual = user_item_features(item_days(rows_of(spark, tables.EVENTS, log)), None, [AS_OF])
    expected = rows_of(
        spark,
        tables.USER_ITEM_FEATURES,
        [
            {
                "user_id": "u",
                "item_id": "milk",
                "as_of_date": AS_OF,
                "user_item_purchases_28d": 2,
                "user_item_purchases_91d": 3,
                "user_item_purchases_365d": 4,
                "user_item_recency_days": 5,
                "user_item_mean_gap_days": 120.0,  # 360 days, three gaps
                "user_item_views_28d": 0,
                "user_item_carts_28d": 0,
            },
            {
                "user_id": "u",
                "item_id": "bread",
                "as_of_date": AS_OF,
                "user_item_purchases_28d": 0,
                "user_item_purchases_91d": 0,
                "user_item_purchases_365d": 1,
                "user_item_recency_days": 92,
                "user_item_mean_gap_days": None,
                "user_item_views_28d": 0,
                "user_item_carts_28d": 0,
            },
        ],
    )
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
