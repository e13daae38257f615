from datetime import date

import pytest
from chispa import assert_df_equality

from recsys import columns as c
from recsys import tables
from recsys.evaluation.baselines import PERSONAL, POPULAR, baseline_lists, popular_ranks
from recsys.evaluation.lists import NEW_ITEMS_ONLY, REPEATS_ALLOWED
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of

DAY = date(2017, 12, 4)
RANKS = "item_id string, popular_rank int"


@pytest.fixture
def ranks(spark):
    return local_rows(spark, [(item, number) for number, item in enumerate("abcde", start=1)], RANKS)


@pytest.fixture
def users(spark):
    return local_rows(spark, [("u1",), ("cold",)], "user_id string")


@pytest.fixture
def user_items(spark):
    owned = [
        ("d", 5, 9),
        ("c", 2, 1),  # as many days as a and b, latest of them
        ("a", 2, 4),
        ("b", 2, 4),  # a tie with a
        ("fee", 9, 1),  # not eligible: has no popular rank
    ]
    return rows_of(
        spark,
        tables.USER_ITEM_FEATURES,
        [
            {
                c.AS_OF_DATE: DAY,
                c.USER_ID: "u1",
                c.ITEM_ID: item,
                c.USER_ITEM_PURCHASES_365D: days,
                c.USER_ITEM_RECENCY_DAYS: recency,
            }
            for item, days, recency in owned
        ],
    )


def lists_of(frame):
    found = {}
    for row in sorted(frame.collect(), key=lambda row: row[c.RANK]):
        found.setdefault((row[c.LIST_KIND], row[c.RECOMMENDER], row[c.USER_ID]), []).append(row[c.ITEM_ID])
    return found


def test_baselines_of_a_user_with_history_and_of_one_without(ranks, users, user_items):
    assert lists_of(baseline_lists(users, user_items, ranks, k=3)) == {
        (REPEATS_ALLOWED, POPULAR, "u1"): ["a", "b", "c"],
        (REPEATS_ALLOWED, PERSONAL, "u1"): ["d", "c", "a"],
        (NEW_ITEMS_ONLY, POPULAR, "u1"): ["e"],  # four of five are the user's own
        (NEW_ITEMS_ONLY, PERSONAL, "u1"): ["e"],
        (REPEATS_ALLOWED, POPULAR, "cold"): ["a", "b", "c"],
        (REPEATS_ALLOWED, PERSONAL, "cold"): ["a", "b", "c"],
        (NEW_ITEMS_ONLY, POPULAR, "cold"): ["a", "b", "c"],
        (NEW_ITEMS_ONLY, PERSONAL, "cold"): ["a", "b", "c"],
    }


def test_own_items_are_filled_up_with_popular_ones_that_are_not_there_yet(ranks, users, user_items):
    found = lists_of(baseline_lists(users, user_items, ranks, k=5))
    assert found[REPEATS_ALLOWED, PERSONAL, "u1"] == ["d", "c", "a", "b", "e"]


def test_after_what_a_user_bought_comes_what_lay_in_the_cart_then_what_was_viewed(spark, ranks, users):
    looked_at = [("d", 1, 90, None, 3), ("a", 0, None, None, 1), ("c", 0, None, None, 2), ("e", 0, None, 20, 20)]
    columns = (
        c.ITEM_ID, c.USER_ITEM_PURCHASES_365D, c.USER_ITEM_RECENCY_DAYS,
        c.USER_ITEM_CART_RECENCY_DAYS, c.USER_ITEM_VIEW_RECENCY_DAYS,
    )  # fmt: skip
    own = [{c.AS_OF_DATE: DAY, c.USER_ID: "u1", **dict(zip(columns, row, strict=True))} for row in looked_at]
    found = lists_of(baseline_lists(users, rows_of(spark, tables.USER_ITEM_FEATURES, own), ranks, k=4))
    assert found[REPEATS_ALLOWED, PERSONAL, "u1"] == ["d", "e", "a", "c"]
    assert found[NEW_ITEMS_ONLY, PERSONAL, "u1"] == ["e", "a", "c", "b"]  # d was bought
    assert found[NEW_ITEMS_ONLY, POPULAR, "u1"] == ["a", "b", "c", "e"]


def test_ranks_start_at_1_without_a_gap(ranks, users, user_items):
    rows = baseline_lists(users, user_items, ranks, k=2).where("recommender = 'personal' AND user_id = 'cold'")
    assert sorted(row[c.RANK] for row in rows.collect()) == [1, 1, 2, 2]


def test_baselines_do_not_depend_on_the_partitioning(ranks, users, user_items):
    assert_df_equality(
        baseline_lists(users, user_items.repartition(5), ranks.repartition(3), k=3),
        baseline_lists(users.coalesce(1), user_items.coalesce(1), ranks.coalesce(1), k=3),
        ignore_row_order=True,
    )


@pytest.mark.parametrize(("window_days", "order"), [(28, "cabd"), (91, "bacd")])
def test_popular_ranks_follow_the_window_then_the_item_id(spark, window_days, order):
    items = rows_of(
        spark,
        tables.ITEMS,
        [{c.ITEM_ID: item, c.IS_ELIGIBLE: item != "fee"} for item in ("a", "b", "c", "d", "fee")],
    )
    sold = [("a", 3, 4), ("b", 3, 9), ("c", 7, 4), ("fee", 9, 9)]  # d was not sold
    features = rows_of(
        spark,
        tables.ITEM_FEATURES,
        [
            {c.AS_OF_DATE: DAY, c.ITEM_ID: item, c.ITEM_BUYERS_28D: b28, c.ITEM_BUYERS_91D: b91}
            for item, b28, b91 in sold
        ],
    )
    expected = local_rows(spark, [(item, number) for number, item in enumerate(order, start=1)], RANKS)
    actual = popular_ranks(items, features, window_days=window_days)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
