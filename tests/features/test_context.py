from datetime import date, datetime

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from recsys import tables
from recsys.features.context import context_features
from recsys.features.purchases import visits
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

AS_OF = date(2017, 12, 18)
TUESDAY_9H = datetime(2017, 12, 5, 9, 15)
TUESDAY_18H = datetime(2017, 12, 12, 18)


def test_shares_of_lines_and_mean_baskets_by_store_weekday_and_hour(spark: SparkSession) -> None:
    log = [
        purchase("u", "milk", TUESDAY_9H, basket_id="b", amount_cents=150),
        purchase("u", "bread", TUESDAY_9H, basket_id="b", amount_cents=150),
        purchase("v", "milk", TUESDAY_9H, basket_id="b", amount_cents=100),  # another user's basket of the same name
        purchase("u", "milk", TUESDAY_18H, amount_cents=None),
        purchase("u", "milk", TUESDAY_9H, store_id="s2"),
        purchase("u", "milk", TUESDAY_9H, store_id=None),
        purchase("u", "milk", datetime(2017, 9, 17, 23)),  # 92 days before
    ]
    actual = context_features(visits(rows_of(spark, tables.EVENTS, log)), [AS_OF])
    expected = local_rows(
        spark,
        [("s1", 2, 9, AS_OF, 0.75, 200.0), ("s1", 2, 18, AS_OF, 0.25, 0.0), ("s2", 2, 9, AS_OF, 1.0, 100.0)],
        "store_id string, local_weekday int, local_hour int, as_of_date date, context_purchase_share_91d double, "
        "context_basket_cents_91d double",
    )
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
