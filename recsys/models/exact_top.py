"""The best items of each user by the product of their vectors, exactly and at the speed of a matrix product.

A search in 32-bit numbers finds a few more items than asked. These are scored again in 64-bit numbers, so that a score
does not depend on the batch it was made in; a user whose list the search cannot vouch for is ranked against all items.
Where the processor is made for it, a search in 16-bit numbers comes first, and the other one serves whom that fails.

Shapes: B users asked, A items that may be named, I all items, D embedding, K list length, S items found, P pairs left
out, C candidates.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recsys.models import rough_top
from recsys.models.interactions import Indexes, Scores
from recsys.models.rough_top import RoughTile, rough_error, rough_tile, scratch_for

# What is searched at once: 65,536 items of 64 numbers are 16 MiB; 4,096 users and 1,024 found items 48 MiB.
TILE_ITEMS = 65_536
BLOCK_USERS = 4_096
# Users are searched with others who need about as many items; those who need more are ranked against all items.
_FOUND = (32, 64, 128, 256, 512, 1024)
_DENSE_SCORES = 1 << 23
# More than the list that are scored again: where near ties are more, the user is ranked against all items.
SPARE = 6
_ROUGH_SPARE = 18
# Users scored again at once: what is read for them stays near the processor.
_RESCORED_USERS = 256
# Vectors of 16-bit numbers are kept up to so many numbers, 128 MiB; more are made again for each block of users.
_KEPT_NUMBERS = 1 << 26
# Of so many users half have to be served by the search in 16-bit numbers: else it is given up.
_TRIED_USERS = 2_048

Score64 = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class _LeftOut:
    """Items that must not be named, of those that may be at all.

    Those of user `b` are `item_idx_P[start_B[b] : start_B[b + 1]]`.
    """

    start_B: Indexes
    item_idx_P: Indexes

    def of(self, row_B: Indexes) -> "_LeftOut":
        count_B = self.counts[row_B]
        start_B = np.concatenate([[0], np.cumsum(count_B)])
        place_P = np.arange(start_B[-1]) + np.repeat(self.start_B[row_B] - start_B[:-1], count_B)
        return _LeftOut(start_B=start_B, item_idx_P=self.item_idx_P[place_P])

    @property
    def counts(self) -> Indexes:
        return np.diff(self.start_B)

    @property
    def rows(self) -> Indexes:
        """(P,): whose list each item must not stand in."""
        return np.repeat(np.arange(len(self.start_B) - 1), self.counts)


FoundBy = Callable[[Scores, int], tuple[Indexes, Scores]]


@dataclass(frozen=True, kw_only=True)
class Search:
    """`found_by`: (B, S) items and scores of users, the highest first; `error`: (B,), how much higher the true score of
    an item that was not found may be than the last of these; `spare`: items scored again beyond the list."""

    found_by: FoundBy
    error: Callable[[Scores, Score64], Score64]
    spare: int


class ExactTop:
    """Ranks the items that `allowed_I` flags. `item_ID` may lie in a memory-mapped file: it is read tile by tile."""

    def __init__(self, item_ID: Scores, allowed_I: Flags, *, is_rough: bool | None = None) -> None:
        """`is_rough`: search in 16-bit numbers first; None: where the processor is made for it."""
        # Below so many users faiss multiplies vector by vector, at a fifth of the speed (seen with 1.15, 500 users).
        faiss.cvar.distance_compute_blas_threshold = 1
        self._item_ID = item_ID
        self.item_idx_A: Indexes = np.flatnonzero(allowed_I)
        self._allowed_I = allowed_I
        self._longest = max((float(np.linalg.norm(tile, axis=1).max()) for _, tile in self._tiles()), default=0.0)
        self._single = Search(found_by=self._search, error=lambda user_BD, _: self._error(user_BD), spare=SPARE)
        self._is_rough = rough_top.is_fast() if is_rough is None else is_rough
        self._kept_tiles: list[RoughTile] = []
        self._tried = self._served = 0

    def top(self, user_BD: Scores, pairs: tuple[Indexes, Indexes], k: int) -> tuple[Indexes, Score64]:
        """(B, K) item indexes, best first, the lower one at equal scores, and the scores; -inf beyond the last item.

        `pairs`: rows of the B and item indexes that must not stand in their lists; items beyond all I are ignored.
        """
        left_out = self._left_out(pairs, len(user_BD))
        item_BK = np.zeros((len(user_BD), k), dtype=np.int64)
        score_BK = np.full((len(user_BD), k), -np.inf)
        for row_B, found in self._groups(left_out.counts, k):
            unsure_B = row_B
            for search in self._searches():
                rows = unsure_B
                item_BK[rows], score_BK[rows], is_sure_B = self._searched(
                    search, user_BD[rows], left_out.of(rows), k, found
                )
                unsure_B = rows[~is_sure_B]
                if search is not self._single:
                    self._tried, self._served = self._tried + len(rows), self._served + int(is_sure_B.sum())
            for rows in _slices(unsure_B, max(_DENSE_SCORES // max(len(self.item_idx_A), 1), 1)):
                item_BK[rows], score_BK[rows] = self._of_all(user_BD[rows], left_out.of(rows), k)
        return item_BK, score_BK

    def _left_out(self, pairs: tuple[Indexes, Indexes], users: int) -> _LeftOut:
        row_P, item_idx_P = pairs
        is_there_P = item_idx_P < len(self._allowed_I)
        is_there_P[is_there_P] = self._allowed_I[item_idx_P[is_there_P]]
        row_P, item_idx_P = row_P[is_there_P], item_idx_P[is_there_P]
        order = np.argsort(row_P, kind="stable")
        start_B = np.concatenate([[0], np.cumsum(np.bincount(row_P, minlength=users))])
        return _LeftOut(start_B=start_B, item_idx_P=item_idx_P[order])

    def _groups(self, left_out_B: Indexes, k: int) -> Iterator[tuple[Indexes, int]]:
        """Rows, and how many items to find for them: the list, what may be left out, and one more that ends it."""
        needed_B = np.minimum(k + left_out_B + 1, _FOUND[-1])
        size_B = np.searchsorted(_FOUND, needed_B)
        for size in np.unique(size_B):
            for rows in _slices(np.flatnonzero(size_B == size), BLOCK_USERS):
                yield rows, min(max(_FOUND[size], k), len(self.item_idx_A))

    def _searches(self) -> Iterator[Search]:
        if self._is_rough and (self._tried < _TRIED_USERS or 2 * self._served >= self._tried):
            yield self._rough
        yield self._single

    def _searched(
        self, search: Search, user_BD: Scores, left_out: _LeftOut, k: int, found: int
    ) -> tuple[Indexes, Score64, Flags]:
        """As `top`, and whether no item that was not found can belong into the list."""
        item_BS, rough_BS = search.found_by(user_BD, found)
        is_out_BS = _is_among(item_BS, left_out, self._item_ID.shape[0])
        # A stable sort of flags: first the items that may stand in the list, in their order.
        order_BS = np.argsort(is_out_BS, axis=1, kind="stable")
        item_BS, rough_BS, is_out_BS = (_taken(values, order_BS) for values in (item_BS, rough_BS, is_out_BS))
        last_B = (
            np.full(len(user_BD), -np.inf) if found == len(self.item_idx_A) else rough_BS.min(axis=1, initial=np.inf)
        )
        spare = k + search.spare
        score_BC = _scores64(user_BD, self._item_ID, item_BS[:, :spare])
        score_BC[is_out_BS[:, :spare]] = -np.inf
        item_BK, score_BK = _best(item_BS[:, :spare], score_BC, k)
        if spare < found:
            last_B = np.where(is_out_BS[:, spare], last_B, rough_BS[:, spare])
        return item_BK, score_BK, np.isneginf(last_B) | (score_BK[:, -1] > last_B + search.error(user_BD, last_B))

    def _search(self, user_BD: Scores, found: int) -> tuple[Indexes, Scores]:
        """(B, S) items and their 32-bit scores, the highest first."""
        tiles = (
            (item_idx_A, faiss.knn(user_BD, tile_AD, min(found, len(tile_AD)), metric=faiss.METRIC_INNER_PRODUCT)[::-1])
            for item_idx_A, tile_AD in self._tiles()
        )
        return _best_of_tiles(tiles, len(user_BD), found)

    @functools.cached_property
    def _rough(self) -> Search:
        error, length = (
            max((getattr(tile, name) for _, tile in self._rough_tiles()), default=0.0) for name in ("error", "length")
        )
        return Search(
            found_by=self._search_roughly,
            error=lambda user_BD, last_B: rough_error(user_BD, last_B, error, length) + self._error(user_BD),
            spare=_ROUGH_SPARE,
        )

    @functools.cached_property
    def _scratch(self) -> Tensor:
        return scratch_for(min(TILE_ITEMS, len(self.item_idx_A)))

    def _search_roughly(self, user_BD: Scores, found: int) -> tuple[Indexes, Scores]:
        tiles = (
            (item_idx_A, tile.nearest(user_BD, min(found, tile.num_items), self._scratch))
            for item_idx_A, tile in self._rough_tiles()
        )
        return _best_of_tiles(tiles, len(user_BD), found)

    def _rough_tiles(self) -> Iterator[tuple[Indexes, RoughTile]]:
        is_kept = len(self.item_idx_A) * self._item_ID.shape[1] <= _KEPT_NUMBERS
        for number, (item_idx_A, tile_AD) in enumerate(self._tiles()):
            if number < len(self._kept_tiles):
                yield item_idx_A, self._kept_tiles[number]
                continue
            tile = rough_tile(tile_AD)
            if is_kept:
                self._kept_tiles.append(tile)
            yield item_idx_A, tile

    def _of_all(self, user_BD: Scores, left_out: _LeftOut, k: int) -> tuple[Indexes, Score64]:
        """Against all items, with those left out masked before the best are taken."""
        score_BA = np.concatenate([user_BD @ tile.T for _, tile in self._tiles()], axis=1)
        score_BA[left_out.rows, np.searchsorted(self.item_idx_A, left_out.item_idx_P)] = -np.inf
        border_BA = np.partition(score_BA, -k, axis=1)[:, -k] - 2 * self._error(user_BD)
        results = [
            self._ranked(user_D, np.flatnonzero((score_A >= border) & np.isfinite(score_A)), k)
            for user_D, score_A, border in zip(user_BD, score_BA, border_BA, strict=True)
        ]
        return np.stack([item for item, _ in results]), np.stack([score for _, score in results])

    def _ranked(self, user_D: Scores, place_C: Indexes, k: int) -> tuple[Indexes, Score64]:
        item_1C = self.item_idx_A[place_C][None]
        item_1K, score_1K = _best(item_1C, _scores64(user_D[None], self._item_ID, item_1C), k)
        return item_1K[0], score_1K[0]

    def _tiles(self) -> Iterator[tuple[Indexes, Scores]]:
        for item_idx_A in _slices(self.item_idx_A, TILE_ITEMS):
            is_whole = item_idx_A[-1] - item_idx_A[0] + 1 == len(item_idx_A)
            # A run of items is a view; others are copied, a tile at a time.
            chosen = slice(item_idx_A[0], item_idx_A[-1] + 1) if is_whole else item_idx_A
            yield item_idx_A, np.ascontiguousarray(self._item_ID[chosen], dtype=np.float32)

    def _error(self, user_BD: Scores) -> Score64:
        """(B,): how far a 32-bit score may lie from the true one (Higham 2002, section 3.1), with room to spare."""
        width = user_BD.shape[1] + 2
        lengths: Score64 = np.linalg.norm(user_BD.astype(np.float64), axis=1)
        return lengths * (2 * width * float(np.finfo(np.float32).eps) * self._longest)


def _best_of_tiles(
    tiles: Iterator[tuple[Indexes, tuple[Indexes, Scores]]], users: int, found: int
) -> tuple[Indexes, Scores]:
    """Of places and scores in each tile, whose items are given."""
    item_BS = np.zeros((users, 0), dtype=np.int64)
    score_BS = np.zeros((users, 0), dtype=np.float32)
    for item_idx_A, (place_BS, more_BS) in tiles:
        item_BS = np.concatenate([item_BS, item_idx_A[place_BS]], axis=1)
        score_BS = np.concatenate([score_BS, more_BS], axis=1)
        if score_BS.shape[1] > more_BS.shape[1]:
            best_BS = np.argsort(-score_BS, axis=1, kind="stable")[:, :found]
            item_BS, score_BS = (_taken(values, best_BS) for values in (item_BS, score_BS))
    return item_BS, score_BS


def _scores64(user_BD: Scores, item_ID: Scores, item_BS: Indexes) -> Score64:
    score_BS: Score64 = np.empty(item_BS.shape)
    for first in range(0, len(item_BS), _RESCORED_USERS):
        rows = slice(first, first + _RESCORED_USERS)
        item_bSD = item_ID[item_BS[rows]].astype(np.float64)
        np.einsum("bd,bsd->bs", user_BD[rows].astype(np.float64), item_bSD, out=score_BS[rows])
    return score_BS


def _best(item_BS: Indexes, score_BS: Score64, k: int) -> tuple[Indexes, Score64]:
    """(B, K), the lower index first at equal scores; -inf and item 0 where there are fewer."""
    order_BS = np.lexsort((item_BS, -score_BS), axis=1)[:, :k]
    item_BK, score_BK = (_taken(values, order_BS) for values in (item_BS, score_BS))
    missing = k - item_BK.shape[1]
    filled = ((0, 0), (0, missing))
    return np.pad(item_BK, filled), np.pad(score_BK, filled, constant_values=-np.inf)


def _is_among(item_BS: Indexes, left_out: _LeftOut, items: int) -> Flags:
    """(B, S): is the item among those that the user's list leaves out?"""
    keys = np.sort(left_out.rows * items + left_out.item_idx_P)
    asked_BS = np.arange(len(item_BS))[:, None] * items + item_BS
    place_BS = np.searchsorted(keys, asked_BS)
    found_BS: Flags = np.append(keys, -1)[place_BS] == asked_BS
    return found_BS


def _taken(values_BS: NDArray[Any], place_BS: Indexes) -> NDArray[Any]:
    taken_BS: NDArray[Any] = np.take_along_axis(values_BS, place_BS, axis=1)
    return taken_BS


def _slices(values: Indexes, size: int) -> Iterator[Indexes]:
    for first in range(0, len(values), size):
        yield values[first : first + size]
