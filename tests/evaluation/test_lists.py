from datetime import date

import pytest
from chispa import assert_df_equality

from recsys import columns as c
from recsys import tables
from recsys.evaluation.lists import NEW_ITEMS_ONLY, REPEATS_ALLOWED, truth_of, with_cold_lists, with_cold_truth
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of

DAY = date(2017, 12, 4)


@pytest.fixture
def items(spark):
    rows = [("milk", True), ("bread", True), ("fee", False)]
    return rows_of(spark, tables.ITEMS, [{c.ITEM_ID: item, c.IS_ELIGIBLE: ok} for item, ok in rows])


@pytest.fixture
def users(spark):
    rows = [("u1", False), ("u2", False), ("gone", True)]
    return rows_of(spark, tables.USERS, [{c.USER_ID: user, c.IS_OPTED_OUT: out} for user, out in rows])


@pytest.fixture
def user_items(spark):
    rows = [("u1", "milk", 2), ("u1", "bread", 0)]  # milk was bought, bread only viewed
    return rows_of(
        spark,
        tables.USER_ITEM_FEATURES,
        [
            {c.AS_OF_DATE: DAY, c.USER_ID: user, c.ITEM_ID: item, c.USER_ITEM_PURCHASES_365D: days}
            for user, item, days in rows
        ],
    )


def test_truth_is_what_served_users_bought_of_eligible_items_once_a_kind(spark, items, users, user_items):
    purchases = local_rows(
        spark,
        [
            ("u1", "milk"),  # bought before: no new item
            ("u1", "milk"),  # twice in the window
            ("u1", "bread"),
            ("u2", "milk"),  # new for this user
            ("u2", "fee"),  # not eligible
            ("u2", "unknown"),  # no item of the shop
            ("gone", "milk"),  # opted out
            ("stranger", "milk"),  # not a known user
        ],
        "user_id string, item_id string",
    )
    expected = local_rows(
        spark,
        [
            ("u1", "milk", REPEATS_ALLOWED),
            ("u1", "bread", REPEATS_ALLOWED),
            ("u1", "bread", NEW_ITEMS_ONLY),
            ("u2", "milk", REPEATS_ALLOWED),
            ("u2", "milk", NEW_ITEMS_ONLY),
        ],
        "user_id string, item_id string, list_kind string",
    )
    actual = truth_of(purchases, items, users, user_items)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True, ignore_column_order=True)


def test_users_and_items_without_a_purchase_before_are_kinds_of_their_own(spark):
    pairs = f"{c.LIST_KIND} string, {c.USER_ID} string, {c.ITEM_ID} string"
    known = [("u1", "milk"), ("u1", "kiwi"), ("u2", "milk"), ("u2", "kiwi")]
    truth = local_rows(spark, [*((REPEATS_ALLOWED, *pair) for pair in known), (NEW_ITEMS_ONLY, "u2", "kiwi")], pairs)
    # u1 bought twice before, u2 never; nobody bought kiwi.
    earlier = local_rows(spark, [("u1", "milk"), ("u1", "milk"), ("u3", "bread")], pairs.partition(", ")[2])
    found = with_cold_truth(truth, earlier)
    cold = [
        ("cold_users", "u2", "milk"),
        ("cold_users", "u2", "kiwi"),
        ("cold_items", "u1", "kiwi"),
        ("cold_items", "u2", "kiwi"),
    ]
    assert sorted(map(tuple, found.collect())) == sorted([*map(tuple, truth.collect()), *cold])

    lists = [(REPEATS_ALLOWED, "u1", "milk"), (REPEATS_ALLOWED, "u2", "tea"), (NEW_ITEMS_ONLY, "u2", "cup")]
    of_kinds = with_cold_lists(local_rows(spark, lists, pairs), found).collect()
    more = [("cold_items", "u1", "milk"), ("cold_items", "u2", "tea"), ("cold_users", "u2", "tea")]
    assert sorted(map(tuple, of_kinds)) == sorted([*lists, *more])
