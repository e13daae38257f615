from datetime import date, datetime

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from recsys import tables
from recsys.features.purchases import item_days
from recsys.features.user_category import user_category_features
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of, versions_of
from tests.purchase_rows import purchase

AS_OF = date(2017, 12, 18)
RECENT = datetime(2017, 12, 5, 9)


def test_purchases_and_shares_by_category(spark: SparkSession) -> None:
    items = versions_of(
        spark,
        {"item_id": "milk", "category": "dairy"},
        {"item_id": "cream", "category": "dairy"},
        {"item_id": "bread", "category": "bakery"},
        {"item_id": "thing", "category": None},
    )
    log = [
        purchase("u", "milk", RECENT),
        purchase("u", "milk", RECENT),
        purchase("u", "cream", RECENT),
        purchase("u", "bread", RECENT),
        purchase("u", "thing", RECENT),  # no category: no row, but part of the whole
        purchase("u", "unlisted", RECENT),  # no version in clean.item_history: the same
        purchase("u", "bread", datetime(2017, 9, 17, 23, 59)),  # 92 days before
        purchase("v", "bread", datetime(2017, 9, 18)),  # first instant of the window
        purchase("w", "thing", RECENT),
    ]
    actual = user_category_features(item_days(rows_of(spark, tables.EVENTS, log)), items, [AS_OF])
    expected = local_rows(
        spark,
        [("u", "dairy", AS_OF, 3, 3 / 6), ("u", "bakery", AS_OF, 1, 1 / 6), ("v", "bakery", AS_OF, 1, 1.0)],
        "user_id string, category string, as_of_date date, user_category_purchases_91d bigint, "
        "user_category_share_91d double",
    )
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_a_line_is_of_the_category_of_its_day(spark: SparkSession) -> None:
    moved = date(2017, 12, 5)
    items = versions_of(
        spark,
        {"item_id": "oat", "category": "dairy", "valid_to": moved},
        {"item_id": "oat", "category": "drinks", "valid_from": moved, "valid_to": AS_OF},
        {"item_id": "oat", "category": "later", "valid_from": AS_OF},
        {"item_id": "new", "category": "snacks", "valid_from": moved},
        {"item_id": "gone", "category": "snacks", "valid_to": moved},
    )
    days = {item: (datetime(2017, 12, 4, 23, 59), datetime(2017, 12, 5)) for item in ("oat", "new", "gone")}
    log = [purchase("u", item, at) for item, times in days.items() for at in times]
    found = user_category_features(item_days(rows_of(spark, tables.EVENTS, log)), items, [AS_OF]).collect()
    assert {row["category"]: row["user_category_purchases_91d"] for row in found} == {
        "dairy": 1, "drinks": 1, "snacks": 2,
    }  # fmt: skip
    assert {row["user_category_share_91d"] for row in found} == {1 / 6, 2 / 6}
