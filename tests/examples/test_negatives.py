from collections import Counter
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from recsys.examples.negatives import keep_sampled
from recsys.frames.local_rows import local_rows

AS_OF, LATER = date(2017, 11, 20), date(2017, 12, 4)


def test_a_positive_of_a_low_grade_counts_like_any_other(spark: SparkSession) -> None:
    graded = [(AS_OF, "u", "viewed", 0.2), (AS_OF, "u", "in cart", 0.5), *((AS_OF, "u", str(n), 0.0) for n in range(9))]
    rows = local_rows(spark, graded, "as_of_date date, user_id string, item_id string, label float")
    sampled = keep_sampled(rows, 3).collect()
    assert sorted(round(row["label"], 1) for row in sampled) == [*[0.0] * 6, 0.2, 0.5]


def labelled(spark: SparkSession, *lists: tuple[date, str, int, int]) -> DataFrame:
    """For each (cut-off, user, positives, negatives) that many items with label 1 and 0."""
    rows = []
    for as_of, user, positives, negatives in lists:
        rows += [(as_of, user, f"bought {number}", 1.0) for number in range(positives)]
        rows += [(as_of, user, f"item {number}", 0.0) for number in range(negatives)]
    return local_rows(spark, rows, "as_of_date date, user_id string, item_id string, label float")


def kept(rows: DataFrame, negatives_per_positive: int) -> set[tuple[date, str, str]]:
    sampled = keep_sampled(rows, negatives_per_positive).collect()
    return {(row["as_of_date"], row["user_id"], row["item_id"]) for row in sampled}


def test_every_positive_stays_with_its_number_of_negatives(spark: SparkSession) -> None:
    rows = labelled(spark, (AS_OF, "two", 2, 50), (AS_OF, "one", 1, 50), (LATER, "two", 1, 50))
    sampled = keep_sampled(rows, 3)
    counts = Counter((row["as_of_date"], row["user_id"], row["label"]) for row in sampled.collect())
    assert counts == {
        (AS_OF, "two", 1.0): 2,
        (AS_OF, "two", 0.0): 6,
        (AS_OF, "one", 1.0): 1,
        (AS_OF, "one", 0.0): 3,
        (LATER, "two", 1.0): 1,
        (LATER, "two", 0.0): 3,
    }
    assert sampled.columns == rows.columns


def test_a_user_without_a_positive_falls_out_and_one_with_few_candidates_keeps_them_all(spark: SparkSession) -> None:
    rows = labelled(spark, (AS_OF, "none", 0, 50), (AS_OF, "few", 1, 2))
    assert kept(rows, 3) == {(AS_OF, "few", item) for item in ("bought 0", "item 0", "item 1")}


def test_the_draw_does_not_depend_on_partitions_and_differs_by_user_and_cut_off(spark: SparkSession) -> None:
    rows = labelled(spark, (AS_OF, "a", 1, 50), (AS_OF, "b", 1, 50), (LATER, "a", 1, 50))
    draws = [kept(rows.repartition(number, "item_id"), 5) for number in (1, 7)]
    assert draws[0] == draws[1]
    items = [{item for as_of, user, item in draws[0] if (as_of, user) == key} for key in ((AS_OF, "a"), (AS_OF, "b"))]
    later = {item for as_of, _, item in draws[0] if as_of == LATER}
    assert items[0] != items[1]
    assert items[0] != later
