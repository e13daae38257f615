"""Which kinds of event a log has."""

from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.lake.store import Lake

_BESIDE_PURCHASES = (c.VIEW, c.CART)


def event_types_of(lake: Lake) -> frozenset[str]:
    """Purchases, and views and carts where clean.events has one of them, of whatever day.

    Delta keeps the least and greatest type of each file: where a log has purchases alone, none is opened.
    """
    events = lake.read(tables.EVENTS)
    if events.where(F.col(c.EVENT_TYPE).isin(*_BESIDE_PURCHASES)).isEmpty():
        return frozenset({c.PURCHASE})
    found = {name for name in _BESIDE_PURCHASES if not events.where(F.col(c.EVENT_TYPE) == name).isEmpty()}
    return frozenset({c.PURCHASE, *found})
