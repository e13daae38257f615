import functools

import numpy as np
import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys.frames.local_rows import local_rows
from recsys.scoring.all_items import (
    ASKED,
    IS_KNOWN,
    LEFT_OUT,
    best_of_all,
    item_flags,
    keep_known,
    known_users,
    with_is_known,
)


class ByTable:
    """Knows users 0 and 1 and all items but the last; a user's scores stand in its row."""

    scores = np.array([[0.5, 0.25, 0.5, 0.125, 0.9], [0.1, 0.2, 1 / 3, 0.4, 0.9]], dtype=np.float32)

    block_users = 1

    def knows(self, user_idx_B):
        return (user_idx_B >= 0) & (user_idx_B < 2)

    def knows_item(self, item_idx_P):
        return item_idx_P < 4

    def among(self, allowed_I):
        return functools.partial(self._top, allowed_I)

    def _top(self, allowed_I, user_idx_B, left_out, k):
        scores_BI = self.scores[user_idx_B].copy()
        scores_BI[:, ~allowed_I] = -np.inf
        scores_BI[left_out] = -np.inf
        top_BK = np.argsort(-scores_BI, axis=1, kind="stable")[:, :k]
        return top_BK, np.take_along_axis(scores_BI, top_BK, axis=1)


USERS = f"{c.USER_ID} string, {ASKED} int, {LEFT_OUT} array<int>"


def test_users_that_the_model_knows_get_the_best_allowed_items_but_those_left_out(spark: SparkSession) -> None:
    users = local_rows(spark, [("a", 0, []), ("b", 1, [2]), ("new", 7, []), ("none", None, None)], USERS)
    allowed_I = np.array([True, True, True, True, False])
    best = best_of_all(users, ByTable, lambda: allowed_I, 2)
    found = {(row[c.USER_ID], row[c.RANK]): (row[c.ITEM_IDX], row[c.SCORE], row[c.NUM_ITEMS]) for row in best.collect()}
    assert found == {
        ("a", 1): (0, 0.5, 4),
        ("a", 2): (2, 0.5, 4),
        ("b", 1): (3, 0.4, 4),
        ("b", 2): (1, 0.2, 4),
    }


def test_fewer_allowed_items_than_asked_make_a_shorter_list(spark: SparkSession) -> None:
    users = local_rows(spark, [("b", 1, None)], USERS)
    best = best_of_all(users, ByTable, lambda: np.array([False, False, True, False, False]), 3).collect()
    assert [(row[c.RANK], row[c.ITEM_IDX], row[c.SCORE]) for row in best] == [(1, 2, 0.333333)]


@pytest.mark.parametrize("indexes", [[], [0], [0, 7, 8, 32767, 32768, 70000]])
def test_flags_come_from_every_bucket_of_bits(spark: SparkSession, indexes: list[int]) -> None:
    rows = local_rows(spark, [(index,) for index in indexes], f"{c.ITEM_IDX} int")
    assert np.flatnonzero(item_flags(rows)).tolist() == indexes


def test_pairs_of_unknown_users_or_items_are_dropped(spark: SparkSession) -> None:
    schema = f"{ASKED} int, {c.ITEM_IDX} int, {c.LABEL} string"
    pairs = local_rows(spark, [(0, 3, "known"), (0, 4, "item"), (5, 0, "user")], schema)
    assert [row[c.LABEL] for row in keep_known(pairs, ByTable).collect()] == ["known"]


def test_users_whom_the_model_knows_are_told(spark: SparkSession) -> None:
    users = local_rows(spark, [("a", 0), ("new", 7), ("none", None)], f"{c.USER_ID} string, {ASKED} int")
    assert [tuple(row) for row in known_users(users, ByTable).collect()] == [("a",)]


def test_items_say_whether_the_model_knows_them(spark: SparkSession) -> None:
    items = local_rows(spark, [("a", 3), ("b", 4)], f"{c.ITEM_ID} string, {c.ITEM_IDX} int")
    found = with_is_known(items, ByTable).collect()
    assert {(row[c.ITEM_ID], row[c.ITEM_IDX], row[IS_KNOWN]) for row in found} == {("a", 3, True), ("b", 4, False)}
