from datetime import datetime

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys.clean.duplicates import Parted, merged, part, part_merged
from recsys.clean.rules import Judged
from recsys.frames.local_rows import local_rows

KEPT = "source_file string, source_row long"
MAY_1, MAY_2 = datetime(2024, 5, 1), datetime(2024, 5, 2)  # when b.csv became known, and the others
LEFT_OUT = f"{KEPT}, reasons array<string>, is_duplicate boolean"


def judged(spark: SparkSession, rows: list[tuple[str, int, str | None, str, list[str]]], partitions: int = 1) -> Judged:
    """Rows of file, number, key, raw text and reasons; equal texts have equal hashes, as do two that differ."""
    schema = "source_file string, source_row long, key string, _line string, reasons array<string>"
    return as_judged(local_rows(spark, rows, schema).repartition(partitions))


def as_judged(rows: DataFrame) -> Judged:
    with_flags = rows.withColumns(
        {
            # The length as hash: different texts share it, as two of a billion records may.
            "content_hash": F.length("_line").cast("bigint"),
            "known_ts": F.when(F.col("source_file") == "b.csv", F.lit(MAY_1)).otherwise(F.lit(MAY_2)),
            "is_good": F.size("reasons") == 0,
            "is_malformed": F.lit(False),
            "record": F.struct(F.col("_line").alias("value")),
        }
    )
    return Judged(rows=with_flags, reasons=F.col("reasons"))


def expect(spark: SparkSession, parted: Parted, kept: list[object], left_out: list[object]) -> None:
    options = {"ignore_nullable": True, "ignore_row_order": True}
    assert_df_equality(parted.kept.select("source_file", "source_row"), local_rows(spark, kept, KEPT), **options)
    found = parted.left_out.select("source_file", "source_row", "reasons", "is_duplicate")
    assert_df_equality(found, local_rows(spark, left_out, LEFT_OUT), **options)


@pytest.fixture(params=[1, 5])
def partitions(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_of_equal_records_the_first_by_file_and_number_is_kept(spark: SparkSession, partitions: int) -> None:
    rows = judged(
        spark,
        [
            ("b.csv", 1, "k", "same", []),
            ("a.csv", 10, "k", "same", []),
            ("a.csv", 9, "k", "same", []),  # 9 before 10: numbers, not text
            ("a.csv", 1, "k", "else", []),  # the same hash, another record
            ("a.csv", 2, "k", "alone", []),
        ],
        partitions,
    )
    expect(
        spark,
        part(rows, key=[]),
        kept=[("a.csv", 1), ("a.csv", 2), ("a.csv", 9)],
        left_out=[("a.csv", 10, ["exact_duplicate"], True), ("b.csv", 1, ["exact_duplicate"], True)],
    )


def test_of_one_key_the_first_is_kept_and_others_differ_or_not(spark: SparkSession, partitions: int) -> None:
    rows = judged(
        spark,
        [
            ("a.csv", 1, "k", "first", []),
            ("a.csv", 2, "k", "other", []),
            ("a.csv", 3, "k", "first", []),
            ("a.csv", 4, "l", "first", []),
        ],
        partitions,
    )
    expect(
        spark,
        part(rows, key=["key"]),
        kept=[("a.csv", 1), ("a.csv", 4)],
        left_out=[("a.csv", 2, ["key_duplicate"], True), ("a.csv", 3, ["exact_duplicate"], True)],
    )


def test_a_kept_row_is_known_since_the_first_file_that_said_so(spark: SparkSession) -> None:
    """Its path stands first, and it came last."""
    rows = judged(
        spark,
        [
            ("a.csv", 1, "k", "same", []), ("b.csv", 1, "k", "same", []), ("c.csv", 1, "k", "same", []),
            ("a.csv", 2, "l", "one", []), ("b.csv", 2, "l", "two", []),  # says something else
            ("a.csv", 3, "m", "three", []),
        ],
    )  # fmt: skip
    kept = part(rows, key=["key"]).kept.orderBy("source_row").select("source_file", "source_row", "known_ts")
    assert list(map(tuple, kept.collect())) == [("a.csv", 1, MAY_1), ("a.csv", 2, MAY_2), ("a.csv", 3, MAY_2)]


def test_a_row_that_breaks_a_rule_does_not_stand_in_a_good_rows_way(spark: SparkSession) -> None:
    rows = judged(
        spark,
        [
            ("a.csv", 1, "k", "bad", ["bad_time"]),
            ("a.csv", 2, "k", "bad", ["bad_time"]),
            ("a.csv", 3, "k", "good", []),
        ],
    )
    expect(
        spark,
        part(rows, key=["key"]),
        kept=[("a.csv", 3)],
        left_out=[("a.csv", 1, ["bad_time"], False), ("a.csv", 2, ["bad_time"], False)],
    )


def test_nothing_in_nothing_out(spark: SparkSession) -> None:
    expect(spark, part(judged(spark, []), key=["key"]), kept=[], left_out=[])


def test_merged_rows_take_the_most_frequent_value_and_the_smallest_at_a_tie(spark: SparkSession) -> None:
    schema = "source_file string, source_row long, item_id string, name string, _line string, reasons array<string>"
    rows = local_rows(
        spark,
        [
            ("b.csv", 1, "i1", "lamp", "", []),
            ("b.csv", 2, "i1", "lamp", "", []),
            ("a.csv", 2, "i1", "bulb", "", []),
            ("a.csv", 3, "i1", None, "", []),
            ("a.csv", 4, "i1", None, "", []),
            ("a.csv", 5, "i1", None, "", []),  # blank is no value, however frequent
            ("a.csv", 6, "i2", "tea", "", []),
            ("a.csv", 7, "i2", "cup", "", []),
            ("a.csv", 8, "i3", None, "", []),
            ("a.csv", 9, None, "pot", "", ["missing_item"]),
        ],
        schema,
    )
    parted, counted = part_merged(as_judged(rows), "item_id", ["name"])
    expected = local_rows(
        spark,
        [("i1", "lamp", MAY_1, "a.csv", 2), ("i2", "cup", MAY_2, "a.csv", 6), ("i3", None, MAY_2, "a.csv", 8)],
        "item_id string, name string, known_ts timestamp, source_file string, source_row long",
    )
    found = merged(counted, "item_id", ["name"])
    assert_df_equality(found, expected, ignore_nullable=True, ignore_row_order=True)
    assert {tuple(row) for row in counted.where("item_id = 'i1'").collect()} == {
        ("b.csv", "i1", "lamp", 2, 1, MAY_1), ("a.csv", "i1", "bulb", 1, 2, MAY_2), ("a.csv", "i1", None, 3, 3, MAY_2),
    }  # fmt: skip
    assert [row["source_row"] for row in parted.left_out.collect()] == [9]
    assert parted.kept.count() == 9
