from dataclasses import replace
from datetime import date, timedelta
from math import exp, sqrt

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.config import load_config
from recsys.frames.local_rows import local_rows
from recsys.scoring.buy_again import due_items, due_probability, intervals, repeat_shares
from tests.feature_rows import rows_of

AS_OF = date(2017, 12, 18)
SETTINGS = load_config([], ["scenes.history_days=100", "scenes.interval_prior_gaps=2.0", "scenes.due_days=7"]).scenes


def days_of(spark: SparkSession, bought: dict[tuple[str, str], list[int]]) -> DataFrame:
    """Days before the run date on which each user bought each item."""
    rows = [(user, item, AS_OF - timedelta(days=day)) for (user, item), days in bought.items() for day in days]
    return local_rows(spark, rows, "user_id string, item_id string, event_date date")


def items_of(spark: SparkSession, *eligible: str) -> DataFrame:
    return rows_of(spark, tables.ITEMS, [{c.ITEM_ID: item, c.IS_ELIGIBLE: True} for item in eligible])


def test_intervals_are_the_users_own_drawn_towards_the_items(spark: SparkSession) -> None:
    bought = {("u", "milk"): [21, 14, 7], ("v", "milk"): [30], ("u", "soap"): [70, 10], ("v", "salt"): [5]}
    found = {
        (row[c.USER_ID], row[c.ITEM_ID]): row for row in intervals(days_of(spark, bought), AS_OF, SETTINGS).collect()
    }
    mean = (14 + 60) / 3
    milk, soap = (14 + 2 * mean) / (2 + 2), (60 + 2 * mean) / (1 + 2)
    assert {pair: row[c.INTERVAL_DAYS] for pair, row in found.items()} == pytest.approx(
        {
            ("u", "milk"): (14 + 2 * milk) / (2 + 2),
            ("v", "milk"): milk,  # bought once: the item's
            ("u", "soap"): (60 + 2 * soap) / (1 + 2),
            ("v", "salt"): mean,  # no gap of it is known: that of all items
        }
    )
    assert (found["u", "milk"][c.PURCHASE_DAYS], found["u", "milk"][c.LAST_DATE]) == (3, date(2017, 12, 11))


def test_without_any_gap_the_interval_is_the_whole_history(spark: SparkSession) -> None:
    (row,) = intervals(days_of(spark, {("u", "milk"): [3]}), AS_OF, SETTINGS).collect()
    assert row[c.INTERVAL_DAYS] == pytest.approx(100)


def test_the_probability_is_that_of_the_formula(spark: SparkSession) -> None:
    rows = local_rows(spark, [(10, 20.0, 3), (0, 20.0, 1), (365, 1.0, 5)], "elapsed int, gap double, days bigint")
    score = due_probability(F.col("elapsed"), F.col("gap"), F.col("days"), 7)
    found = [row[0] for row in rows.select(score).collect()]
    # Erlang with two steps of ten days each: S(10) = 2 / e, S(17) = 2.7 / e^1.7; after three purchases 1 in 4 gives up.
    still, later = 2 * exp(-1), 2.7 * exp(-1.7)
    assert found[0] == pytest.approx(0.75 * (still - later) / (0.75 * still + 0.25))
    assert found[1] == pytest.approx(0.5 * (1 - 1.7 * exp(-0.7)))
    assert found[2] == pytest.approx(0, abs=1e-12)  # a year without what was bought daily: given up


def test_what_is_due_comes_before_what_was_just_bought_and_what_was_given_up(spark: SparkSession) -> None:
    weekly = {"due": 7, "fresh": 1, "gone": 60}
    bought = {("u", item): [last + 7 * week for week in range(6)] for item, last in weekly.items()}
    bought |= {("u", "fee"): [7, 14, 21], ("u", "old"): [101, 108], ("v", "due"): [0]}
    soon = replace(SETTINGS, due_days=3)
    found = due_items(days_of(spark, bought), items_of(spark, *weekly, "old"), AS_OF, 10, soon).collect()
    assert [(row[c.USER_ID], row[c.RANK], row[c.ITEM_ID]) for row in found] == [
        ("u", 1, "due"),
        ("u", 2, "fresh"),
        ("u", 3, "gone"),
    ]
    assert all(0 < row[c.DUE_PROBABILITY] < 1 for row in found)


def test_the_score_is_that_of_the_formula(spark: SparkSession) -> None:
    bought = {("u", "milk"): [2, 9, 16], ("v", "milk"): [30], ("w", "milk"): [1]}
    found = due_items(days_of(spark, bought), items_of(spark, "milk"), AS_OF, 10, SETTINGS).collect()
    (row,) = (row for row in found if row[c.USER_ID] == "u")
    weight = sum(exp(-day / 180) for day in (2, 9, 16))
    repeat = (1 + 10 * (2 / 4)) / (3 + 10)
    expected = weight * row[c.DUE_PROBABILITY] ** 0.25 * sqrt(repeat)
    assert row[c.SCORE] == pytest.approx(expected, abs=1e-5)


def test_repeat_shares_are_drawn_towards_that_of_all_items_and_never_0(spark: SparkSession) -> None:
    bought = {("u", "milk"): [1, 2], ("v", "milk"): [1, 2], ("u", "soap"): [1], ("v", "salt"): [3]}
    shares = repeat_shares(intervals(days_of(spark, bought), AS_OF, SETTINGS), 2.0).collect()
    of_all = 3 / 5
    assert dict(map(tuple, shares)) == pytest.approx(
        {"milk": (2 + 2 * of_all) / 4, "soap": 2 * of_all / 3, "salt": 2 * of_all / 3}
    )


def test_equal_items_come_in_the_order_of_their_ids(spark: SparkSession) -> None:
    bought = {("u", item): [3, 10] for item in ("c", "a", "b")}
    items = items_of(spark, "a", "b", "c")
    found = due_items(days_of(spark, bought).repartition(3), items, AS_OF, 2, SETTINGS).orderBy(c.RANK).collect()
    assert [row[c.ITEM_ID] for row in found] == ["a", "b"]
