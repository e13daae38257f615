from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys.frames.local_rows import local_rows
from recsys.frames.sums import exact_sum


def test_the_order_of_rows_does_not_change_an_exact_sum(spark: SparkSession) -> None:
    numbers = [0.1, 0.2, 0.3, 1e9, -1e9, 0.345, None]
    assert sum(numbers[:-1]) != sum(numbers[-2::-1])
    for order in (numbers, numbers[::-1]):
        rows = local_rows(spark, [(number,) for number in order], "number double").coalesce(1)
        assert rows.agg(exact_sum(F.col("number"))).first() == (0.945,)


def test_a_sum_of_nothing_is_null(spark: SparkSession) -> None:
    rows = local_rows(spark, [(None,)], "number double")
    assert rows.agg(exact_sum(F.col("number"))).first() == (None,)
