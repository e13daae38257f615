from datetime import date, datetime

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from recsys import tables
from recsys.features.context import context_features
from recsys.features.holidays import calendar_of
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
    actual = context_features(visits(rows_of(spark, tables.EVENTS, log)), [AS_OF], calendar_of({}, {}))
    nowhere = (None, None, None, 0)
    expected = local_rows(
        spark,
        [
            ("s1", 2, 9, AS_OF, 0.75, 200.0, *nowhere),
            ("s1", 2, 18, AS_OF, 0.25, 0.0, *nowhere),
            ("s2", 2, 9, AS_OF, 1.0, 100.0, *nowhere),
        ],
        "store_id string, local_weekday int, local_hour int, as_of_date date, context_purchase_share_91d double, "
        "context_basket_cents_91d double, context_country string, context_main_device_91d string, "
        "context_main_device_share_91d double, context_holidays_next_7d int",
    )
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_the_main_device_has_most_lines_of_those_that_tell_one(spark: SparkSession) -> None:
    log = [
        *(purchase("u", item, TUESDAY_9H, basket_id="b", device="till") for item in ("milk", "bread", "salt")),
        purchase("u", "milk", TUESDAY_9H, basket_id="b", device="phone"),  # one basket, two devices
        purchase("v", "milk", TUESDAY_9H, device="phone"),
        *(purchase("w", "milk", TUESDAY_9H, basket_id=f"c{number}", device=None) for number in range(9)),
        purchase("u", "milk", TUESDAY_18H, device="tablet"),
        purchase("v", "milk", TUESDAY_18H, device="phone"),  # a tie: the smallest name
        purchase("v", "milk", TUESDAY_9H, store_id="s2"),
        *(purchase("u", "milk", datetime(2017, 9, 12, 9, number), device="phone") for number in range(5)),
    ]
    found = context_features(visits(rows_of(spark, tables.EVENTS, log)), [AS_OF], calendar_of({}, {})).collect()
    device = {(row["store_id"], row["local_hour"]): row["context_main_device_91d"] for row in found}
    share = {(row["store_id"], row["local_hour"]): row["context_main_device_share_91d"] for row in found}
    assert device == {("s1", 9): "till", ("s1", 18): "phone", ("s2", 9): None}
    assert share == {("s1", 9): 0.6, ("s1", 18): 0.5, ("s2", 9): None}
    assert {(row["store_id"], row["local_hour"]): row["context_basket_cents_91d"] for row in found} == {
        ("s1", 9): 1400 / 11, ("s1", 18): 100.0, ("s2", 9): 100.0,
    }  # fmt: skip


def test_holidays_ahead_are_those_of_everywhere_and_of_the_country_or_store(spark: SparkSession) -> None:
    calendar = calendar_of(
        {"s1": "Norway", "s2": "Italy", "all": "France"},
        {
            "all": ["2017-12-25", "2017-12-24"],  # the eighth day from the first cut-off on, and the seventh
            "Norway": ["2017-12-18", "2017-12-24"],  # the cut-off itself; a day that is listed already
            "s4": ["2017-12-17", "2017-12-20"],  # the day before the first cut-off
        },
    )
    log = [purchase("u", "milk", TUESDAY_9H, store_id=f"s{number}") for number in range(1, 5)]
    days_of_log = visits(rows_of(spark, tables.EVENTS, log))
    later = date(2017, 12, 25)
    found = context_features(days_of_log, [AS_OF, later], calendar).collect()
    assert {(row["store_id"], row["as_of_date"]): row["context_holidays_next_7d"] for row in found} == {
        ("s1", AS_OF): 2, ("s2", AS_OF): 1, ("s3", AS_OF): 1, ("s4", AS_OF): 2,
        ("s1", later): 1, ("s2", later): 1, ("s3", later): 1, ("s4", later): 1,
    }  # fmt: skip
    assert {row["store_id"]: row["context_country"] for row in found} == {
        "s1": "Norway", "s2": "Italy", "s3": "France", "s4": "France",
    }  # fmt: skip
    own = calendar_of({"s1": "Norway"}, {"s3": ["2017-12-18"]}, stores_are_countries=True)
    of_stores = context_features(days_of_log, [AS_OF], own).collect()
    assert {row["store_id"]: (row["context_country"], row["context_holidays_next_7d"]) for row in of_stores} == {
        "s1": ("Norway", 0), "s2": ("s2", 0), "s3": ("s3", 1), "s4": ("s4", 0),
    }  # fmt: skip
