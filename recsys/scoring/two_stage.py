"""Names each user's candidates and ranks them with a network: what is said of a user, and of an item, comes to the
executors once, not with each pair.

Shapes: B users of a block, P pairs, I items, X rows of a side, C columns, K candidates, N list length.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from recsys import columns as c
from recsys.catalog import (
    CONTEXT,
    NEIGHBOUR_IDS,
    NEIGHBOUR_INPUTS,
    NUMERIC_INPUTS,
    STORE_ITEM,
    USER,
    USER_CATEGORY,
    USER_ITEM,
    Grain,
)
from recsys.config import CandidatesConfig
from recsys.scoring.arrow_lists import rectangular, whole
from recsys.scoring.candidates import NEW_RANK, POPULAR_RANK, SELLER_ORDER, SELLER_RANK, SOURCES, WEIGHT
from recsys.scoring.named_pairs import Neighbours, Pairs, Sellers, named_pairs, neighbours_of, sellers_of
from recsys.scoring.pairs import SCORE_DECIMALS
from recsys.scoring.parquet_files import read_files
from recsys.scoring.user_rows import (
    CATEGORY_KIND,
    OWN_KIND,
    USER_KIND,
    OfKind,
    Users,
    users_of,
    whole_users,
)

_LISTS_SCHEMA = (
    f"{c.USER_ID} string, {c.ITEM_IDX} array<int>, {c.ITEM_ID} array<string>, {c.SCORE} array<double>, "
    f"{c.SOURCE} array<string>, {c.NUM_ITEMS} bigint"
)

Indexes = NDArray[np.int64]
Columns = Mapping[str, NDArray[Any]]


class PairScorer(Protocol):
    """What the executors load: recsys.training.export.PairScorer."""

    @property
    def id_columns(self) -> Mapping[str, slice]: ...

    @property
    def number_columns(self) -> Mapping[str, slice]: ...

    @property
    def batch_rows(self) -> int: ...

    def prepared(self, columns: slice, values_XC: NDArray[np.float32]) -> NDArray[np.float32]: ...

    def score(self, ids_BI: Indexes, numeric_BF: NDArray[np.float32]) -> NDArray[np.float64]: ...

    def has_halves(self, num_rows: int) -> bool: ...

    def half_of(self, ids_BI: Indexes, numeric_BF: NDArray[np.float32], *, of_users: bool) -> NDArray[np.float32]: ...

    def score_halves(
        self,
        user_BW: NDArray[np.float32],
        item_BW: NDArray[np.float32],
        number_BK: NDArray[np.float32],
        places_K: Sequence[int],
    ) -> NDArray[np.float64]: ...


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one table says: for columns of the network's ids and of its numbers, a row for each of X.

    `half_XW`: what the network makes of all that, if it can and it fits (recsys/models/halves.py).
    """

    ids: Sequence[tuple[slice, Indexes]]
    numbers: Sequence[tuple[slice, NDArray[np.float32]]]
    half_XW: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class Keyed:
    """A side whose rows are found by a key; row 0 has the catalogue's defaults. `key_X` is in order."""

    key_X: Indexes
    side: Side

    def rows_of(self, key_P: Indexes) -> Indexes:
        if not len(self.key_X):
            return np.zeros(len(key_P), dtype=np.int64)
        at_P = np.searchsorted(self.key_X, key_P)
        is_found_P = self.key_X.take(at_P, mode="clip") == key_P
        return np.where(is_found_P, at_P + 1, 0)


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Items by item index, and items in stores, as each process of an executor holds them.

    `place_I`: of the item id among all in their order. `category_I`: from 1, 0 for none; the number in `categories`.
    """

    item_id_I: pa.Array
    place_I: Indexes
    category_I: Indexes
    categories: pa.Array
    sellers: Sellers
    neighbours: Neighbours
    items: Side
    stores: pa.Array
    store_items: Keyed

    def __len__(self) -> int:
        return len(self.place_I)


def best_candidates(
    rows: DataFrame,
    load: Callable[[], tuple[PairScorer, Catalogue]],
    n: int,
    quotas: CandidatesConfig,
    *,
    user_lists: Sequence[str],
    block_pairs: int,
) -> DataFrame:
    """A row a user with candidates: the `n` best, best first, as lists of item_idx, item_id, score and source, and
    num_items, the number of candidates.

    `rows`: of recsys/scoring/user_rows.py, a user's one after the other; `user_lists`: see user_columns. Scores are
    rounded to 6 decimals; at equal ones the smaller item id comes first. `load` runs in every task: it should keep what
    it loads, one a process. Users are taken together up to about `block_pairs` candidates.
    """
    block_users = max(block_pairs // quotas.most, 1)

    def rank(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer, catalogue = load()
        for batch in whole_users(batches):
            for users in users_of(batch).blocks(block_users):
                yield _ranked(users, scorer, catalogue, n, quotas, user_lists)

    return rows.mapInArrow(rank, _LISTS_SCHEMA)


@functools.lru_cache(maxsize=1)
def load_catalogue(
    scorer: PairScorer,
    item_files: tuple[str, ...],
    store_item_files: tuple[str, ...],
    neighbour_files: tuple[str, ...] = (),
) -> Catalogue:
    """Once a process.

    `item_files`: item_id, lookup_category, what candidates.with_seller_ranks adds, new_rank and what is said of items,
    of those that may be candidates.
    `store_item_files`: store_id, item_idx and what is said of both. `neighbour_files`: item_idx,
    neighbour_idx and weight; none where no candidates come from neighbours."""
    neighbours = read_files(neighbour_files) if neighbour_files else None
    return catalogue_of(scorer, read_files(item_files), read_files(store_item_files), neighbours)


def catalogue_of(
    scorer: PairScorer, items: pa.Table, store_items: pa.Table, neighbours: pa.Table | None = None
) -> Catalogue:
    idx = items.column(c.ITEM_IDX).to_numpy()
    size = int(idx.max(initial=-1)) + 1
    row_of_I = np.zeros(size, dtype=np.int64)
    row_of_I[idx] = np.arange(len(idx))
    is_there_I = np.zeros(size, dtype=np.bool_)
    is_there_I[idx] = True
    in_order = items.take(pa.array(row_of_I)) if size else items
    ranks = [_ranks(in_order, name) * is_there_I for name in (SELLER_RANK, POPULAR_RANK, SELLER_ORDER, NEW_RANK)]
    category = whole(in_order.column(c.LOOKUP_CATEGORY)).dictionary_encode()
    item_id_I = whole(in_order.column(c.ITEM_ID))
    place_I = np.asarray(pc.rank(item_id_I, tiebreaker="first")).astype(np.int64) - 1
    category_I = _codes(category.indices)
    stores = whole(store_items.column(c.STORE_ID)).dictionary_encode()
    key = _codes(stores.indices) * size + store_items.column(c.ITEM_IDX).to_numpy()
    return Catalogue(
        item_id_I=item_id_I,
        place_I=place_I,
        category_I=category_I,
        categories=category.dictionary,
        sellers=sellers_of(category_I, place_I, *ranks),
        neighbours=_neighbours(neighbours, size),
        items=_told_of_items(scorer, in_order),
        stores=stores.dictionary,
        store_items=keyed(scorer, STORE_ITEM, key, _matrix(store_items, STORE_ITEM)),
    )


def _told_of_items(scorer: PairScorer, items: pa.Table) -> Side:
    side = side_of(scorer, _arrays(items))
    return with_half(scorer, side, len(items), of_users=False) if len(items) and scorer.has_halves(len(items)) else side


def _neighbours(rows: pa.Table | None, num_items: int) -> Neighbours:
    nothing = np.zeros(0, dtype=np.int64)
    item_N, neighbour_N, weight_N = (
        nothing if rows is None else rows.column(name).to_numpy().astype(np.int64)
        for name in (c.ITEM_IDX, c.NEIGHBOUR_IDX, WEIGHT)
    )
    return neighbours_of(item_N, neighbour_N, weight_N, num_items)


def side_of(scorer: PairScorer, columns: Columns) -> Side:
    """Of those columns that the network takes; lists are two-dimensional."""
    ids = [(place, _stacked(columns, names, np.int64)) for place, names in _runs(scorer.id_columns, columns)]
    numbers = [
        (place, scorer.prepared(place, _stacked(columns, names, np.float32)))
        for place, names in _runs(scorer.number_columns, columns)
    ]
    return Side(ids=ids, numbers=numbers)


def with_half(scorer: PairScorer, side: Side, num_rows: int, *, of_users: bool) -> Side:
    """By batches of one size, as scores are made: a row's half does not depend on its company."""
    batch = _Batch(scorer)
    halves = []
    for first in range(0, num_rows, scorer.batch_rows):
        batch.take(side, np.arange(first, min(first + scorer.batch_rows, num_rows)))
        halves.append(scorer.half_of(batch.ids_BI, batch.numeric_BF, of_users=of_users))
    return replace(side, half_XW=np.concatenate(halves)[:num_rows])


