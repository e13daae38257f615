"""Ranks each user's candidates with a network, a row a user: what is said of a user, and of an item, comes to the
executors once, not with each pair.

Shapes: B users of a block, P pairs, S sources, I items, X rows of a side, C columns, K candidates, N list length.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from recsys import columns as c
from recsys.catalog import (
    CONTEXT,
    NEIGHBOUR_INPUTS,
    NUMERIC_INPUTS,
    STORE_ITEM,
    USER,
    USER_CATEGORY,
    USER_ITEM,
    Grain,
)
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.arrow_lists import lengths, places, rectangular, whole
from recsys.scoring.candidates import OWN_ROWS, SOURCES
from recsys.scoring.pairs import SCORE_DECIMALS
from recsys.scoring.parquet_files import read_files

CATEGORY_ROWS = "category_rows"

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


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one table says: for columns of the network's ids and of its numbers, a row for each of X."""

    ids: Sequence[tuple[slice, Indexes]]
    numbers: Sequence[tuple[slice, NDArray[np.float32]]]


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
    items: Side
    stores: pa.Array
    store_items: Keyed

    def __len__(self) -> int:
        return len(self.place_I)


def best_candidates(
    users: DataFrame, load: Callable[[], tuple[PairScorer, Catalogue]], n: int, block_pairs: int
) -> DataFrame:
    """A row a user with candidates: the `n` best, best first, as lists of item_idx, item_id, score and source, and
    num_items, the number of candidates.

    `users` has user_id, lists of item_idx for each of candidates.SOURCES, OWN_ROWS and CATEGORY_ROWS (rows of
    features.user_item and features.user_category that the user has), lookup_store_id, the inputs that are said of
    users, and may have `left_out`, the indexes of items that must not be named. Scores are rounded to 6 decimals; at
    equal ones the smaller item id comes first. `load` runs in every task: it should keep what it loads, one a process.
    Users are taken together up to about `block_pairs` candidates.
    """

    def rank(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer, catalogue = load()
        for batch in batches:
            for first, length in _blocks(_num_candidates(batch), block_pairs):
                yield _ranked(batch.slice(first, length), scorer, catalogue, n)

    return users.mapInArrow(rank, _LISTS_SCHEMA)


@functools.lru_cache(maxsize=1)
def load_catalogue(scorer: PairScorer, item_files: tuple[str, ...], store_item_files: tuple[str, ...]) -> Catalogue:
    """Once a process.

    `item_files`: item_id, lookup_category and what is said of items, of those that may be candidates.
    `store_item_files`: store_id, item_idx and what is said of both."""
    return catalogue_of(scorer, read_files(item_files), read_files(store_item_files))


def catalogue_of(scorer: PairScorer, items: pa.Table, store_items: pa.Table) -> Catalogue:
    idx = items.column(c.ITEM_IDX).to_numpy()
    size = int(idx.max(initial=-1)) + 1
    row_of_I = np.zeros(size, dtype=np.int64)
    row_of_I[idx] = np.arange(len(idx))
    in_order = items.take(pa.array(row_of_I)) if size else items
    category = whole(in_order.column(c.LOOKUP_CATEGORY)).dictionary_encode()
    item_id_I = whole(in_order.column(c.ITEM_ID))
    stores = whole(store_items.column(c.STORE_ID)).dictionary_encode()
    key = _codes(stores.indices) * size + store_items.column(c.ITEM_IDX).to_numpy()
    return Catalogue(
        item_id_I=item_id_I,
        place_I=np.asarray(pc.rank(item_id_I, tiebreaker="first")).astype(np.int64) - 1,
        category_I=_codes(category.indices),
        categories=category.dictionary,
        items=side_of(scorer, _arrays(in_order)),
        stores=stores.dictionary,
        store_items=keyed(scorer, STORE_ITEM, key, _arrays(store_items)),
    )


def side_of(scorer: PairScorer, columns: Columns) -> Side:
    """Of those columns that the network takes; lists are two-dimensional."""
    ids = [(place, _stacked(columns, names, np.int64)) for place, names in _runs(scorer.id_columns, columns)]
    numbers = [
        (place, scorer.prepared(place, _stacked(columns, names, np.float32)))
        for place, names in _runs(scorer.number_columns, columns)
    ]
    return Side(ids=ids, numbers=numbers)


def keyed(scorer: PairScorer, grain: Grain, key_X: Indexes, columns: Columns) -> Keyed:
    order = np.argsort(key_X, kind="stable")
    defaults = {f.name: f.default for f in NUMERIC_INPUTS if f.grain == grain.name}
    rows = {name: np.concatenate([[default], columns[name][order]]) for name, default in defaults.items()}
    return Keyed(key_X=key_X[order], side=side_of(scorer, rows))


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


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """`place_P`: of the candidate among those of its user."""

    row_P: Indexes
    place_P: Indexes
    item_P: Indexes
    source_P: Indexes

    def where(self, is_kept_P: NDArray[np.bool_]) -> "_Pairs":
        return _Pairs(
            row_P=self.row_P[is_kept_P],
            place_P=self.place_P[is_kept_P],
            item_P=self.item_P[is_kept_P],
            source_P=self.source_P[is_kept_P],
        )


def _num_candidates(batch: pa.RecordBatch) -> Indexes:
    lengths_SB: Indexes = np.array([lengths(batch.column(source)) for source in SOURCES])
    return np.asarray(lengths_SB.sum(axis=0))


def _blocks(count_B: Indexes, block_pairs: int) -> Iterator[tuple[int, int]]:
    """First user and number of users."""
    end_B, first = np.cumsum(count_B), 0
    while first < len(count_B):
        done = end_B[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(end_B, done + block_pairs, side="right")))
        yield first, last - first
        first = last


