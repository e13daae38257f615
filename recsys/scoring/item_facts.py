"""What rules and diversity ask of items, as arrays by item index; made from files that each executor reads for itself.

Shapes: I items, A eligible items.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.scoring.arrow_lists import whole
from recsys.scoring.parquet_files import read_files
from recsys.scoring.rules import ITEM_ATTRIBUTES

NONE = -1  # of codes and indexes: there is no value, no item
IS_IN_STOCK = "is_in_stock"
PLACE = "place"
COLUMNS = (c.ITEM_IDX, c.ITEM_ID, c.NAME, *ITEM_ATTRIBUTES, c.ITEM_PRICE_CENTS_91D, IS_IN_STOCK, PLACE)

Flags = NDArray[np.bool_]
Indexes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ItemFacts:
    """`codes`: by attribute, the number of each item's value; `values`: the number of each value.

    `price_cents_I` is nan where no price is known; `popular_A`: the eligible items, most popular first.
    """

    item_id_I: pa.Array
    codes: Mapping[str, Indexes]
    values: Mapping[str, Mapping[str, int]]
    price_cents_I: NDArray[np.float64]
    is_in_stock_I: Flags
    popular_A: Indexes

    def __len__(self) -> int:
        return len(self.item_id_I)

    @functools.cached_property
    def eligible(self) -> Flags:
        flags = np.zeros(len(self), dtype=np.bool_)
        flags[self.popular_A] = True
        return flags

    @functools.cached_property
    def id_order(self) -> Indexes:
        """The place of the item's id among all, from 0; an index without an id comes last."""
        return np.asarray(pc.rank(self.item_id_I, tiebreaker="first")).astype(np.int64) - 1

    def idx_of(self, item_ids: Sequence[str]) -> Indexes:
        """NONE for an item that is not there."""
        found = pc.index_in(pa.array(item_ids, pa.string()), value_set=self.item_id_I)
        return _filled(found, NONE).astype(np.int64)


def item_facts(  # each is another table
    item_ids: DataFrame, items: DataFrame, item_features: DataFrame, popular: DataFrame, stock: DataFrame | None
) -> DataFrame:
    """COLUMNS of every item with an index; `popular` has item_id and `place` from 1 of the eligible ones.

    `stock` is rules.stock; without it nothing is in stock.
    """
    prices = item_features.select(c.ITEM_ID, c.ITEM_PRICE_CENTS_91D)
    described = item_ids.join(items.select(c.ITEM_ID, c.NAME, *ITEM_ATTRIBUTES), on=c.ITEM_ID, how="left")
    whole = described.join(prices, on=c.ITEM_ID, how="left").join(popular, on=c.ITEM_ID, how="left")
    if stock is None:
        return whole.withColumn(IS_IN_STOCK, F.lit(False)).select(*COLUMNS)
    in_stock = stock.where(F.col(c.UNITS) > 0).select(c.ITEM_ID, F.lit(True).alias(IS_IN_STOCK))
    return whole.join(in_stock, on=c.ITEM_ID, how="left").select(*COLUMNS)


@functools.cache
def load_item_facts(files: tuple[str, ...]) -> ItemFacts:
    """Once a process. `files` are Parquet, of `item_facts`."""
    return facts_of(read_files(files))


def facts_of(rows: pa.Table) -> ItemFacts:
    """From rows of `item_facts`. An index without a row has no id and is not eligible."""
    idx = rows.column(c.ITEM_IDX).to_numpy()
    size = int(idx.max(initial=-1)) + 1
    place_of_I = np.full(size, NONE, dtype=np.int64)
    place_of_I[idx] = np.arange(len(idx))
    in_order = rows.take(pa.array(place_of_I, mask=place_of_I == NONE))
    coded = {name: _coded(in_order.column(name)) for name in ITEM_ATTRIBUTES}
    popular_I = _filled(in_order.column(PLACE), np.iinfo(np.int32).max)
    return ItemFacts(
        item_id_I=whole(in_order.column(c.ITEM_ID)),
        codes={name: codes for name, (codes, _) in coded.items()},
        values={name: values for name, (_, values) in coded.items()},
        price_cents_I=_filled(in_order.column(c.ITEM_PRICE_CENTS_91D).cast(pa.float64()), np.nan),
        is_in_stock_I=_filled(in_order.column(IS_IN_STOCK), False),
        popular_A=np.argsort(popular_I, kind="stable")[: int((popular_I < np.iinfo(np.int32).max).sum())],
    )


def _coded(column: pa.ChunkedArray) -> tuple[Indexes, dict[str, int]]:
    encoded = whole(column).dictionary_encode()
    values = {value: number for number, value in enumerate(encoded.dictionary.to_pylist())}
    return _filled(encoded.indices, NONE).astype(np.int64), values


def _filled(column: pa.Array | pa.ChunkedArray, value: float) -> NDArray[Any]:
    filled: NDArray[Any] = np.asarray(pc.fill_null(column, value))
    return filled
