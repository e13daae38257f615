import numpy as np
import pytest

from recsys.models.approximate_top import ApproximateTop, top_by
from recsys.models.exact_top import ExactTop, Score64
from recsys.models.interactions import Indexes, Scores
from recsys.search_by import EXACTLY, HNSW, IVF, SearchBy

DIM, ITEMS, USERS, K = 16, 4000, 200, 10
METHODS = pytest.mark.parametrize("method", [IVF, HNSW])
NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def vectors(count: int, seed: int) -> Scores:
    """Around twenty tastes, and of many lengths: the nearest item is not the one of the highest product."""
    random = np.random.default_rng(seed)
    tastes = np.random.default_rng(0).normal(size=(20, DIM))
    near = tastes[random.integers(0, 20, count)] + random.normal(scale=0.5, size=(count, DIM))
    return (near * random.lognormal(sigma=0.5, size=(count, 1))).astype(np.float32)


ITEM_ID, USER_BD = vectors(ITEMS, 1), vectors(USERS, 2)
ALLOWED = np.arange(ITEMS) % 7 != 0


def recall(found_BK: Indexes, exact_BK: Indexes) -> float:
    return float(np.mean([np.isin(exact, found).mean() for found, exact in zip(found_BK, exact_BK, strict=True)]))


def exact_lists() -> tuple[Indexes, Score64]:
    return ExactTop(ITEM_ID, ALLOWED).top(USER_BD, NOTHING, K)


@METHODS
def test_more_effort_misses_fewer_and_scores_are_those_of_the_exact_search(method: str) -> None:
    exact_BK, _ = exact_lists()
    recalls = []
    for effort in (1, 8, 256):
        item_BK, score_BK = ApproximateTop(ITEM_ID, ALLOWED, SearchBy(method=method, effort=effort)).top(
            USER_BD, NOTHING, K
        )
        recalls.append(recall(item_BK, exact_BK))
        assert np.allclose(score_BK, (USER_BD[:, None].astype(float) * ITEM_ID[item_BK]).sum(axis=2))
        assert (np.diff(score_BK, axis=1) <= 0).all()
    assert recalls[0] < recalls[-1]
    assert recalls[-1] > 0.98


@METHODS
def test_what_is_left_out_or_not_allowed_is_never_named_and_lists_are_whole(method: str) -> None:
    exact_BK, _ = exact_lists()
    row_P, item_P = np.repeat(np.arange(USERS), K), exact_BK.ravel()
    # The first user has seen nearly all items.
    row_P, item_P = np.append(row_P, np.zeros(ITEMS - 30, np.int64)), np.append(item_P, np.arange(ITEMS - 30))
    item_BK, score_BK = ApproximateTop(ITEM_ID, ALLOWED, SearchBy(method=method, effort=2)).top(
        USER_BD, (row_P, item_P), K
    )
    assert np.isfinite(score_BK).all()
    assert ALLOWED[item_BK].all()
    assert not any(np.isin(item_K, item_P[row_P == row]).any() for row, item_K in enumerate(item_BK))
    assert all(len(set(item_K)) == K for item_K in item_BK)
    assert (item_BK[0] >= ITEMS - 30).all()


@METHODS
def test_an_index_is_the_same_whenever_it_is_made(method: str) -> None:
    by = SearchBy(method=method, effort=3)
    lists = [ApproximateTop(ITEM_ID, ALLOWED, by).top(USER_BD, NOTHING, K) for _ in range(2)]
    assert np.array_equal(lists[0][0], lists[1][0])
    assert np.array_equal(lists[0][1], lists[1][1])


@METHODS
@pytest.mark.parametrize("items", [1, 3, 45])
def test_of_few_items_all_are_found(method: str, items: int) -> None:
    item_BK, score_BK = top_by(ITEM_ID[:items], np.ones(items, np.bool_), SearchBy(method=method, effort=1)).top(
        USER_BD, NOTHING, K
    )
    exact_BK, exact_score_BK = ExactTop(ITEM_ID[:items], np.ones(items, np.bool_)).top(USER_BD, NOTHING, K)
    assert np.array_equal(np.isfinite(score_BK), np.isfinite(exact_score_BK))
    assert recall(item_BK, exact_BK) > 0.5


def test_tasks_of_a_process_share_an_index_and_without_items_there_is_none() -> None:
    by = SearchBy(method=HNSW, effort=4)
    assert top_by(ITEM_ID, ALLOWED, by) is top_by(ITEM_ID, ALLOWED.copy(), by)
    assert top_by(ITEM_ID, ~ALLOWED, by) is not top_by(ITEM_ID, ALLOWED, by)
    assert type(top_by(ITEM_ID, ALLOWED, EXACTLY)) is ExactTop
    assert type(top_by(ITEM_ID, np.zeros(ITEMS, np.bool_), by)) is ExactTop
