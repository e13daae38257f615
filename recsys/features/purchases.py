"""Purchases added up by day, in two shapes, and by basket."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.sums import exact_sum


def item_days(events: DataFrame) -> DataFrame:
    """One row per user, item and day: lines bought, and the cents and units of those lines that tell a price."""
    has_price = (F.col(c.QUANTITY) > 0) & F.col(c.AMOUNT_CENTS).isNotNull()
    return (
        _purchases(events)
        .groupBy(c.USER_ID, c.ITEM_ID, c.EVENT_DATE)
        .agg(
            F.count("*").alias(c.LINES),
            F.sum(F.when(has_price, F.col(c.AMOUNT_CENTS))).alias(c.CENTS),
            exact_sum(F.when(has_price, F.col(c.QUANTITY))).alias(c.UNITS),
        )
    )


def visits(events: DataFrame) -> DataFrame:
    """One row per user, basket, day, store, device and local hour; without baskets in the log the day is the basket."""
    place_and_time = (c.EVENT_DATE, c.STORE_ID, c.DEVICE, c.LOCAL_WEEKDAY, c.LOCAL_HOUR)
    return (
        _purchases(events)
        .groupBy(c.USER_ID, _basket().alias(c.BASKET), *place_and_time)
        .agg(F.count("*").alias(c.LINES), F.coalesce(F.sum(c.AMOUNT_CENTS), F.lit(0)).alias(c.CENTS))
    )


def basket_items(events: DataFrame) -> DataFrame:
    """One row per user, basket, day and item."""
    return _purchases(events).select(c.USER_ID, _basket().alias(c.BASKET), c.EVENT_DATE, c.ITEM_ID).distinct()


def placed_baskets(events: DataFrame) -> DataFrame:
    """One row per user, basket and day: its `items`, and the store, weekday and local hour of its first line."""
    place = (c.STORE_ID, c.LOCAL_WEEKDAY, c.LOCAL_HOUR)
    first = F.min(F.struct(c.EVENT_TS, *place)).alias("first")
    baskets = _purchases(events).groupBy(c.USER_ID, _basket().alias(c.BASKET), c.EVENT_DATE)
    found = baskets.agg(first, F.array_sort(F.collect_set(c.ITEM_ID)).alias("items"))
    return found.select(c.USER_ID, c.BASKET, c.EVENT_DATE, "items", *(f"first.{name}" for name in place))


def opened_baskets(visits: DataFrame, *place_or_time: str) -> DataFrame:
    """One row per user and basket (in each store, hour … named), on the first day of the basket there."""
    return visits.groupBy(c.USER_ID, c.BASKET, *place_or_time).agg(F.min(c.EVENT_DATE).alias(c.EVENT_DATE))


def _basket() -> Column:
    return F.coalesce(F.col(c.BASKET_ID), F.col(c.EVENT_DATE).cast("string"))


def _purchases(events: DataFrame) -> DataFrame:
    return events.where(F.col(c.EVENT_TYPE) == c.PURCHASE)
