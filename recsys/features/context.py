"""When a store sells: its weekdays and hours on the shop's clock, the devices; where it is, and its holidays ahead."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.features.holidays import Calendar, country, holidays_ahead
from recsys.frames.as_of import known_before

STORE = (c.AS_OF_DATE, c.STORE_ID)
MOMENT = (*STORE, c.LOCAL_WEEKDAY, c.LOCAL_HOUR)


def context_features(visits: DataFrame, as_of_dates: Sequence[date], calendar: Calendar) -> DataFrame:
    """One row per cut-off, store, local weekday and local hour with purchases in the 91 days before it."""
    in_stores = known_before(visits, as_of_dates, 91).where(F.col(c.STORE_ID).isNotNull())
    baskets = in_stores.groupBy(*MOMENT, c.USER_ID, c.BASKET).agg(
        F.sum(c.LINES).alias(c.LINES), F.sum(c.CENTS).alias(c.CENTS)
    )
    moments = baskets.groupBy(*MOMENT).agg(
        F.sum(c.LINES).alias(c.LINES), (F.sum(c.CENTS) / F.count("*")).alias(c.CONTEXT_BASKET_CENTS_91D)
    )
    all_lines = F.sum(c.LINES).over(Window.partitionBy(*STORE))
    shared = moments.withColumn(c.CONTEXT_PURCHASE_SHARE_91D, F.col(c.LINES) / all_lines)
    placed = _with_main_device(shared, in_stores).withColumn(c.CONTEXT_COUNTRY, country(calendar))
    ahead = holidays_ahead(calendar, as_of_dates, F.col(c.CONTEXT_COUNTRY))
    return placed.withColumn(c.CONTEXT_HOLIDAYS_NEXT_7D, ahead).select(*tables.CONTEXT_FEATURES.column_names)


def _with_main_device(moments: DataFrame, visits: DataFrame) -> DataFrame:
    """The device with most lines, the smallest name at a tie, and its share of the lines that have one."""
    by_device = visits.where(F.col(c.DEVICE).isNotNull()).groupBy(*MOMENT, c.DEVICE).agg(F.sum(c.LINES).alias("lines"))
    most_then_smallest = F.min(F.struct(-F.col("lines"), F.col(c.DEVICE)))
    main = by_device.groupBy(*MOMENT).agg(
        most_then_smallest[c.DEVICE].alias(c.CONTEXT_MAIN_DEVICE_91D),
        (F.max("lines") / F.sum("lines")).alias(c.CONTEXT_MAIN_DEVICE_SHARE_91D),
    )
    return moments.join(main, on=[*MOMENT], how="left")