def keyed(scorer: PairScorer, grain: Grain, key_X: Indexes, values_XC: NDArray[np.float32]) -> Keyed:
    """`values_XC`: the grain's numbers in the catalogue's order."""
    order = np.argsort(key_X)
    return Keyed(key_X=key_X[order], side=_with_defaults(scorer, grain, values_XC[order]))


def _with_defaults(scorer: PairScorer, grain: Grain, values_XC: NDArray[np.float32]) -> Side:
    """Row 0 has those of the catalogue."""
    features = [f for f in NUMERIC_INPUTS if f.grain == grain.name]
    rows_XC = np.concatenate([[[f.default for f in features]], values_XC], dtype=np.float32)
    return _numbers_side(scorer, [f.name for f in features], rows_XC)


def _numbers_side(scorer: PairScorer, names: list[str], values_XC: NDArray[np.float32]) -> Side:
    numbers = []
    for place, run in _runs(scorer.number_columns, names):
        first = names.index(run[0])
        is_whole = names[first : first + len(run)] == run
        columns = slice(first, first + len(run)) if is_whole else [names.index(name) for name in run]
        numbers.append((place, scorer.prepared(place, np.ascontiguousarray(values_XC[:, columns]))))
    return Side(ids=[], numbers=numbers)


def _runs(places: Mapping[str, slice], given: Iterable[str]) -> list[tuple[slice, list[str]]]:
    """Names that stand side by side in the network's tensor, which are copied at once."""
    runs: list[tuple[slice, list[str]]] = []
    for name in sorted((name for name in given if name in places), key=lambda name: places[name].start):
        place = places[name]
        # Weights of neighbours are no numbers of the catalogue: they are not prepared with them.
        if runs and runs[-1][0].stop == place.start and name not in NEIGHBOUR_INPUTS:
            before, names = runs.pop()
            runs.append((slice(before.start, place.stop), [*names, name]))
        else:
            runs.append((place, [name]))
    return runs


