"""What a log tells beside purchases: views, carts, the device of a purchase."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.lake.store import Lake
from recsys.tables import EVENTS


def told_by(lake: Lake) -> frozenset[str]:
    """Purchases; views and carts where clean.events has one of them, and `device` where a purchase has one, of
    whatever day.

    Delta keeps the least and greatest type of each file and counts its nulls: where a log has purchases alone, and no
    device, no file is opened.
    """
    events, kind = lake.read(EVENTS), F.col(c.EVENT_TYPE)
    tells: dict[str, Column] = {
        c.VIEW: kind == c.VIEW,
        c.CART: kind == c.CART,
        c.DEVICE: F.col(c.DEVICE).isNotNull() & (kind == c.PURCHASE),
    }
    if events.where(tells[c.VIEW] | tells[c.CART] | tells[c.DEVICE]).isEmpty():
        return frozenset({c.PURCHASE})
    return frozenset({c.PURCHASE, *(name for name, is_told in tells.items() if not events.where(is_told).isEmpty())})
