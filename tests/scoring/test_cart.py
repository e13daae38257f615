from datetime import date, datetime
from math import log

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.config import load_config
from recsys.frames.local_rows import local_rows
from recsys.scoring.cart import complements, completions, item_pairs, log_lifts, open_carts
from tests.feature_rows import rows_of

AS_OF = date(2017, 12, 18)
SETTINGS = load_config(
    [], ["scenes.history_days=30", "scenes.pair_min_baskets=2", "scenes.pair_prior_baskets=1.0"]
).scenes
PAIRS = "item_id string, neighbour_id string, support bigint, lift double, score double"


def baskets_of(spark: SparkSession, *baskets: tuple[str, date, str]) -> DataFrame:
    """Each of another user, with its name, day and items, a letter an item."""
    lines = [(f"u{name}", name, day, item) for name, day, items in baskets for item in items]
    return local_rows(spark, lines, "user_id string, basket string, event_date date, item_id string")


def items_of(spark: SparkSession, eligible: str, others: str = "") -> DataFrame:
    rows = [{c.ITEM_ID: item, c.IS_ELIGIBLE: item in eligible} for item in eligible + others]
    return rows_of(spark, tables.ITEMS, rows)


def test_pairs_are_believed_by_their_baskets(spark: SparkSession) -> None:
    log_of_baskets = baskets_of(
        spark,
        ("1", date(2017, 12, 17), "abc"),
        ("2", date(2017, 11, 18), "ab"),  # the first of the thirty days
        ("3", date(2017, 12, 2), "ad"),
        ("4", date(2017, 12, 3), "cd"),  # c and d meet once only
        ("5", date(2017, 12, 18), "cd"),  # the day itself
        ("6", date(2017, 11, 17), "cd"),  # the day before them
    )
    # a lies in 3 of 4 baskets, b in 2: chance gives 1.5 with both.
    expected = local_rows(spark, [(*pair, 2, 2 / 1.5, (2 + 1) / (1.5 + 1)) for pair in (("a", "b"), ("b", "a"))], PAIRS)
    actual = item_pairs(log_of_baskets, AS_OF, SETTINGS)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_complements_are_above_chance_eligible_and_tied_by_support_then_id(spark: SparkSession) -> None:
    pairs = local_rows(
        spark,
        [
            ("a", "d", 9, 2.0, 1.5),  # as good as b and c, and seen more often
            ("a", "c", 3, 2.0, 1.5),
            ("a", "b", 3, 2.0, 1.5),
            ("a", "e", 3, 3.0, 1.2),  # the fourth
            ("a", "fee", 9, 9.0, 9.0),
            ("b", "a", 40, 0.9, 0.95),  # bananas: often, and no more than by chance
        ],
        PAIRS,
    )
    found = complements(pairs, items_of(spark, "abcde", "f"), 3).orderBy(c.RANK).collect()
    assert [tuple(row) for row in found] == [
        ("a", 1, "d", 2.0, 9, 1.5),
        ("a", 2, "b", 2.0, 3, 1.5),
        ("a", 3, "c", 2.0, 3, 1.5),
    ]


def test_a_cart_is_completed_by_the_product_of_lifts(spark: SparkSession) -> None:
    best = local_rows(
        spark,
        [
            ("a", 1, "x", 9.0, 9, 3.0),
            ("a", 2, "b", 9.0, 9, 9.0),  # is in the cart
            ("a", 3, "y", 9.0, 9, 2.0),
            ("b", 1, "y", 9.0, 9, 2.0),  # 2 · 2 beats 3
            ("b", 2, "w", 9.0, 9, 3.0),  # ties with x
            ("c", 1, "z", 9.0, 9, 9.0),  # is in no cart
        ],
        "item_id string, rank int, neighbour_id string, lift double, support bigint, score double",
    )
    carts = local_rows(spark, [("u", "a"), ("u", "b"), ("v", "a")], "user_id string, item_id string")
    found = completions(carts, log_lifts(best), 2, c.USER_ID).orderBy(c.USER_ID, c.RANK).collect()
    assert [tuple(row)[:3] for row in found] == [("u", 1, "y"), ("u", 2, "w"), ("v", 1, "b"), ("v", 2, "x")]
    assert [row[c.SCORE] for row in found] == pytest.approx([log(4), log(3), log(9), log(3)], abs=1e-6)


def test_a_planted_pair_is_found_beside_what_everybody_buys(spark: SparkSession) -> None:
    """Milk lies in every basket, tea and lemon always together, in one basket of five."""
    baskets = [(str(number), date(2017, 12, 1), "mtl" if number % 5 == 0 else "mo") for number in range(40)]
    pairs = item_pairs(baskets_of(spark, *baskets), AS_OF, SETTINGS)
    best = complements(pairs, items_of(spark, "mtlo"), 10)
    carts = local_rows(spark, [("u", "t")], "user_id string, item_id string")
    assert [row[c.ITEM_ID] for row in completions(carts, log_lifts(best), 10, c.USER_ID).collect()] == ["l"]


def test_a_cart_is_open_until_its_item_is_bought(spark: SparkSession) -> None:
    early, late = datetime(2017, 12, 16, 9), datetime(2017, 12, 17, 9)
    events = [
        ("u", "bought", c.CART, early), ("u", "bought", c.PURCHASE, late),
        ("u", "again", c.PURCHASE, early), ("u", "again", c.CART, late),
        ("u", "old", c.CART, datetime(2017, 12, 14, 23)),
        ("u", "seen", c.VIEW, late),
        ("v", "bought", c.CART, late),
    ]  # fmt: skip
    rows = [
        {c.USER_ID: user, c.ITEM_ID: item, c.EVENT_TYPE: kind, c.EVENT_TS: at, c.EVENT_DATE: at.date()}
        for user, item, kind, at in events
    ]
    found = open_carts(rows_of(spark, tables.EVENTS, rows), AS_OF, 3).collect()
    assert {tuple(row) for row in found} == {("u", "again"), ("v", "bought")}