def _ranked(block: pa.RecordBatch, scorer: PairScorer, catalogue: Catalogue, n: int) -> pa.RecordBatch:
    pairs = _pairs_of(block, len(catalogue))
    score_P = _scores(scorer, _sides(block, pairs, scorer, catalogue), len(pairs.row_P))
    best_BN = best_of_each(pairs.row_P, pairs.place_P, score_P, catalogue.place_I[pairs.item_P], block.num_rows, n)
    is_there_BN = best_BN >= 0
    best_T, length_B = best_BN[is_there_BN], is_there_BN.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(length_B)]).astype(np.int32)
    item_T = pairs.item_P[best_T]
    sources = pa.array(SOURCES, pa.string()).take(pa.array(pairs.source_P[best_T]))
    item_ids = catalogue.item_id_I.take(pa.array(item_T))
    values = (pa.array(item_T.astype(np.int32)), item_ids, pa.array(score_P[best_T]), sources)
    counts = np.bincount(pairs.row_P, minlength=block.num_rows)
    columns = [
        block.column(c.USER_ID), *(pa.ListArray.from_arrays(offsets, value) for value in values), pa.array(counts)
    ]  # fmt: skip
    names = [c.USER_ID, c.ITEM_IDX, c.ITEM_ID, c.SCORE, c.SOURCE, c.NUM_ITEMS]
    return pa.RecordBatch.from_arrays(columns, names=names).filter(pa.array(length_B > 0))


def _pairs_of(block: pa.RecordBatch, num_items: int) -> _Pairs:
    length_SB = np.array([lengths(block.column(source)) for source in SOURCES])
    before_SB = np.cumsum(length_SB, axis=0) - length_SB
    row_of, place_of = zip(*map(places, length_SB), strict=True)
    pairs = _Pairs(
        row_P=np.concatenate(row_of),
        place_P=np.concatenate(place_of) + np.repeat(before_SB, length_SB.ravel()),
        item_P=np.concatenate([block.column(source).flatten().to_numpy() for source in SOURCES]).astype(np.int64),
        source_P=np.repeat(np.arange(len(SOURCES)), length_SB.sum(axis=1)),
    )
    return _without(pairs, block.column(LEFT_OUT), num_items) if LEFT_OUT in block.schema.names else pairs


