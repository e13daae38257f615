"""Users whom a model does not know: without a purchase by their store alone, then by their categories too."""

from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.frames.local_rows import local_rows
from recsys.scoring.cold_users import cold_lists, named_by_category, named_by_store, newest_stores
from tests.feature_rows import feature_tables, rows_of

DAY = {c.AS_OF_DATE: date(2017, 12, 18)}
ITEM = f"{c.ITEM_ID} string"
EVENTS = [
    # user, store, item, hour
    ("none", "s2", "tea", 1),
    ("none", "s1", "tea", 2),
    ("none", None, "cup", 3),  # a later event without a store says nothing of it
    ("one", "s1", "cup", 1),
    ("many", "s1", "cup", 1),
    ("many", "s1", "pot", 2),
    ("many", "s1", "pot", 3),  # the same user twice is one buyer
    ("many", "s1", "fee", 4),
    ("other", "s1", "fee", 4),
    ("other", "s2", "pot", 1),
]
POPULAR = [("bag", 1), ("tea", 2), ("pot", 3), ("cup", 4)]


def lists(spark: SparkSession, n: int) -> dict[str, list[tuple[Any, ...]]]:
    events = rows_of(
        spark, tables.EVENTS,
        [
            {c.USER_ID: user, c.STORE_ID: store, c.ITEM_ID: item, c.EVENT_TS: datetime(2017, 12, 17, hour),
             c.SOURCE_FILE: "log", c.SOURCE_ROW: number}
            for number, (user, store, item, hour) in enumerate(EVENTS)
        ],
    )  # fmt: skip
    liked = [("one", "cake", 1), ("many", "cake", 2), ("many", "tea", 5), ("many", "never", 0)]
    sold = [("bun", "cake", 9), ("pie", "cake", 3), ("tea", "tea", 7), ("fee", "tea", 8), ("old", "cake", 0)]
    features = feature_tables(
        spark,
        user_category=[
            {**DAY, c.USER_ID: user, c.CATEGORY: name, c.USER_CATEGORY_PURCHASES_91D: bought}
            for user, name, bought in liked
        ],
        item=[
            {**DAY, c.ITEM_ID: item, c.ITEM_CATEGORY: name, c.ITEM_BUYERS_28D: buyers} for item, name, buyers in sold
        ],
    )
    users = local_rows(spark, [("none",), ("one",), ("many",), ("unseen",)], f"{c.USER_ID} string")
    eligible = local_rows(spark, [(item,) for item in ("tea", "cup", "pot", "bun", "pie", "old", "bag")], ITEM)
    by_store = named_by_store(newest_stores(events.join(users, c.USER_ID, "left_semi")), events, eligible, n)
    by_category = named_by_category(users, features.user_category, features.item, eligible, n)
    popular = local_rows(spark, POPULAR, f"{ITEM}, {c.RANK} int")
    return by_user(cold_lists(users, by_store.unionByName(by_category), popular, n))


def by_user(rows: DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows.orderBy(c.USER_ID, c.RANK).collect():
        assert row[c.RANK] == len(found.setdefault(row[c.USER_ID], [])) + 1
        assert row[c.SCORE] == pytest.approx(1 / row[c.RANK], abs=1e-6)
        found[row[c.USER_ID]].append((row[c.ITEM_ID], row[c.SOURCE]))
    return found


def test_lists_go_from_the_store_to_the_categories_with_the_purchases_and_end_with_what_all_buy(spark) -> None:
    # In s1 two users bought cup, one each pot and tea; fee is not eligible.
    assert lists(spark, 5) == {
        "unseen": [("bag", "popular"), ("tea", "popular"), ("pot", "popular"), ("cup", "popular")],
        "none": [("cup", "store"), ("pot", "store"), ("tea", "store"), ("bag", "popular")],
        # By turns: the first of the category and of the store, then the second of each.
        "one": [("bun", "category"), ("cup", "store"), ("pie", "category"), ("pot", "store"), ("tea", "store")],
        # tea stands in both, so first; more purchases were of tea than of cake.
        "many": [("tea", "category"), ("cup", "store"), ("bun", "category"), ("pot", "store"), ("pie", "category")],
    }


def test_short_lists_are_the_beginning_of_longer_ones(spark) -> None:
    found = lists(spark, 2)
    assert (found["unseen"], found["none"]) == (
        [("bag", "popular"), ("tea", "popular")], [("cup", "store"), ("pot", "store")]
    )  # fmt: skip
    assert found["one"] == [("bun", "category"), ("cup", "store")]
