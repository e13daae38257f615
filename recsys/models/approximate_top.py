"""The best items of each user by an index of faiss, which looks at some of the items: faster, and some are missed.

ivf: items in cells around centres, of which the nearest are looked into (Jégou et al. 2011). hnsw: a graph of near
items that is walked towards the user (Malkov and Yashunin 2018). An index knows distances; vectors get one number more,
so that the nearest item is the one of the highest product (Bachrach et al. 2014).

What is found is scored again as ExactTop does it, and never an item that a user's list leaves out; a user of whom the
index finds too few items is ranked exactly. Shapes: A items that may be named, B users, D embedding, S items found.
"""

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from recsys.models.exact_top import SPARE, ExactTop, Flags, FoundBy, Search
from recsys.models.interactions import Indexes, Scores
from recsys.search_by import EXACT, HNSW, SearchBy

# Faiss asks for 39 items a cell to place its centre by.
_ITEMS_A_CELL = 39
_GRAPH_NEIGHBOURS = 32
_BUILD_EFFORT = 200


class ApproximateTop(ExactTop):
    """The index, of 4 bytes a number and a quarter kilobyte an item where it is a graph, lies in memory."""

    def __init__(self, item_ID: Scores, allowed_I: Flags, by: SearchBy) -> None:
        super().__init__(item_ID, allowed_I, is_rough=False)
        self._approximate = Search(
            found_by=_found_by(item_ID[allowed_I], self.item_idx_A, by), error=_none, spare=SPARE
        )

    def _searches(self) -> Iterator[Search]:
        yield self._approximate
        yield from super()._searches()


def top_by(item_ID: Scores, allowed_I: Flags, by: SearchBy) -> ExactTop:
    """Made once a process for the same items: tasks of an executor share it."""
    if by.method == EXACT or not allowed_I.any():
        return ExactTop(item_ID, allowed_I)
    key = (item_ID.__array_interface__["data"], item_ID.shape, allowed_I.tobytes(), by)
    if key not in _made:
        _made.clear()
        _made[key] = ApproximateTop(item_ID, allowed_I, by)
    return _made[key]


_made: dict[Any, ApproximateTop] = {}


def _none(user_BD: Scores, _: Any) -> Any:
    """Whatever was not found, no list is doubted for it."""
    return np.full(len(user_BD), -np.inf)


def _found_by(item_AD: Scores, item_idx_A: Indexes, by: SearchBy) -> FoundBy:
    square_A = np.square(item_AD, dtype=np.float64).sum(axis=1)
    longest = square_A.max()
    index = _index(_with_more(item_AD, np.sqrt(longest - square_A)), by)

    def found_by(user_BD: Scores, found: int) -> tuple[Indexes, Scores]:
        distance_BS, place_BS = index.search(_with_more(user_BD, np.zeros(len(user_BD))), found)
        square_B1 = np.square(user_BD, dtype=np.float64).sum(axis=1, keepdims=True)
        score_BS = ((square_B1 + longest - distance_BS) / 2).astype(np.float32)
        is_short_B = (place_BS < 0).any(axis=1)
        if is_short_B.any():
            score_BS[is_short_B], place_BS[is_short_B] = faiss.knn(
                user_BD[is_short_B], item_AD, found, metric=faiss.METRIC_INNER_PRODUCT
            )
        return item_idx_A[place_BS], score_BS

    return found_by


def _index(vector_AD: Scores, by: SearchBy) -> Any:
    """The same in every process: made by one thread."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index: Any  # faiss' annotations do not know what its factory makes
        if by.method == HNSW:
            index = faiss.IndexHNSWFlat(vector_AD.shape[1], _GRAPH_NEIGHBOURS)
            index.hnsw.efConstruction = _BUILD_EFFORT
            index.hnsw.efSearch = by.effort
        else:
            cells = max(min(round(4 * np.sqrt(len(vector_AD))), len(vector_AD) // _ITEMS_A_CELL), 1)
            index = faiss.index_factory(vector_AD.shape[1], f"IVF{cells},Flat")
            index.nprobe = by.effort
            index.train(vector_AD)
        index.add(vector_AD)
    finally:
        faiss.omp_set_num_threads(threads)
    return index


def _with_more(vector_XD: Scores, more_X: Any) -> Scores:
    whole: Scores = np.ascontiguousarray(np.column_stack([vector_XD, more_X]), dtype=np.float32)
    return whole