def _without(pairs: _Pairs, left_out: pa.ListArray, num_items: int) -> _Pairs:
    row, _ = places(lengths(left_out))
    key = row * num_items + left_out.flatten().to_numpy()
    return pairs.where(~np.isin(pairs.row_P * num_items + pairs.item_P, key))


def _sides(
    block: pa.RecordBatch, pairs: _Pairs, scorer: PairScorer, catalogue: Catalogue
) -> list[tuple[Side, Indexes]]:
    """Each with the rows of the pairs."""
    size, num_categories = len(catalogue), len(catalogue.categories) + 1
    users = {name: rectangular(block.column(name)) for name in _of_users(block.schema.names)}
    row, own = _listed(block.column(OWN_ROWS))
    own_items = keyed(scorer, USER_ITEM, row * size + own[c.ITEM_IDX], own)
    row, bought = _listed(block.column(CATEGORY_ROWS))
    code = _codes(pc.index_in(bought.pop(c.CATEGORY), value_set=catalogue.categories))
    # Key 0 of a user is that of items without a category: a category that no item has must not be found by it.
    by_category = keyed(scorer, USER_CATEGORY, np.where(code > 0, row * num_categories + code, -1), bought)
    store_B = _codes(pc.index_in(block.column(c.LOOKUP_STORE_ID), value_set=catalogue.stores))
    return [
        (side_of(scorer, users), pairs.row_P),
        (catalogue.items, pairs.item_P),
        (own_items.side, own_items.rows_of(pairs.row_P * size + pairs.item_P)),
        (by_category.side, by_category.rows_of(pairs.row_P * num_categories + catalogue.category_I[pairs.item_P])),
        (catalogue.store_items.side, catalogue.store_items.rows_of(store_B[pairs.row_P] * size + pairs.item_P)),
    ]


def _of_users(names: Iterable[str]) -> list[str]:
    numbers = {f.name for f in NUMERIC_INPUTS if f.grain in (USER.name, CONTEXT.name)}
    return [name for name in names if name == c.USER_IDX or name in numbers or name in NEIGHBOUR_INPUTS]


def _listed(column: pa.ListArray) -> tuple[Indexes, dict[str, Any]]:
    """Of lists of structs: rows, and the structs' fields; texts stay Arrow's."""
    structs = column.flatten()
    fields = {field.name: structs.field(field.name) for field in structs.type}
    values = {name: value if pa.types.is_string(value.type) else value.to_numpy() for name, value in fields.items()}
    return places(lengths(column))[0], values


def _scores(scorer: PairScorer, sides: Sequence[tuple[Side, Indexes]], num_pairs: int) -> NDArray[np.float64]:
    """Rounded. Raises ValueError where a score is no number."""
    ids_BI = np.zeros((scorer.batch_rows, _width(scorer.id_columns)), dtype=np.int64)
    numeric_BF = np.zeros((scorer.batch_rows, _width(scorer.number_columns)), dtype=np.float32)
    score_P = np.empty(num_pairs)
    for first in range(0, num_pairs, scorer.batch_rows):
        last = min(first + scorer.batch_rows, num_pairs)
        for side, row_P in sides:
            row = row_P[first:last]
            for tensor, parts in ((ids_BI, side.ids), (numeric_BF, side.numbers)):
                for place, values in parts:
                    tensor[: len(row), place] = values.take(row, axis=0)
        score_P[first:last] = scorer.score(ids_BI, numeric_BF)[: last - first]
    if not np.isfinite(score_P).all():
        found = int((~np.isfinite(score_P)).sum())
        raise ValueError(f"every score must be a finite number: {found} of {num_pairs} are not. Cure: train again")
    return np.round(score_P, SCORE_DECIMALS)


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


def _arrays(rows: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns of numbers, and of lists of them."""
    is_text = pa.types.is_string
    return {name: rectangular(whole(rows[name])) for name in rows.column_names if not is_text(rows[name].type)}


def _codes(indexes: pa.Array) -> Indexes:
    """From 1; 0 for null."""
    codes: Indexes = np.asarray(pc.fill_null(indexes, -1)).astype(np.int64) + 1
    return codes
