from collections.abc import Mapping
from datetime import date, datetime
from math import log, sqrt
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.config import load_config
from recsys.frames.local_rows import local_rows
from recsys.scoring.substitutes import co_views, described_items, newest_of_need, similar_items, turns
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

AS_OF = date(2017, 12, 18)
DAY = datetime(2017, 12, 1, 9)
SETTINGS = load_config(
    [],
    [
        "scenes.history_days=30",
        "scenes.pair_min_baskets=2",
        "scenes.similar_candidates=2",
        "scenes.similar_weights={text: 1.0, price: 0.5, turns: 2.0, views: 4.0, vectors: 3.0}",
    ],
).scenes
DESCRIBED = "item_id string, category string, buyers bigint, price_cents double, is_new boolean, "
DESCRIBED += "weights map<string,double>, item_vector array<float>"
TURNS = "item_id string, neighbour_id string, turn_cosine double, is_complement boolean"
VIEWS = "item_id string, neighbour_id string, view_cosine double"


def items_of(
    spark: SparkSession, known: Mapping[str, datetime] | None = None, /, **categories: str | None
) -> DataFrame:
    rows = [
        {c.ITEM_ID: item, c.CATEGORY: category, c.IS_ELIGIBLE: True, c.KNOWN_TS: (known or {}).get(item)}
        for item, category in categories.items()
    ]
    return rows_of(spark, tables.ITEMS, rows)


def baskets_of(spark: SparkSession, *baskets: tuple[str, str, str]) -> DataFrame:
    """Each with its user, name and items, a letter an item."""
    lines = [(user, name, date(2017, 12, 1), item) for user, name, items in baskets for item in items]
    return local_rows(spark, lines, "user_id string, basket string, event_date date, item_id string")


def test_similarities_are_weighed_and_complements_left_out(spark: SparkSession) -> None:
    described = local_rows(
        spark,
        [
            ("a", "tea", 9, 200.0, False, {"green": 2.0, "tea": 1.0}, [0.6, 0.8]),
            ("b", "tea", 8, 100.0, False, {"black": 2.0, "tea": 1.0}, [1.0, 0.0]),
            (
                "c",
                "tea",
                7,
                None,
                False,
                {"green": 2.0, "tea": 1.0},
                [-1.0, 0.0],
            ),
            ("d", "cup", 9, 200.0, False, None, None),  # of another category, looked at beside a
            ("e", None, 9, 200.0, False, {"green": 2.0, "tea": 1.0}, None),
        ],
        DESCRIBED,
    )
    in_turn = local_rows(spark, [("a", "b", 0.3, False), ("c", "a", 0.9, True)], TURNS)
    views = local_rows(spark, [("a", "d", 0.25), ("a", "gone", 0.9)], VIEWS)
    found = similar_items(described, in_turn, views, 5, SETTINGS).orderBy(c.ITEM_ID, c.RANK).collect()
    assert [(row[c.ITEM_ID], row[c.RANK], row[c.NEIGHBOUR_ID]) for row in found] == [
        ("a", 1, "b"),
        ("a", 2, "d"),
        ("b", 1, "a"),
        ("c", 1, "b"),  # a completes it
    ]
    assert [row[c.TEXT_COSINE] for row in found] == pytest.approx([1 / 5, 0, 1 / 5, 1 / 5])
    assert [row[c.PRICE_CLOSENESS] for row in found] == [0.5, 1.0, 0.5, 0.0]
    assert [row[c.VECTOR_COSINE] for row in found] == pytest.approx([0.6, 0, 0.6, 0])
    expected = [0.2 + 0.25 + 2 * 0.3 + 3 * 0.6, 0.5 + 4 * 0.25, 0.2 + 0.25 + 3 * 0.6, 0.2]
    assert [row[c.SCORE] for row in found] == pytest.approx(expected)


def test_items_are_described_by_what_was_sold_or_is_new(spark: SparkSession) -> None:
    lines = [
        purchase("u", "a", DAY, quantity=2.0, amount_cents=300),
        purchase("u", "a", DAY, quantity=1.0, amount_cents=300),
        purchase("v", "a", DAY, quantity=1.0, amount_cents=0),  # given away: no price
        purchase("v", "b", DAY, quantity=None, amount_cents=100),
        purchase("v", "fee", DAY),
    ]
    named = [("a", "tea"), ("b", "tea"), ("unsold", "cup"), ("new", "cup")]
    of_day = datetime(2017, 12, 18, 1)
    known = {"a": of_day, "unsold": datetime(2017, 11, 19), "new": datetime(2017, 11, 20), "secret": of_day}
    items = items_of(spark, known, a="tea", b="tea", unsold="cup", new="cup", secret="cup")
    vectors = local_rows(spark, [("b", [1.0])], "item_id string, item_vector array<float>")
    words = local_rows(spark, [(item, [name, name]) for item, name in named], "item_id string, tokens array<string>")
    found = described_items(rows_of(spark, tables.EVENTS, lines), items, words, vectors, AS_OF, SETTINGS)
    # Of three items two have the first word: log(4 / 3) + 1.
    tea, cup = {"tea": pytest.approx(log(4 / 3) + 1)}, {"cup": pytest.approx(log(4 / 2) + 1)}
    assert [tuple(row) for row in found.orderBy(c.ITEM_ID).collect()] == [
        ("a", 2, 200.0, "tea", False, tea, None),
        ("b", 1, None, "tea", False, tea, [1.0]),
        ("new", 0, None, "cup", True, cup, None),
    ]


