"""Sums that do not depend on the order of rows."""

from pyspark.sql import Column
from pyspark.sql import functions as F

_MILLIONTHS = 1_000_000


def exact_sum(value: Column) -> Column:
    """Sum of doubles, each taken to the nearest millionth: whole numbers add up alike under any partitioning.

    A sum of such sums is exact again, up to 9 billion.
    """
    return F.sum(F.rint(value * _MILLIONTHS).cast("bigint")) / _MILLIONTHS
