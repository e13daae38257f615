from datetime import date, datetime, timedelta
from typing import Any

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.sequence import sequence_features
from tests.feature_rows import rows_of
from tests.purchase_rows import Row, purchase

AS_OF, EARLIER = date(2017, 12, 18), date(2017, 12, 10)
NOON = datetime(2017, 12, 12, 12)


def event(user: str, item: str, at: datetime, row: int, **other: Any) -> Row:
    return {**purchase(user, item, at, **other), c.SOURCE_FILE: "log", c.SOURCE_ROW: row}


def test_the_last_events_oldest_first_in_arrays_of_one_length(spark: SparkSession) -> None:
    view = {"event_type": "view", "quantity": None, "amount_cents": None}
    log = [
        # Rows lie in no order; the first two of one instant stand as the log numbers them.
        event("u", "a tie", NOON, 12),
        event("u", "tie", NOON, 7, quantity=4.0, amount_cents=1000),
        event("u", "older", NOON - timedelta(hours=1, minutes=30), 9, **view),
        event("u", "oldest", NOON - timedelta(days=4), 1),
        event("u", "today", datetime(2017, 12, 18), 13),
        event("few", "first", datetime(2016, 12, 18), 2),
        event("few", "free", datetime(2017, 12, 17, 23, 59), 3, quantity=0.0),
        event("few", "too old", datetime(2016, 12, 17, 23, 59), 4),
        event("gone", "milk", datetime(2016, 12, 1), 5),
    ]
    actual = sequence_features(rows_of(spark, tables.EVENTS, log).repartition(3), [AS_OF, EARLIER], length=3)
    ones = [c.PURCHASE] * 3
    hours = (datetime(2017, 12, 17, 23, 59) - datetime(2016, 12, 18)) / timedelta(hours=1)
    no_first = {c.SEQUENCE_MASK: [False, True, True]}
    expected = [
        {
            c.USER_ID: "u",
            c.AS_OF_DATE: AS_OF,
            c.SEQUENCE_ITEMS: ["older", "tie", "a tie"],
            c.SEQUENCE_EVENT_TYPES: ["view", *ones[1:]],
            c.SEQUENCE_GAP_HOURS: [94.5, 1.5, 0.0],  # the first since the event that is no longer listed
            c.SEQUENCE_PRICE_CENTS: [None, 250.0, 100.0],
            c.SEQUENCE_MASK: [True] * 3,
        },
        {
            c.USER_ID: "few",
            c.AS_OF_DATE: AS_OF,
            c.SEQUENCE_ITEMS: [None, "first", "free"],
            c.SEQUENCE_EVENT_TYPES: [None, *ones[1:]],
            c.SEQUENCE_GAP_HOURS: [None, None, hours],
            c.SEQUENCE_PRICE_CENTS: [None, 100.0, None],
            **no_first,
        },
        {
            c.USER_ID: "u",
            c.AS_OF_DATE: EARLIER,
            c.SEQUENCE_ITEMS: [None, None, "oldest"],
            c.SEQUENCE_GAP_HOURS: [None] * 3,
            c.SEQUENCE_PRICE_CENTS: [None, None, 100.0],
            c.SEQUENCE_EVENT_TYPES: [None, None, c.PURCHASE],
            c.SEQUENCE_MASK: [False, False, True],
        },
        {
            c.USER_ID: "few",
            c.AS_OF_DATE: EARLIER,
            c.SEQUENCE_ITEMS: [None, "too old", "first"],
            c.SEQUENCE_EVENT_TYPES: [None, *ones[1:]],
            c.SEQUENCE_GAP_HOURS: [None, None, 1 / 60],
            c.SEQUENCE_PRICE_CENTS: [None, 100.0, 100.0],
            **no_first,
        },
    ]
    assert_df_equality(
        actual, rows_of(spark, tables.SEQUENCE_FEATURES, expected), ignore_nullable=True, ignore_row_order=True
    )
