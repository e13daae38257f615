from datetime import date, datetime, timedelta

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.config import load_config
from recsys.frames.local_rows import local_rows
from recsys.scoring.new_items import AFFINITY, EXPLORATION, exploration_pool, new_item_lists, new_items, wanted
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

AS_OF = date(2017, 12, 18)
SETTINGS = load_config([], ["scenes.new_items_of_category=2"]).scenes
NEW = "item_id string, category string, first_date date, buyers bigint"
USERS = "user_id string, item_id string, category string"
WANTED = "user_id string, item_id string, score double"


def ago(days: int) -> date:
    return AS_OF - timedelta(days=days)


def at(days: int) -> datetime:
    return datetime(2017, 12, 18, 9) - timedelta(days=days)


def test_an_item_is_new_by_its_first_event_or_its_description(spark: SparkSession) -> None:
    events = [
        purchase("u", "first", at(10)), purchase("u", "first", at(2)), purchase("v", "first", at(2)),
        purchase("u", "old", at(11)), purchase("u", "old", at(1)),
        purchase("u", "looked_at", at(4), event_type=c.VIEW),
        purchase("u", "today", at(0)),
        purchase("u", "fee", at(1)),
    ]  # fmt: skip
    long_known = datetime(2017, 1, 1)
    known = {"first": long_known, "old": at(1), "looked_at": long_known, "today": long_known, "unsold": at(3)}
    items = [{c.ITEM_ID: item, c.IS_ELIGIBLE: True, c.CATEGORY: "x", c.KNOWN_TS: ts} for item, ts in known.items()]
    items += [
        {c.ITEM_ID: "fee", c.IS_ELIGIBLE: False},
        {c.ITEM_ID: "shelf", c.IS_ELIGIBLE: True, c.KNOWN_TS: long_known},
    ]
    found = new_items(rows_of(spark, tables.EVENTS, events), rows_of(spark, tables.ITEMS, items), AS_OF, days=10)
    assert {tuple(row) for row in found.collect()} == {
        ("first", "x", ago(10), 2),
        ("looked_at", "x", ago(4), 0),
        ("unsold", "x", ago(3), 0),
    }


def test_new_items_are_wanted_by_category_words_and_pace(spark: SparkSession) -> None:
    new = local_rows(
        spark,
        [
            ("n1", "tea", ago(3), 4),  # 5 buyers in 10 days, as it were
            ("n2", "tea", ago(8), 2),  # 3 in 15
            ("n3", "tea", ago(8), 1),  # the third of its category
            ("n4", "jam", ago(3), 4),
        ],
        NEW,
    )
    users = local_rows(
        spark,
        [("u", "a", "tea"), ("u", "a", "tea"), ("u", "b", "cup"), ("u", "n1", "tea"), ("v", "b", "cup")],
        USERS,
    )
    words = [("a", ["green", "tea"]), ("b", ["cup"]), ("n1", ["tea"]), ("n2", ["green", "cup"]), ("n3", ["tea"])]
    found = wanted(new, users, local_rows(spark, words, "item_id string, tokens array<string>"), AS_OF, SETTINGS)
    # u has bought n1. Of four purchases three are tea; two say green, one says cup.
    assert [tuple(row) for row in found.collect()] == [("u", "n2", pytest.approx(3 / 4 * (1 + 3 / 8) * 3 / 15))]


OWNED = "user_id string, item_id string"


def lists_of(spark: SparkSession, share: float, pool: str, n: int = 4, owned: str = "") -> DataFrame:
    """`owned`: by u alone."""
    scores = [(user, item, 1 / (1 + place)) for user in ("u", "v") for place, item in enumerate("abcde")]
    of_pool = local_rows(spark, [(item,) for item in pool], "item_id string")
    of_u = local_rows(spark, [("u", item) for item in owned], OWNED)
    return new_item_lists(local_rows(spark, scores, WANTED), of_pool, of_u, AS_OF, n, share)