def test_a_new_item_without_a_sale_has_neighbours_by_its_words_and_is_one(spark: SparkSession) -> None:
    """Two rivals of each category stand before it, and it has none of its own."""
    old = [(item, "tea", 9, None, False, {item: 2.0, "tea": 1.0}, None) for item in "abd"]
    mint = {"mint": 2.0, "tea": 1.0}
    described = local_rows(
        spark, [*old, ("m", "tea", 1, None, False, mint, None), ("new", None, 0, None, True, mint, None)], DESCRIBED
    )
    no_turns, no_views = (local_rows(spark, [], schema) for schema in (TURNS, VIEWS))
    found = similar_items(described, no_turns, no_views, 1, SETTINGS).collect()
    first = {row[c.ITEM_ID]: row[c.NEIGHBOUR_ID] for row in found}
    assert (first["new"], first["m"]) == ("m", "new")


def test_rare_words_weigh_more(spark: SparkSession) -> None:
    items = items_of(spark, a="tea", b="tea", d="tea")
    lines = [purchase("u", item, DAY) for item in "abd"]
    words = local_rows(
        spark, [("a", ["tea", "green"]), ("b", ["tea"]), ("d", ["tea"])], "item_id string, tokens array<string>"
    )
    found = {
        row[c.ITEM_ID]: row["weights"]
        for row in described_items(rows_of(spark, tables.EVENTS, lines), items, words, None, AS_OF, SETTINGS).collect()
    }
    assert found["a"] == pytest.approx({"tea": 1.0, "green": log(4 / 2) + 1})


def test_items_of_one_need_are_bought_in_turn_or_together(spark: SparkSession) -> None:
    items = items_of(spark, a="tea", b="tea", x="jam", y="jam", z="cup")
    baskets = [
        ("u", "1", "axy"), ("u", "2", "bxy"), ("u", "3", "az"), ("u", "4", "z"),  # a or b; x with y
        ("v", "1", "axy"), ("v", "2", "b"), ("v", "3", "az"), ("v", "4", "z"),
        ("w", "1", "a"), ("w", "2", "x"),
    ]  # fmt: skip
    found = turns(baskets_of(spark, *baskets), items, AS_OF, SETTINGS).orderBy(*("item_id", "neighbour_id")).collect()
    assert [(row[c.ITEM_ID], row[c.NEIGHBOUR_ID], row["is_complement"]) for row in found] == [
        ("a", "b", False),
        ("b", "a", False),
        ("x", "y", True),  # three baskets; chance: 2·2/4 of u and 1·1/4 of v
        ("y", "x", True),
    ]
    # Users with both: 2; a has three buyers, b two.
    assert [row[c.TURN_COSINE] for row in found] == pytest.approx([2 / sqrt(6)] * 4)


def test_views_of_one_day_bring_items_together(spark: SparkSession) -> None:
    viewed = baskets_of(spark, ("u", "d1", "ab"), ("v", "d1", "abc"), ("w", "d1", "ac"), ("w", "d0", "d"))
    found = co_views(viewed, AS_OF, 1, SETTINGS).orderBy(c.ITEM_ID).collect()
    # a: three days, b and c: two each; a's nearest are equal, the smaller id stays.
    assert [tuple(row)[:2] for row in found] == [("a", "b"), ("b", "a"), ("c", "a")]
    assert [row[c.VIEW_COSINE] for row in found] == pytest.approx([2 / sqrt(6)] * 3)


def test_the_newest_item_of_a_need_is_asked_for(spark: SparkSession) -> None:
    later = datetime(2017, 12, 2, 9)
    lines: list[dict[str, Any]] = [
        purchase("u", "a", DAY),
        purchase("u", "c", later),
        purchase("u", "b", later),  # the same moment: the smaller id
        purchase("u", "x", DAY),
        purchase("u", "nameless", later),
    ]
    items = items_of(spark, a="tea", b="tea", c="tea", x="jam", nameless=None)
    found = newest_of_need(rows_of(spark, tables.EVENTS, lines), items).collect()
    assert {tuple(row) for row in found} == {("u", "tea", "b"), ("u", "jam", "x")}
