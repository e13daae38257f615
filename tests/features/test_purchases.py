from datetime import datetime

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import tables
from recsys.features.purchases import item_days, opened_baskets, visits
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of
from tests.purchase_rows import Row, purchase

MORNING = datetime(2017, 12, 5, 9, 15)
EVENING = datetime(2017, 12, 5, 18)
NEXT_DAY = datetime(2017, 12, 6, 0, 30)


def events(spark: SparkSession, *rows: Row) -> DataFrame:
    return rows_of(spark, tables.EVENTS, rows)


def test_item_days_price_only_the_lines_that_have_quantity_and_amount(spark: SparkSession) -> None:
    log = events(
        spark,
        purchase("u", "milk", MORNING, quantity=2.0, amount_cents=300),
        purchase("u", "milk", EVENING, quantity=0.345, amount_cents=50),
        purchase("u", "milk", EVENING, quantity=None, amount_cents=999),
        purchase("u", "milk", EVENING, quantity=0.0, amount_cents=999),
        purchase("u", "milk", EVENING, quantity=7.0, amount_cents=None),
        purchase("u", "milk", NEXT_DAY, quantity=None),
        purchase("u", "milk", MORNING, event_type="view"),
    )
    expected = local_rows(
        spark,
        [("u", "milk", MORNING.date(), 5, 350, 2.345), ("u", "milk", NEXT_DAY.date(), 1, None, None)],
        "user_id string, item_id string, event_date date, lines bigint, cents bigint, units double",
    )
    assert_df_equality(item_days(log), expected, ignore_nullable=True, ignore_row_order=True)


def test_visits_part_a_basket_by_day_store_device_and_hour(spark: SparkSession) -> None:
    log = events(
        spark,
        purchase("u", "milk", MORNING, basket_id="b", amount_cents=None),
        purchase("u", "bread", MORNING, basket_id="b"),
        purchase("u", "salt", MORNING, basket_id="b", store_id="s2"),
        purchase("u", "salt", MORNING, basket_id="b", device="phone", amount_cents=None),
        purchase("u", "milk", NEXT_DAY, basket_id="b"),
        purchase("u", "milk", EVENING),
        purchase("u", "milk", MORNING, basket_id="b", event_type="cart"),
    )
    day, next_day = MORNING.date(), NEXT_DAY.date()
    expected = local_rows(
        spark,
        [
            ("u", "b", day, "s1", None, 2, 9, 2, 100),
            ("u", "b", day, "s2", None, 2, 9, 1, 100),
            ("u", "b", day, "s1", "phone", 2, 9, 1, 0),
            ("u", "b", next_day, "s1", None, 3, 0, 1, 100),
            ("u", "2017-12-05", day, "s1", None, 2, 18, 1, 100),  # without an id the day is the basket
        ],
        "user_id string, basket string, event_date date, store_id string, device string, local_weekday int, "
        "local_hour int, lines bigint, cents bigint",
    )
    assert_df_equality(visits(log), expected, ignore_nullable=True, ignore_row_order=True)


def test_a_basket_opens_on_its_first_day(spark: SparkSession) -> None:
    log = events(
        spark,
        purchase("u", "milk", MORNING, basket_id="b"),
        purchase("u", "milk", NEXT_DAY, basket_id="b", store_id="s2"),
        purchase("v", "milk", NEXT_DAY, basket_id="b"),
    )
    schema = "user_id string, basket string, event_date date"
    day, next_day = MORNING.date(), NEXT_DAY.date()
    expected = local_rows(spark, [("u", "b", day), ("v", "b", next_day)], schema)
    assert_df_equality(opened_baskets(visits(log)), expected, ignore_nullable=True, ignore_row_order=True)
    by_store = opened_baskets(visits(log), "store_id").where("user_id = 'u'").select("store_id", "event_date")
    expected = local_rows(spark, [("s1", day), ("s2", next_day)], "store_id string, event_date date")
    assert_df_equality(by_store, expected, ignore_nullable=True, ignore_row_order=True)
