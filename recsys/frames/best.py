"""The first rows of each group."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c


def first_of_each(rows: DataFrame, count: int, group: Sequence[str], order: Sequence[Column | str]) -> DataFrame:
    """The `count` first rows of each group with their `rank` from 1; `order` has to be total within a group."""
    position = F.row_number().over(Window.partitionBy(*group).orderBy(*order))
    return rows.withColumn(c.RANK, position).where(F.col(c.RANK) <= count)
