"""What was known at a cut-off: windows of whole UTC days that end with the day before it.

Several cut-offs are counted in one plan: `known_before` repeats a row for each cut-off that may see it, and
everything after it groups by `as_of_date` and knows the row's cut-off as that column.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

# Events of one instant stand as the log has them: this is a total order, for file and row are the key of clean.events.
EVENT_ORDER = (c.EVENT_TS, c.SOURCE_FILE, c.SOURCE_ROW)


def events_before(events: DataFrame, as_of: date, days: int) -> DataFrame:
    """Rows of the `days` UTC days before `as_of`; the day itself and everything later is left out."""
    day = F.col(c.EVENT_DATE)
    return events.where((day >= F.lit(as_of - timedelta(days=days))) & (day < F.lit(as_of)))


def known_by(rows: DataFrame, day: date) -> DataFrame:
    """Those that had become known when the UTC day began, whenever they happened."""
    return rows.where(F.col(c.KNOWN_TS) < F.lit(day).cast("timestamp"))


def known_before(events: DataFrame, as_of_dates: Sequence[date], days: int) -> DataFrame:
    """Each row once for each cut-off that has it among the `days` UTC days before it, as `as_of_date`."""
    span = days + (max(as_of_dates) - min(as_of_dates)).days
    seen_by_any = events_before(events, max(as_of_dates), span)
    return seen_by_any.withColumn(c.AS_OF_DATE, each_of(as_of_dates)).where(is_within(days))


def each_of(as_of_dates: Sequence[date]) -> Column:
    return F.explode(F.array(*map(F.lit, as_of_dates)))


def is_within(days: int) -> Column:
    """True where the row's day is one of the `days` before its cut-off."""
    return F.datediff(F.col(c.AS_OF_DATE), F.col(c.EVENT_DATE)).between(1, days)


def sum_within(value: str, days: int) -> Column:
    """Sum of a column of whole numbers over the window; 0 where the group has no row in it."""
    return F.sum(F.when(is_within(days), F.col(value)).otherwise(0))


def rows_within(days: int) -> Column:
    """Number of rows in the window; 0 where the group has none."""
    return F.count_if(is_within(days))


def age_days(day: Column) -> Column:
    """1 for the day before the row's cut-off."""
    return F.datediff(F.col(c.AS_OF_DATE), day)
