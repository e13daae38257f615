"""Sessions: a user's events of one local day without a long gap."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c

_STARTS_TS = "_starts_ts"


def with_sessions(lines: DataFrame, gap_minutes: int) -> DataFrame:
    """Adds session_id. A new session begins after more than the gap, and at midnight of the shop's clock."""
    of_day = Window.partitionBy(c.USER_ID, c.LOCAL_DATE).orderBy(c.EVENT_TS, c.SOURCE_FILE, c.SOURCE_ROW)
    before = F.lag(c.EVENT_TS).over(of_day)
    gap_seconds = F.col(c.EVENT_TS).cast("double") - before.cast("double")
    is_start = before.isNull() | (gap_seconds > gap_minutes * 60)
    started = lines.withColumn(_STARTS_TS, F.when(is_start, F.col(c.EVENT_TS)))
    start = F.last(_STARTS_TS, ignorenulls=True).over(of_day.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    return started.withColumn(c.SESSION_ID, F.xxhash64(c.USER_ID, start)).drop(_STARTS_TS)
