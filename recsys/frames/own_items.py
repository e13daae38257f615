"""A user's own items, bought or looked at, in the one order that lists of them have."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys import columns as c

_PLACE = "place"


def own_item(*more: str | Column) -> Column:
    """Of a row of features.user_item, with columns `more`: a struct that sorts, by own_order and the item id."""
    return F.struct(*own_order(), c.ITEM_ID, *more)


def own_order() -> tuple[Column, Column]:
    """`place` and `recency`: bought items come first, most purchase days before fewer, then those put into the cart,
    then those only viewed; among equals the latest."""
    purchases = F.col(c.USER_ITEM_PURCHASES_365D)
    not_bought = F.when(F.col(c.USER_ITEM_CART_RECENCY_DAYS).isNotNull(), 0).otherwise(1)
    recency = F.coalesce(c.USER_ITEM_RECENCY_DAYS, c.USER_ITEM_CART_RECENCY_DAYS, c.USER_ITEM_VIEW_RECENCY_DAYS)
    place = F.when(purchases > 0, -purchases).otherwise(not_bought)
    return place.alias(_PLACE), recency.alias("recency")


def bought(own_items: Column) -> Column:
    """Of an array of these structs."""
    return F.filter(own_items, lambda own: own[_PLACE] < 0)


def not_bought(own_items: Column) -> Column:
    return F.filter(own_items, lambda own: own[_PLACE] >= 0)
