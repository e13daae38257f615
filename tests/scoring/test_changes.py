"""Fingerprints of what lists are made from, and whom a difference touches."""

from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.frames.local_rows import local_rows
from recsys.scoring.changes import changed_users, list_facts, taken_fingerprints, user_fingerprints
from tests.feature_rows import rows_of

DAY = date(2017, 12, 18)
Bought = tuple[str, str, int, int]  # user, item, days with a purchase, days since the last
BOUGHT: list[Bought] = [("u", "a", 2, 9), ("u", "b", 1, 30), ("v", "a", 2, 9), ("w", "a", 2, 9)]


def taken(spark: SparkSession, bought: list[Bought], day: date = DAY) -> dict[str, str]:
    names = (c.USER_ID, c.ITEM_ID, c.USER_ITEM_PURCHASES_365D, c.USER_ITEM_RECENCY_DAYS)
    rows = [{c.AS_OF_DATE: day, **dict(zip(names, row, strict=True))} for row in bought]
    return dict(map(tuple, taken_fingerprints(rows_of(spark, tables.USER_ITEM_FEATURES, rows)).collect()))


def test_what_was_bought_is_told_whatever_the_day_and_the_order_of_rows(spark: SparkSession) -> None:
    first = taken(spark, BOUGHT)
    a_day_older = [(user, item, days, age + 1) for user, item, days, age in reversed(BOUGHT)]
    viewed = ("u", "seen", 0, 3)
    assert taken(spark, [*a_day_older, viewed], DAY + timedelta(days=1)) == first
    assert all(len(text) == 32 for text in first.values())

    other = taken(spark, [("u", "a", 2, 9), ("v", "a", 2, 8), ("w", "a", 3, 9), ("x", "a", 2, 9)])
    assert {user for user, text in other.items() if first.get(user) != text} == {"u", "v", "w", "x"}


def asked(spark: SparkSession, *rows: tuple[str, list[int] | None]) -> DataFrame:
    return local_rows(spark, rows, f"{c.USER_ID} string, asked array<int>")


def texts(spark: SparkSession, *rows: tuple[str, str | None]) -> DataFrame:
    return local_rows(spark, rows, f"{c.USER_ID} string, context string")


def test_each_part_of_a_user_counts_and_so_does_that_it_is_missing(spark: SparkSession) -> None:
    users = local_rows(spark, [("u",), ("v",), ("w",), ("x",)], f"{c.USER_ID} string")

    def prints(*parts: DataFrame) -> dict[str, str]:
        return dict(map(tuple, user_fingerprints(users, parts).collect()))

    contexts = texts(spark, ("u", "{}"), ("v", "{}"), ("w", "{}"))
    first = prints(asked(spark, ("u", [1, 0]), ("v", [1, 0]), ("w", None)), contexts)
    assert len(set(first.values())) == len(first) == 4
    again = prints(
        asked(spark, ("u", [1, 0]), ("v", [0, 1]), ("w", [])), texts(spark, ("w", "{}"), ("u", "{}"), ("v", "{}"))
    )
    assert {user for user in first if again[user] != first[user]} == {"v", "w"}


def test_users_are_changed_where_they_are_new_or_other_or_go_by_what_is_popular(spark: SparkSession) -> None:
    schema = f"{c.USER_ID} string, {c.FINGERPRINT} string"
    last = local_rows(
        spark, [("u", "1", False), ("v", "2", False), ("w", "3", True), ("gone", "4", False)],
        f"{schema}, {c.IS_BY_POPULARITY} boolean",
    )  # fmt: skip
    now = local_rows(spark, [("u", "1"), ("v", "other"), ("w", "3"), ("new", "4")], schema)

    def found(*, is_popularity_changed: bool) -> set[str]:
        changed = changed_users(now, last, is_popularity_changed=is_popularity_changed)
        return {row[c.USER_ID] for row in changed.collect()}

    assert found(is_popularity_changed=False) == {"v", "new"}
    assert found(is_popularity_changed=True) == {"v", "w", "new"}


Row = tuple[str, str, list[str]]  # user, source, rules


@pytest.mark.parametrize("has_rules", [False, True])
def test_a_list_goes_by_what_is_popular_where_it_took_from_there_or_had_to(
    spark: SparkSession, has_rules: bool
) -> None:
    lists: dict[str, list[tuple[str, list[str]]]] = {
        "ranked": [("all", []), ("all", ["up"])],
        "pinned": [("rule", ["pin"]), ("all", [])],
        "popular": [("popular", []), ("popular", [])],
        "filled": [("all", []), ("fill", [])],
        "relaxed": [("all", []), ("all", ["relaxed:price"])],
        "short": [("all", [])],
        "only pins": [("rule", ["pin"]), ("rule", ["pin"])],
    }
    rows: list[tuple[Any, ...]] = [
        (user, source, rules, ["block"] if rank == 0 and user == "ranked" else [])
        for user, of_user in lists.items()
        for rank, (source, rules) in enumerate(of_user)
    ]
    schema = f"{c.USER_ID} string, {c.SOURCE} string, {c.RULES} array<string>, {c.KEPT_AWAY} array<string>"
    best = local_rows(spark, rows, schema)
    found = list_facts(best if has_rules else best.drop(c.KEPT_AWAY), 2).collect()
    assert {row[c.USER_ID] for row in found} == lists.keys() - {"popular", "only pins"}, "nothing was ranked for these"
    assert {row[c.USER_ID] for row in found if not row[c.IS_BY_POPULARITY]} == {"ranked", "pinned"}
    kept_away = {row[c.USER_ID]: row[c.KEPT_AWAY] for row in found}
    assert (kept_away["ranked"], kept_away["pinned"]) == ((["block"], []) if has_rules else (None, None))
