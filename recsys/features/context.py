"""When a store sells: its weekdays and hours on the shop's clock; where it is, and the holidays ahead there."""

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
    placed = shared.withColumn(c.CONTEXT_COUNTRY, country(calendar))
    ahead = holidays_ahead(calendar, as_of_dates, F.col(c.CONTEXT_COUNTRY))
    return placed.withColumn(c.CONTEXT_HOLIDAYS_NEXT_7D, ahead).select(*tables.CONTEXT_FEATURES.column_names)
