"""Prices far from the item's own earlier ones."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import CleanConfig

# A normal distribution's standard deviation in median absolute deviations.
_DEVIATIONS_PER_MAD = 1.4826
# Of log prices: an item that always cost the same would call a cent more an outlier.
_SMALLEST_DEVIATION = 0.05
_DAY, _PRICE = "_day", "_price"
_PLACE_TYPES = f"{c.SOURCE_FILE} string, {c.SOURCE_ROW} bigint"


def are_outliers(
    days: npt.NDArray[np.int64], prices: npt.NDArray[np.float64], limits: CleanConfig
) -> npt.NDArray[np.bool_]:
    """Of one item's lines, sorted by day: whether the log price lies further from the median of the days before than
    so many deviations, robustly estimated (Leys et al. 2013). Without enough lines before, none does."""
    logs = np.log(prices)
    found = np.zeros(len(days), dtype=np.bool_)
    for day in np.unique(days):
        begin, end = np.searchsorted(days, [day - limits.price_history_days, day])
        if end - begin < limits.price_history_lines:
            continue
        median = np.median(logs[begin:end])
        deviation = _DEVIATIONS_PER_MAD * np.median(np.abs(logs[begin:end] - median))
        today = slice(end, np.searchsorted(days, day, side="right"))
        far = limits.price_outlier_deviations * max(deviation, _SMALLEST_DEVIATION)
        found[today] = np.abs(logs[today] - median) > far
    return found


def outlier_places(lines: DataFrame, limits: CleanConfig) -> DataFrame:
    """File and record number of the lines whose unit price is an outlier."""
    priced = lines.where((F.col(c.QUANTITY) > 0) & (F.col(c.AMOUNT_CENTS) > 0)).select(
        c.ITEM_ID,
        F.unix_date(F.to_date(c.EVENT_TS)).cast("bigint").alias(_DAY),
        (F.col(c.AMOUNT_CENTS) / F.col(c.QUANTITY)).alias(_PRICE),
        c.SOURCE_FILE,
        c.SOURCE_ROW,
    )
    in_order = priced.repartition(c.ITEM_ID).sortWithinPartitions(c.ITEM_ID, _DAY)
    return in_order.mapInArrow(_outliers_of(limits), _PLACE_TYPES)


def _outliers_of(limits: CleanConfig) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    return partial(_outliers, limits=limits)


def _outliers(batches: Iterable[pa.RecordBatch], limits: CleanConfig) -> Iterator[pa.RecordBatch]:
    """A task holds its share of the lines, a few numbers each."""
    whole = list(batches)
    if not whole:
        return
    lines = pa.Table.from_batches(whole).combine_chunks()
    items = lines[c.ITEM_ID].to_numpy()
    days, prices = lines[_DAY].to_numpy(), lines[_PRICE].to_numpy()
    borders = [0, *(np.flatnonzero(items[1:] != items[:-1]) + 1), len(items)]
    found = [are_outliers(days[begin:end], prices[begin:end], limits) for begin, end in pairwise(borders)]
    places = lines.select([c.SOURCE_FILE, c.SOURCE_ROW]).filter(pa.array(np.concatenate(found)))
    yield from places.to_batches()
