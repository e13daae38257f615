"""How a store promoted an item in the last week."""

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.frames.as_of import each_of

WINDOW_DAYS = 7


def store_item_features(promotions: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off, store and item that was promoted on at least one of the 7 local days before it."""
    counted = _shown_before(promotions, as_of_dates).groupBy(c.AS_OF_DATE, c.STORE_ID, c.ITEM_ID)
    features = counted.agg(
        _days_with(c.IS_DISPLAYED).alias(c.STORE_ITEM_DISPLAY_DAYS_7D),
        _days_with(c.IS_MAILED).alias(c.STORE_ITEM_MAIL_DAYS_7D),
    )
    is_promoted = (F.col(c.STORE_ITEM_DISPLAY_DAYS_7D) > 0) | (F.col(c.STORE_ITEM_MAIL_DAYS_7D) > 0)
    return features.where(is_promoted).select(*tables.STORE_ITEM_FEATURES.column_names)


def _shown_before(promotions: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """Each promotion once for each cut-off that saw a day of it, with those days as the lowest 7 bits of `days`."""
    window = timedelta(days=WINDOW_DAYS)
    near = promotions.where(
        (F.col(c.STARTS_ON) < F.lit(max(as_of_dates))) & (F.col(c.ENDS_BEFORE) > F.lit(min(as_of_dates) - window))
    )
    first = F.greatest(_day_of_window(c.STARTS_ON), F.lit(0))
    end = F.least(_day_of_window(c.ENDS_BEFORE), F.lit(WINDOW_DAYS))
    at_cutoff = near.withColumn(c.AS_OF_DATE, each_of(as_of_dates)).where(first < end)
    return at_cutoff.withColumn("days", _lowest_bits(end).bitwiseXOR(_lowest_bits(first)))


def _day_of_window(day: str) -> Column:
    """0 for the first day of the window, 6 for the day before the cut-off."""
    return F.datediff(F.col(day), F.col(c.AS_OF_DATE)) + WINDOW_DAYS


def _lowest_bits(number: Column) -> Column:
    return F.call_function("shiftleft", F.lit(1), number) - 1


def _days_with(is_shown: str) -> Column:
    """Bits joined by `or`: the days of promotions that overlap count once."""
    return F.bit_count(F.bit_or(F.when(F.col(is_shown), F.col("days")).otherwise(0)))
