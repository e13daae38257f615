"""The truth of an example: what did the user do with the item in the days after the cut-off?"""

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

PAIR = (c.AS_OF_DATE, c.USER_ID, c.ITEM_ID)


def labels_in_windows(
    events: DataFrame, as_of_dates: Sequence[date], label_days: int, grades: Mapping[str, float]
) -> DataFrame:
    """One row per cut-off, user and item with a graded event from the cut-off's day on, `label_days` days long (UTC).

    `label` is the highest grade among these events, `label_date` the day of the first of any grade.
    """
    as_of = F.explode(F.array(*(F.lit(day) for day in as_of_dates)))
    ends_before = F.date_add(F.col(c.AS_OF_DATE), label_days)
    is_in_window = (F.col(c.EVENT_DATE) >= F.col(c.AS_OF_DATE)) & (F.col(c.EVENT_DATE) < ends_before)
    # Spark derives nothing from the exploded dates: this line is what prunes the partitions of clean.events.
    is_near = F.col(c.EVENT_DATE).between(F.lit(min(as_of_dates)), F.date_add(F.lit(max(as_of_dates)), label_days))
    graded = events.where(F.col(c.EVENT_TYPE).isin(list(grades)) & is_near)
    dated = graded.select(as_of.alias(c.AS_OF_DATE), c.USER_ID, c.ITEM_ID, c.EVENT_DATE, _grade(grades).alias(c.LABEL))
    of_pair = dated.where(is_in_window).groupBy(*PAIR)
    return of_pair.agg(F.max(c.LABEL).alias(c.LABEL), F.min(c.EVENT_DATE).alias(c.LABEL_DATE))


def purchases_in_windows(events: DataFrame, as_of_dates: Sequence[date], label_days: int) -> DataFrame:
    """One row per cut-off, user and item bought from the cut-off's day on, `label_days` days long (UTC)."""
    return labels_in_windows(events, as_of_dates, label_days, {c.PURCHASE: 1.0}).select(*PAIR)


def with_label(pairs: DataFrame, labels: DataFrame) -> DataFrame:
    """The pair's label among `labels`, else 0."""
    label = F.coalesce(F.col(c.LABEL), F.lit(0.0)).cast("float")
    return pairs.join(labels.select(*PAIR, c.LABEL), on=list(PAIR), how="left").withColumn(c.LABEL, label)


def _grade(grades: Mapping[str, float]) -> Column:
    of_type = F.create_map(*(F.lit(part) for grade in sorted(grades.items()) for part in grade))
    return of_type[F.col(c.EVENT_TYPE)].cast("float")
