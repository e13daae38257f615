import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recsys.models import exact_top
from recsys.models.exact_top import ExactTop


def by_brute_force(user_BD, item_ID, allowed_I, pairs, k):
    """In 64-bit numbers, all items sorted for each user: lists of (item, score)."""
    score_BI = (user_BD.astype(np.float64)[:, None] * item_ID.astype(np.float64)[None]).sum(axis=2)
    is_named_BI = np.broadcast_to(allowed_I, score_BI.shape).copy()
    for row, item in pairs:
        is_named_BI[row, item] = False
    lists = []
    for score_I, is_named_I in zip(score_BI, is_named_BI, strict=True):
        item_A = np.flatnonzero(is_named_I)
        best = item_A[np.lexsort((item_A, -score_I[item_A]))][:k].tolist()
        lists.append([(item, pytest.approx(score_I[item], rel=1e-12, abs=1e-12)) for item in best])
    return lists


def lists_of(item_BK, score_BK):
    rows = zip(item_BK.tolist(), score_BK.tolist(), strict=True)
    return [[(item, score) for item, score in zip(*row, strict=True) if score > -np.inf] for row in rows]


def found(user_BD, item_ID, allowed_I, pairs, k):
    row_P, item_idx_P = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True)) if pairs else (
        np.zeros(0, np.int64), np.zeros(0, np.int64),
    )  # fmt: skip
    by_single, by_rough = (
        lists_of(*ExactTop(item_ID, allowed_I, is_rough=is_rough).top(user_BD, (row_P, item_idx_P), k))
        for is_rough in (False, True)
    )
    assert by_single == by_rough
    return by_rough


# Few values, so that scores are often equal; users without a direction, and items that are alike.
VALUES = st.sampled_from([-1.0, 0.0, 0.5, 1.0])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_small_cases_equal_sorting_all_items(data: st.DataObject) -> None:
    users, items, dim = (data.draw(st.integers(1, most)) for most in (5, 90, 3))
    vectors = {rows: data.draw(arrays.arrays(np.float32, (rows, dim), elements=VALUES)) for rows in {users, items}}
    allowed_I = data.draw(arrays.arrays(np.bool_, (items,)))
    pairs = data.draw(st.sets(st.tuples(st.integers(0, users - 1), st.integers(0, items - 1)), max_size=users * items))
    asked = (vectors[users], vectors[items], allowed_I, pairs, data.draw(st.integers(1, 12)))
    assert found(*asked) == by_brute_force(*asked)


def test_a_thousand_users_of_random_vectors_equal_sorting_all_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several tiles, with short, long and no histories."""
    monkeypatch.setattr(exact_top, "TILE_ITEMS", 700)
    generator = np.random.default_rng(7)
    user_BD = generator.normal(size=(1000, 16)).astype(np.float32)
    item_ID = generator.normal(size=(3000, 16)).astype(np.float32)
    lengths = generator.choice([0, 3, 40, 1500], size=1000, p=[0.1, 0.5, 0.38, 0.02])
    pairs = {(row, item) for row, n in enumerate(lengths) for item in generator.choice(3000, n, replace=False)}
    asked = (user_BD, item_ID, generator.random(3000) < 0.9, pairs, 10)
    assert found(*asked) == by_brute_force(*asked)


def test_items_whose_scores_differ_by_less_than_32_bits_tell_are_ordered_by_the_true_ones() -> None:
    """Large parts that cancel: 32-bit sums lose what tells the items apart."""
    item_ID = np.array([[3e7, -3e7, 1 + i / 256] for i in range(200)], dtype=np.float32)
    asked = (np.ones((1, 3), np.float32), item_ID, np.ones(200, np.bool_), set(), 5)
    assert found(*asked) == by_brute_force(*asked)
    assert [item for item, _ in found(*asked)[0]] == [199, 198, 197, 196, 195]


def test_a_user_is_ranked_alike_alone_and_in_company() -> None:
    generator = np.random.default_rng(3)
    user_BD, item_ID = (generator.normal(size=(rows, 32)).astype(np.float32) for rows in (300, 500))
    every = np.ones(500, np.bool_)
    together = found(user_BD, item_ID, every, set(), 10)
    assert [found(user_BD[[row]], item_ID, every, set(), 10)[0] for row in range(0, 300, 50)] == together[::50]


def test_items_that_came_after_the_vectors_are_ignored_where_they_are_left_out() -> None:
    vectors = np.ones((2, 4), np.float32)
    assert found(vectors, vectors, np.ones(2, np.bool_), {(0, 1), (0, 2), (1, 7)}, 2) == [
        [(0, 4.0)],
        [(0, 4.0), (1, 4.0)],
    ]


def test_nothing_to_name_gives_empty_lists() -> None:
    vectors = np.ones((2, 4), np.float32)
    assert found(vectors, vectors, np.zeros(2, np.bool_), set(), 3) == [[], []]
    assert found(vectors, vectors, np.ones(2, np.bool_), {(0, 0), (0, 1), (1, 0)}, 3) == [[], [(1, 4.0)]]
