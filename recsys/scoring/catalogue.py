"""What the executors know of items, and of items in stores, and what a network takes of each side of a pair.

Shapes: P pairs, I items, X rows of a side, C columns, W width of a half.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys import columns as c
from recsys.catalog import NEIGHBOUR_INPUTS, NUMERIC_INPUTS, STORE_ITEM, Grain
from recsys.scoring.arrow_lists import rectangular, whole
from recsys.scoring.candidates import NEW_RANK, POPULAR_RANK, SELLER_ORDER, SELLER_RANK, WEIGHT
from recsys.scoring.named_pairs import Neighbours, Sellers, neighbours_of, sellers_of
from recsys.scoring.parquet_files import read_files

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

    `item_E`: the indexes that have an item, E of them. `place_I`: of the item id among all in their order.
    `category_I`: from 1, 0 for none; the number in `categories`.
    """

    item_id_I: pa.Array
    item_E: Indexes
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
        item_E=np.flatnonzero(is_there_I),
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
    batch = InputBatch(scorer)
    halves = []
    for first in range(0, num_rows, scorer.batch_rows):
        batch.take(side, np.arange(first, min(first + scorer.batch_rows, num_rows)))
        halves.append(scorer.half_of(batch.ids_BI, batch.numeric_BF, of_users=of_users))
    return replace(side, half_XW=np.concatenate(halves)[:num_rows])


def keyed(scorer: PairScorer, grain: Grain, key_X: Indexes, values_XC: NDArray[np.float32]) -> Keyed:
    """`values_XC`: the grain's numbers in the catalogue's order."""
    order = np.argsort(key_X)
    return Keyed(key_X=key_X[order], side=with_defaults(scorer, grain, values_XC[order]))


def with_defaults(scorer: PairScorer, grain: Grain, values_XC: NDArray[np.float32]) -> Side:
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


class InputBatch:
    """The network's two tensors of one batch; ids are unknown and numbers 0 where nothing is taken."""

    def __init__(self, scorer: PairScorer) -> None:
        self.ids_BI = np.full((scorer.batch_rows, _width(scorer.id_columns)), -1, dtype=np.int64)
        self.numeric_BF = np.zeros((scorer.batch_rows, _width(scorer.number_columns)), dtype=np.float32)

    def take(self, side: Side, row: Indexes) -> None:
        for tensor, parts in ((self.ids_BI, side.ids), (self.numeric_BF, side.numbers)):
            for place, values in parts:
                tensor[: len(row), place] = values.take(row, axis=0)


def _width(places: Mapping[str, slice]) -> int:
    return max((int(place.stop) for place in places.values()), default=0)


def _matrix(rows: pa.Table, grain: Grain) -> NDArray[np.float32]:
    return np.column_stack([rows.column(name).to_numpy() for name in names_of(grain)]).astype(np.float32)


def names_of(grain: Grain) -> list[str]:
    return [feature.name for feature in NUMERIC_INPUTS if feature.grain == grain.name]


def _arrays(rows: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns of numbers, and of lists of them."""
    is_text = pa.types.is_string
    return {name: rectangular(whole(rows[name])) for name in rows.column_names if not is_text(rows[name].type)}


def _ranks(items: pa.Table, name: str) -> Indexes:
    """0 for null."""
    ranks: Indexes = np.asarray(pc.fill_null(whole(items.column(name)), 0)).astype(np.int64)
    return ranks


def codes_among(texts: pa.Array, known: pa.Array) -> Indexes:
    return _codes(pc.index_in(texts, value_set=known))


def _codes(indexes: pa.Array) -> Indexes:
    """From 1; 0 for null."""
    codes: Indexes = np.asarray(pc.fill_null(indexes, -1)).astype(np.int64) + 1
    return codes
