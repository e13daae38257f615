from datetime import date, datetime, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys.frames.as_of import age_days, events_before, is_within, known_before, rows_within, sum_within
from recsys.frames.local_rows import local_rows

AS_OF = date(2017, 12, 18)
SCHEMA = "name string, event_date date, number bigint"
ROWS = [
    ("before the window", date(2017, 12, 10), 1),
    ("first day", date(2017, 12, 11), 10),
    ("last day", date(2017, 12, 17), 100),
    ("the day itself", AS_OF, 1000),
    ("no day", None, 10_000),
]


def test_events_before_has_the_days_up_to_the_cut_off_without_it(spark: SparkSession) -> None:
    found = events_before(local_rows(spark, ROWS, SCHEMA), AS_OF, 7).collect()
    assert {row["name"] for row in found} == {"first day", "last day"}


def test_known_before_repeats_a_row_for_each_cut_off_that_may_see_it(spark: SparkSession) -> None:
    cutoffs = [AS_OF, date(2017, 12, 12)]
    found = known_before(local_rows(spark, ROWS, SCHEMA), cutoffs, 7).collect()
    assert {(row["name"], row["as_of_date"]) for row in found} == {
        ("before the window", date(2017, 12, 12)),
        ("first day", date(2017, 12, 12)),
        ("first day", AS_OF),
        ("last day", AS_OF),
    }
    assert len(found) == 4


def test_sums_and_counts_within_a_window(spark: SparkSession) -> None:
    rows = local_rows(spark, ROWS, SCHEMA).withColumn("as_of_date", F.lit(AS_OF))
    found = rows.agg(sum_within("number", 7).alias("sum"), rows_within(7).alias("rows")).first()
    assert found is not None
    assert found.asDict() == {"sum": 110, "rows": 2}
    empty = rows.where("name = 'the day itself'")
    found = empty.agg(sum_within("number", 7).alias("sum"), rows_within(7).alias("rows")).first()
    assert found is not None
    assert found.asDict() == {"sum": 0, "rows": 0}


def test_age_is_one_for_the_day_before(spark: SparkSession) -> None:
    rows = local_rows(spark, [(AS_OF - timedelta(days=1), AS_OF)], "event_date date, as_of_date date")
    found = rows.select(age_days(F.col("event_date")).alias("age"), is_within(1).alias("within")).first()
    assert found is not None
    assert found.asDict() == {"age": 1, "within": True}


def test_days_are_utc_days(spark: SparkSession) -> None:
    rows = local_rows(spark, [(datetime(2017, 12, 17, 23, 59, 59),)], "event_ts timestamp")
    dated = rows.select(F.to_date("event_ts").alias("event_date"))
    assert events_before(dated, AS_OF, 1).count() == 1
