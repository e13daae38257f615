from datetime import UTC, date, datetime

import pytest
from pyspark.sql import SparkSession

from recsys.frames.local_rows import local_rows

SCHEMA = (
    "name string, day date, at timestamp, parts array<struct<n: int, of: map<string, string>>>, "
    "share float, is_in boolean"
)


def test_holds_values_of_every_kind(spark: SparkSession) -> None:
    day, at = date(1969, 12, 31), datetime(2024, 3, 31, 2, 30, tzinfo=UTC)
    rows = [("a", day, at, [(1, {"k": "v"}), {"n": None, "of": {}}], 0.5, True), (None,) * 6]
    frame = local_rows(spark, rows, SCHEMA)
    first, second = frame.collect()
    assert (first.name, first.day, first.at, first.share, first.is_in) == ("a", day, at.replace(tzinfo=None), 0.5, True)
    assert [(part.n, part.of) for part in first.parts] == [(1, {"k": "v"}), (None, {})]
    assert tuple(second) == (None,) * 6


def test_equals_what_spark_makes_of_the_rows(spark: SparkSession) -> None:
    rows = [("a", 1), ("b", None)]
    schema = spark.createDataFrame(rows, "name string, n bigint").schema
    assert local_rows(spark, rows, "name string, n bigint").schema == schema
    assert local_rows(spark, rows, schema).collect() == spark.createDataFrame(rows, schema).collect()


def test_no_rows(spark: SparkSession) -> None:
    assert local_rows(spark, [], "name string, n bigint").collect() == []


def test_starts_no_job(spark: SparkSession) -> None:
    rows = local_rows(spark, [("a",)], "name string")
    plan = rows._jdf.queryExecution().executedPlan().toString()  # type: ignore[attr-defined]
    assert "LocalTableScan" in plan, plan


def test_refuses_rows_of_unequal_length(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        local_rows(spark, [("a", 1), ("b",)], "name string, n bigint")
