"""Events and promotions with just the values that a test of features is about."""

from datetime import datetime
from typing import Any

from recsys import columns as c

Row = dict[str, Any]


def purchase(user: str, item: str, at: datetime, **other: Any) -> Row:
    """One line of one unit for 100 cents in store s1, whose clock shows UTC; `other` says what differs."""
    row = {
        c.USER_ID: user,
        c.ITEM_ID: item,
        c.EVENT_TYPE: c.PURCHASE,
        c.EVENT_TS: at,
        c.EVENT_DATE: at.date(),
        c.LOCAL_HOUR: at.hour,
        c.LOCAL_WEEKDAY: at.isoweekday(),
        c.STORE_ID: "s1",
        c.QUANTITY: 1.0,
        c.AMOUNT_CENTS: 100,
    }
    unknown = set(other) - {*row, c.BASKET_ID, c.DEVICE}
    assert not unknown, f"an event has no {unknown}"
    return {**row, **other}