def _stacked(columns: Columns, names: Sequence[str], dtype: type) -> NDArray[Any]:
    return np.column_stack([np.asarray(columns[name], dtype=dtype) for name in names])


def user_columns(user_lists: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the ints and of the floats of rows of USER_KIND; `user_lists`: the lists of neighbours among them."""
    numbers = [f.name for f in NUMERIC_INPUTS if f.grain in (USER.name, CONTEXT.name)]
    ids = [name for name in user_lists if name in NEIGHBOUR_IDS]
    return [c.USER_IDX, *ids], [*numbers, *(name for name in user_lists if name not in ids)]


def _ranked(  # users, what ranks them, and how
    users: Users, scorer: PairScorer, catalogue: Catalogue, n: int, quotas: CandidatesConfig, user_lists: Sequence[str]
) -> pa.RecordBatch:
    pairs = _pairs_of(users, catalogue, quotas)
    score_P = _scores(scorer, _sides(users, pairs, scorer, catalogue, user_lists), len(pairs.row_P))
    best_BN = best_of_each(pairs.row_P, pairs.place_P, score_P, catalogue.place_I[pairs.item_P], len(users), n)
    is_there_BN = best_BN >= 0
    best_T, length_B = best_BN[is_there_BN], is_there_BN.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(length_B)]).astype(np.int32)
    item_T = pairs.item_P[best_T]
    sources = pa.array(SOURCES, pa.string()).take(pa.array(pairs.source_P[best_T]))
    item_ids = catalogue.item_id_I.take(pa.array(item_T))
    values = (pa.array(item_T.astype(np.int32)), item_ids, pa.array(score_P[best_T]), sources)
    counts = np.bincount(pairs.row_P, minlength=len(users))
    columns = [users.user_id_B, *(pa.ListArray.from_arrays(offsets, value) for value in values), pa.array(counts)]
    names = [c.USER_ID, c.ITEM_IDX, c.ITEM_ID, c.SCORE, c.SOURCE, c.NUM_ITEMS]
    return pa.RecordBatch.from_arrays(columns, names=names).filter(pa.array(length_B > 0))


def _pairs_of(users: Users, catalogue: Catalogue, quotas: CandidatesConfig) -> Pairs:
    code_F = _codes_among(users.kinds[CATEGORY_KIND].text_R, catalogue.categories)
    return named_pairs(users, code_F, catalogue.sellers, catalogue.neighbours, quotas)


def _sides(
    users: Users, pairs: Pairs, scorer: PairScorer, catalogue: Catalogue, user_lists: Sequence[str]
) -> list[tuple[Side, Indexes]]:
    """Each with the rows of the pairs."""
    size, num_categories = len(catalogue), len(catalogue.categories) + 1
    of_user, own, bought = users.kinds[USER_KIND], users.kinds[OWN_KIND], users.kinds[CATEGORY_KIND]
    own_key = own.row_R * size + (own.ints_RC[:, 0] if len(own) else own.row_R)
    own_items = keyed(scorer, USER_ITEM, own_key, _floats(own, USER_ITEM))
    # By user and category: there are few enough of both for a table.
    code = _codes_among(bought.text_R, catalogue.categories)
    category_row = np.zeros((len(users), num_categories), dtype=np.int64)
    category_row[bought.row_R, code] = np.arange(len(bought)) + 1
    # That of items without a category: a category that no item has must not be found by it.
    category_row[:, 0] = 0
    by_category = _with_defaults(scorer, USER_CATEGORY, _floats(bought, USER_CATEGORY))
    store_B = _codes_among(of_user.text_R, catalogue.stores)
    told_of_users = side_of(scorer, _told_of_users(of_user, user_lists))
    if catalogue.items.half_XW is not None:
        told_of_users = with_half(scorer, told_of_users, len(users), of_users=True)
    return [
        (told_of_users, pairs.row_P),
        (catalogue.items, pairs.item_P),
        (own_items.side, own_items.rows_of(pairs.row_P * size + pairs.item_P)),
        (by_category, category_row[pairs.row_P, catalogue.category_I[pairs.item_P]]),
        (catalogue.store_items.side, catalogue.store_items.rows_of(store_B[pairs.row_P] * size + pairs.item_P)),
    ]


def _told_of_users(users: OfKind, user_lists: Sequence[str]) -> Columns:
    told: dict[str, NDArray[Any]] = {}
    values_of: tuple[NDArray[Any], ...] = (users.ints_RC, users.floats_RC)
    for names, values_RC in zip(user_columns(user_lists), values_of, strict=True):
        lists = [name in user_lists for name in names]
        # All that are no lists have one number; lists share the rest.
        width = (values_RC.shape[1] - lists.count(False)) // max(lists.count(True), 1)
        stops = np.cumsum([width if is_list else 1 for is_list in lists])
        told |= dict(zip(names, np.split(values_RC, stops[:-1], axis=1), strict=True))
    return told


def _floats(rows: OfKind, grain: Grain) -> NDArray[np.float32]:
    """A block may have no rows of a kind, and so nothing that tells how many numbers they have."""
    return rows.floats_RC if len(rows) else np.zeros((0, len(_names(grain))), dtype=np.float32)


class _Batch:
    """The network's two tensors of one batch; ids are unknown and numbers 0 where nothing is taken."""

    def __init__(self, scorer: PairScorer) -> None:
        self.ids_BI = np.full((scorer.batch_rows, _width(scorer.id_columns)), -1, dtype=np.int64)
        self.numeric_BF = np.zeros((scorer.batch_rows, _width(scorer.number_columns)), dtype=np.float32)

    def take(self, side: Side, row: Indexes) -> None:
        for tensor, parts in ((self.ids_BI, side.ids), (self.numeric_BF, side.numbers)):
            for place, values in parts:
                tensor[: len(row), place] = values.take(row, axis=0)


def _scores(scorer: PairScorer, sides: Sequence[tuple[Side, Indexes]], num_pairs: int) -> NDArray[np.float64]:
    """Rounded. Raises ValueError where a score is no number."""
    has_halves = any(side.half_XW is not None for side, _ in sides)
    score_batch = _by_halves(scorer, sides) if has_halves else _by_inputs(scorer, sides)
    score_P = np.empty(num_pairs)
    for first in range(0, num_pairs, scorer.batch_rows):
        batch = slice(first, min(first + scorer.batch_rows, num_pairs))
        score_P[batch] = score_batch(batch)[: batch.stop - first]
    if not np.isfinite(score_P).all():
        found = int((~np.isfinite(score_P)).sum())
        raise ValueError(f"every score must be a finite number: {found} of {num_pairs} are not. Cure: train again")
    return np.round(score_P, SCORE_DECIMALS)


def _by_inputs(scorer: PairScorer, sides: Sequence[tuple[Side, Indexes]]) -> Callable[[slice], NDArray[np.float64]]:
    batch = _Batch(scorer)

    def score(pairs: slice) -> NDArray[np.float64]:
        for side, row_P in sides:
            batch.take(side, row_P[pairs])
        return scorer.score(batch.ids_BI, batch.numeric_BF)

    return score


def _by_halves(scorer: PairScorer, sides: Sequence[tuple[Side, Indexes]]) -> Callable[[slice], NDArray[np.float64]]:
    """Of users and of items, in this order; what else is told of pairs stands beside them."""
    halves = [(side.half_XW, row_P) for side, row_P in sides if side.half_XW is not None]
    numbers = [(part, row_P) for side, row_P in sides if side.half_XW is None for part in side.numbers]
    places_K = [place for (columns, _), _ in numbers for place in range(columns.start, columns.stop)]
    user_BW, item_BW = (np.zeros((scorer.batch_rows, half_XW.shape[1]), dtype=np.float32) for half_XW, _ in halves)
    number_BK = np.zeros((scorer.batch_rows, len(places_K)), dtype=np.float32)

    def score(pairs: slice) -> NDArray[np.float64]:
        rows = pairs.stop - pairs.start
        for half_BW, (half_XW, row_P) in zip((user_BW, item_BW), halves, strict=True):
            # NumPy writes straight into `out` only where it need not refuse a row.
            half_XW.take(row_P[pairs], axis=0, out=half_BW[:rows], mode="clip")
        first = 0
        for (_, values), row_P in numbers:
            number_BK[:rows, first : first + values.shape[1]] = values.take(row_P[pairs], axis=0)
            first += values.shape[1]
        return scorer.score_halves(user_BW, item_BW, number_BK, places_K)

    return score


def best_of_each(  # columns of pairs, and two sizes
    row_P: Indexes,
    place_P: Indexes,
    score_P: NDArray[np.float64],
    order_P: Indexes,
    num_rows: int,
    n: int,
) -> Indexes:
    """(B, N) pairs of each row, the best first and at equal scores the lower `order_P`; -1 beyond the last.

    Scores have SCORE_DECIMALS; `place_P` is another one for each pair of a row.
    """
    width = int(place_P.max(initial=-1)) + 1
    whole_P = np.rint(score_P * 10**SCORE_DECIMALS).astype(np.int64)
    # One number to sort by; pairs that are not there come last.
    key_BK = np.full((num_rows, width), np.iinfo(np.int64).max)
    key_BK[row_P, place_P] = order_P - whole_P * (int(order_P.max(initial=0)) + 1)
    pair_BK = np.full((num_rows, width), -1)
    pair_BK[row_P, place_P] = np.arange(len(row_P))
    if width > n:
        few_BN = np.argpartition(key_BK, n - 1, axis=1)[:, :n]
        key_BK, pair_BK = np.take_along_axis(key_BK, few_BN, axis=1), np.take_along_axis(pair_BK, few_BN, axis=1)
    return np.take_along_axis(pair_BK, np.argsort(key_BK, axis=1), axis=1)


def _width(places: Mapping[str, slice]) -> int:
    return max((int(place.stop) for place in places.values()), default=0)


def _matrix(rows: pa.Table, grain: Grain) -> NDArray[np.float32]:
    return np.column_stack([rows.column(name).to_numpy() for name in _names(grain)]).astype(np.float32)


def _names(grain: Grain) -> list[str]:
    return [feature.name for feature in NUMERIC_INPUTS if feature.grain == grain.name]


def _arrays(rows: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns of numbers, and of lists of them."""
    is_text = pa.types.is_string
    return {name: rectangular(whole(rows[name])) for name in rows.column_names if not is_text(rows[name].type)}


def _ranks(items: pa.Table, name: str) -> Indexes:
    """0 for null."""
    ranks: Indexes = np.asarray(pc.fill_null(whole(items.column(name)), 0)).astype(np.int64)
    return ranks


def _codes_among(texts: pa.Array, known: pa.Array) -> Indexes:
    return _codes(pc.index_in(texts, value_set=known))


def _codes(indexes: pa.Array) -> Indexes:
    """From 1; 0 for null."""
    codes: Indexes = np.asarray(pc.fill_null(indexes, -1)).astype(np.int64) + 1
    return codes