def test_explored_items_are_drawn_from_the_rest_of_the_pool_with_their_probability(spark: SparkSession) -> None:
    rows = lists_of(spark, 0.5, "bpqrst").orderBy(c.USER_ID, c.RANK).collect()
    assert [(row[c.USER_ID], row[c.RANK], row[c.SOURCE], row[c.PROBABILITY]) for row in rows] == [
        (user, rank, source, probability)
        for user in ("u", "v")
        for rank, source, probability in (
            (1, AFFINITY, 1.0), (2, AFFINITY, 1.0), (3, EXPLORATION, 2 / 5), (4, EXPLORATION, 2 / 5),
        )
    ]  # fmt: skip
    of_u = [row[c.ITEM_ID] for row in rows if row[c.USER_ID] == "u"]
    assert of_u[:2] == ["a", "b"]
    assert set(of_u[2:]) <= set("pqrst")
    assert_df_equality(
        lists_of(spark, 0.5, "tsrqpb").repartition(3), lists_of(spark, 0.5, "bpqrst"), ignore_row_order=True
    )


def test_what_a_user_has_bought_is_not_drawn_and_the_probability_says_from_how_many(spark: SparkSession) -> None:
    rows = lists_of(spark, 0.5, "bpqrst", owned="prtz").orderBy(c.USER_ID, c.RANK).collect()
    drawn = [(row[c.USER_ID], row[c.ITEM_ID], row[c.PROBABILITY]) for row in rows if row[c.SOURCE] == EXPLORATION]
    assert {item for user, item, _ in drawn if user == "u"} == {"q", "s"}
    assert [(user, probability) for user, _, probability in drawn] == [
        ("u", 1.0), ("u", 1.0), ("v", 2 / 5), ("v", 2 / 5),
    ]  # fmt: skip


def test_a_pool_that_is_too_small_is_shown_whole(spark: SparkSession) -> None:
    rows = lists_of(spark, 0.5, "abp").where(F.col(c.USER_ID) == "u").orderBy(c.RANK).collect()
    assert [(row[c.ITEM_ID], row[c.PROBABILITY]) for row in rows] == [("a", 1.0), ("b", 1.0), ("p", 1.0)]


def test_without_exploration_the_list_is_by_affinity_alone(spark: SparkSession) -> None:
    rows = lists_of(spark, 0.0, "pq", n=3).where(F.col(c.USER_ID) == "v").orderBy(c.RANK).collect()
    assert [(row[c.ITEM_ID], row[c.SOURCE]) for row in rows] == [(item, AFFINITY) for item in "abc"]


def test_a_longer_list_begins_as_the_short_one_and_goes_on_with_the_users_own(spark: SparkSession) -> None:
    scores = [("u", item, 1 / (1 + place)) for place, item in enumerate("abcde")]
    wanted_by_u, pool = local_rows(spark, scores, WANTED), local_rows(spark, [("c",), ("q",)], "item_id string")
    none = local_rows(spark, [], OWNED)
    short, long = (
        [
            row[c.ITEM_ID]
            for row in new_item_lists(wanted_by_u, pool, none, AS_OF, 4, 0.5, depth=d).orderBy(c.RANK).collect()
        ]
        for d in (1, 3)
    )
    assert {*short} == {"a", "b", "c", "q"}
    assert long == [*short, "d", "e"], "c was drawn: it comes once"


def test_each_item_of_the_pool_is_drawn_as_often_as_is_written_down(spark: SparkSession) -> None:
    users = spark.range(2000).select(F.concat(F.lit("u"), "id").alias(c.USER_ID))
    scored = users.withColumns({c.ITEM_ID: F.lit("a"), c.SCORE: F.lit(1.0)})
    pool = local_rows(spark, [(item,) for item in "pqrst"], "item_id string")
    drawn = new_item_lists(scored, pool, local_rows(spark, [], OWNED), AS_OF, 4, 0.5).where(
        F.col(c.SOURCE) == EXPLORATION
    )
    counts = {row[c.ITEM_ID]: row["count"] / 2000 for row in drawn.groupBy(c.ITEM_ID).count().collect()}
    # Standard error of a share of 2/5: 0.011.
    assert counts == pytest.approx(dict.fromkeys("pqrst", 2 / 5), abs=0.04)


def test_the_pool_is_the_newest_items(spark: SparkSession) -> None:
    new = local_rows(
        spark,
        [
            ("a", "x", ago(5), 9),
            ("b", "x", ago(1), 1),
            ("c", "x", ago(1), 2),
            ("d", "x", ago(2), 2),
            ("e", "x", ago(2), 2),
        ],
        NEW,
    )
    assert {row[c.ITEM_ID] for row in exploration_pool(new, 3).collect()} == {"b", "c", "d"}
