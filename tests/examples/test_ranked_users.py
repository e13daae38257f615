from datetime import date

from pyspark.sql import SparkSession

from recsys import columns as c
from recsys.examples.ranked_users import drawn_buyers, ranked_pairs

BOUGHT = [("u", "a"), ("u", "b"), ("u", "z"), ("v", "a"), ("w", "c")]
DAY = date(2017, 11, 20)


def test_of_the_drawn_users_all_candidates_stand_with_what_each_bought_in_all(spark: SparkSession) -> None:
    bought = spark.createDataFrame(BOUGHT, f"{c.USER_ID} string, {c.ITEM_ID} string")
    candidates = spark.createDataFrame(
        [
            (DAY, "u", "a", "own"),
            (DAY, "u", "b", "own"),
            (DAY, "u", "c", "popular"),
            (DAY, "v", "b", "popular"),
            (DAY, "x", "a", "own"),
        ],
        f"{c.AS_OF_DATE} date, {c.USER_ID} string, {c.ITEM_ID} string, source string",
    )
    buyers = drawn_buyers(bought, 3)
    rows = ranked_pairs(candidates, bought, buyers).collect()
    # z is no candidate of u, and counts; w bought and has no candidates; x bought nothing.
    assert {(row[c.USER_ID], row[c.ITEM_ID], row[c.LABEL], row[c.NUM_RELEVANT]) for row in rows} == {
        ("u", "a", 1.0, 3), ("u", "b", 1.0, 3), ("u", "c", 0.0, 3), ("v", "b", 0.0, 1),
    }  # fmt: skip
    assert len(rows) == 4
    assert {row[c.AS_OF_DATE] for row in rows} == {DAY}


def test_users_are_drawn_by_hash_whatever_the_partitions(spark: SparkSession) -> None:
    bought = spark.createDataFrame([(f"u{n}", "a") for n in range(50)], f"{c.USER_ID} string, {c.ITEM_ID} string")
    first, again = (
        {row[c.USER_ID] for row in drawn_buyers(rows, 10).collect()}
        for rows in (bought.coalesce(1), bought.repartition(4))
    )
    assert first == again
    assert len(first) == 10
    assert first != {f"u{n}" for n in range(10)}
