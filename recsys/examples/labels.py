"""The truth of an example: did the user buy the item in the days after the cut-off?"""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

PAIR = (c.AS_OF_DATE, c.USER_ID, c.ITEM_ID)


def purchases_in_windows(events: DataFrame, as_of_dates: Sequence[date], label_days: int) -> DataFrame:
    """One row per cut-off, user and item bought from the cut-off's day on, `label_days` days long (UTC)."""
    as_of = F.explode(F.array(*(F.lit(day) for day in as_of_dates)))
    ends_before = F.date_add(F.col(c.AS_OF_DATE), label_days)
    is_in_window = (F.col(c.EVENT_DATE) >= F.col(c.AS_OF_DATE)) & (F.col(c.EVENT_DATE) < ends_before)
    # Spark derives nothing from the exploded dates: this line is what prunes the partitions of clean.events.
    is_near = F.col(c.EVENT_DATE).between(F.lit(min(as_of_dates)), F.date_add(F.lit(max(as_of_dates)), label_days))
    purchases = events.where((F.col(c.EVENT_TYPE) == "purchase") & is_near)
    dated = purchases.select(as_of.alias(c.AS_OF_DATE), c.USER_ID, c.ITEM_ID, c.EVENT_DATE)
    return dated.where(is_in_window).select(*PAIR).distinct()


def with_label(pairs: DataFrame, purchases: DataFrame) -> DataFrame:
    """1 where the pair is among the `purchases`, else 0."""
    bought = purchases.select(*PAIR, F.lit(1.0).alias(c.LABEL))
    label = F.coalesce(F.col(c.LABEL), F.lit(0.0)).cast("float")
    return pairs.join(bought, on=list(PAIR), how="left").withColumn(c.LABEL, label)
