"""Parts the rows of a table: those that are kept, and those left out because they break a rule or repeat a row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.rules import ASKED, IS_GOOD, TIMELESS, Judged, with_reasons
from recsys.clean.scans import CONTENT_HASH, OF_RAW, with_raw
from recsys.frames.caches import counted, in_memory, settled

EXACT_DUPLICATE = "exact_duplicate"
KEY_DUPLICATE = "key_duplicate"
IS_DUPLICATE = "is_duplicate"
_POSITION, _IS_EQUAL, _FIRST_KNOWN, _IS_REPEATED = "_position", "_is_equal", "_first_known", "_is_repeated"
_PLACE = (c.SOURCE_FILE, c.SOURCE_ROW)
# What a kept row does without.
_OF_LEFT_OUT = (*OF_RAW, IS_GOOD, ASKED, CONTENT_HASH)


@dataclass(frozen=True, kw_only=True)
class Parted:
    """`left_out` has source_file, source_row, event_date, reasons, raw and is_duplicate; Spark keeps what it is made of
    once read."""

    kept: DataFrame
    left_out: DataFrame


def settled_parts(parted: Parted) -> Parted:
    """For files of a day, which are compared with lines of earlier ones."""
    return Parted(kept=settled(parted.kept), left_out=settled(parted.left_out))


def part(judged: Judged, key: Sequence[str]) -> Parted:
    """Of the good rows with one key, the first by file and record number is kept; without a key, of equal records.

    `judged`: in memory. A row that breaks a rule is never a duplicate: whichever came first, it does not stand in a
    good row's way. Cost: one shuffle of a number a row finds the few numbers that occur twice.
    """
    identity = F.xxhash64(*key) if key else F.col(CONTENT_HASH)
    rows = judged.rows.withColumn(c.IDENTITY, F.when(F.col(IS_GOOD), identity))
    good = rows.where(IS_GOOD).drop(*_OF_LEFT_OUT)
    repeated = _repeated_identities(good)
    if repeated.isEmpty():
        return Parted(kept=good, left_out=_rejected(judged))
    # One look at all rows for both: the raw record makes them wide.
    marked = rows.join(repeated.withColumn(_IS_REPEATED, F.lit(True)), on=c.IDENTITY, how="left")
    few = in_memory(marked.where(~F.col(IS_GOOD) | F.col(_IS_REPEATED)))
    numbered = in_memory(_numbered(few.where(IS_GOOD), key))
    left_out = _rejected(replace(judged, rows=few)).unionByName(_later_rows(numbered))
    return Parted(kept=_without_later(good, numbered), left_out=left_out)


def part_merged(judged: Judged, key: str, values: Sequence[str]) -> tuple[Parted, DataFrame]:
    """For files with many rows a key, one row each: what was left out, and the good rows counted by file and values.

    The further rows are not in `left_out`: they went into what is kept, and quarantine would hold nearly the whole
    log a second time.
    """
    good = judged.rows.where(IS_GOOD).drop(*_OF_LEFT_OUT)
    by_values = good.groupBy(c.SOURCE_FILE, key, *values).agg(
        F.count("*").alias(c.ROWS), F.min(c.SOURCE_ROW).alias(c.SOURCE_ROW), F.min(c.KNOWN_TS).alias(c.KNOWN_TS)
    )
    return Parted(kept=good, left_out=_rejected(judged)), by_values


def merged(by_values: DataFrame, key: str, values: Sequence[str]) -> DataFrame:
    """One row a key from rows counted by file and values: the most frequent value of each column, the smallest at a
    tie, null only where no row has one. The place is that of the key's first row, `known_ts` that of the first known.
    """
    place = F.min(F.struct(*_PLACE)).alias("place")
    first = by_values.groupBy(key).agg(place, F.min(c.KNOWN_TS).alias(c.KNOWN_TS))
    for name in values:
        first = first.join(_most_frequent(by_values, key, name), on=key, how="left")
    return first.select(key, *values, c.KNOWN_TS, *(F.col("place").getField(name).alias(name) for name in _PLACE))


def _most_frequent(by_values: DataFrame, key: str, name: str) -> DataFrame:
    of_value = by_values.where(F.col(name).isNotNull()).groupBy(key, name).agg(F.sum(c.ROWS).alias(c.ROWS))
    most_then_smallest = F.min(F.struct(-F.col(c.ROWS), F.col(name)))
    return of_value.groupBy(key).agg(most_then_smallest[name].alias(name))


def _repeated_identities(rows: DataFrame) -> DataFrame:
    """Equal numbers meet in one task, which sorts them: 8 bytes a row of its share."""
    spread = rows.select(c.IDENTITY).repartition(c.IDENTITY)
    return counted(spread.mapInArrow(_repeated, f"{c.IDENTITY} bigint"))


def _repeated(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    numbers = [batch.column(0).to_numpy() for batch in batches]
    in_order = np.sort(np.concatenate(numbers)) if numbers else np.empty(0, dtype=np.int64)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    yield pa.RecordBatch.from_arrays([pa.array(repeated)], names=[c.IDENTITY])


def _rejected(judged: Judged) -> DataFrame:
    bad = judged.rows.where(~F.col(IS_GOOD))
    whole = with_raw(with_reasons(bad, judged))
    no_identity = F.lit(None).cast("bigint").alias(c.IDENTITY)
    # The time of such a row says no day that anything happened on.
    day = F.when(~F.arrays_overlap(c.REASONS, F.array(*map(F.lit, TIMELESS))), day_of(whole)).alias(c.EVENT_DATE)
    is_duplicate = F.lit(False).alias(IS_DUPLICATE)
    return in_memory(whole.select(*_PLACE, c.REASONS, c.RAW, no_identity, day, is_duplicate))


def _numbered(suspects: DataFrame, key: Sequence[str]) -> DataFrame:
    """Position among those of one key, whether they equal its first, and when the first of the equal became known."""
    of_key = Window.partitionBy(*(key or [c.RAW]))
    in_order = of_key.orderBy(*_PLACE)
    is_equal = F.col(c.RAW) == F.first(c.RAW).over(in_order)
    placed = with_raw(suspects).withColumns({_POSITION: F.row_number().over(in_order), _IS_EQUAL: is_equal})
    first_known = F.min(F.when(F.col(_IS_EQUAL), F.col(c.KNOWN_TS))).over(of_key)
    day = day_of(suspects).alias(c.EVENT_DATE)
    of_left_out = (c.RAW, c.IDENTITY, day, c.KNOWN_TS)
    return placed.select(*_PLACE, *of_left_out, _POSITION, _IS_EQUAL, first_known.alias(_FIRST_KNOWN))


def _later_rows(numbered: DataFrame) -> DataFrame:
    reason = F.when(F.col(_IS_EQUAL), F.lit(EXACT_DUPLICATE)).otherwise(F.lit(KEY_DUPLICATE))
    later = numbered.where(F.col(_POSITION) > 1).withColumn(c.REASONS, F.array(reason))
    return later.select(*_PLACE, c.REASONS, c.RAW, c.IDENTITY, c.EVENT_DATE, F.lit(True).alias(IS_DUPLICATE))


def _without_later(good: DataFrame, numbered: DataFrame) -> DataFrame:
    """A row that a file said earlier, whatever its path, is known since then."""
    is_other = (F.col(_POSITION) > 1) | (F.col(_FIRST_KNOWN) < F.col(c.KNOWN_TS))
    # Few columns of few rows: Spark shuffles no row of `good` for them.
    others = counted(numbered.where(is_other).select(*_PLACE, _POSITION, _FIRST_KNOWN))
    placed = good.join(others, on=list(_PLACE), how="left")
    first = placed.where(F.coalesce(_POSITION, F.lit(1)) == 1)
    return first.withColumn(c.KNOWN_TS, F.least(c.KNOWN_TS, _FIRST_KNOWN)).drop(_POSITION, _FIRST_KNOWN)


def day_of(rows: DataFrame) -> Column:
    """UTC day of an event, null for rows of other tables."""
    return F.to_date(c.EVENT_TS) if c.EVENT_TS in rows.columns else F.lit(None).cast("date")
