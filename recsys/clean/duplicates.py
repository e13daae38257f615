"""Parts the rows of a table: those that are kept, and those left out because they break a rule or repeat a row."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.scans import CONTENT_HASH

EXACT_DUPLICATE = "exact_duplicate"
KEY_DUPLICATE = "key_duplicate"
IS_DUPLICATE = "is_duplicate"
_IDENTITY = "_identity"
_IS_REPEATED = "_is_repeated"
_POSITION = "_position"
_STORAGE = StorageLevel.MEMORY_AND_DISK
_PLACE = (c.SOURCE_FILE, c.SOURCE_ROW)


@dataclass(frozen=True, kw_only=True)
class Parted:
    """`left_out` has source_file, source_row, reasons, raw and is_duplicate; Spark keeps what it is made of once read.

    `merged`: rows that were merged into the kept ones, where several raw rows make one; they are in neither frame.
    """

    kept: DataFrame
    left_out: DataFrame
    merged: DataFrame | None = None


def is_good() -> Column:
    return F.size(c.REASONS) == 0


def part(rows: DataFrame, key: Sequence[str]) -> Parted:
    """Of the good rows with one key, the first by file and record number is kept; without a key, of equal records.

    A row that breaks a rule is never a duplicate: whichever came first, it does not stand in a good row's way.
    Cost: one shuffle of a number a row finds the few numbers that occur twice; only their rows are compared.
    """
    identity = F.xxhash64(*key) if key else F.col(CONTENT_HASH)
    identified = rows.withColumn(_IDENTITY, identity)
    good, bad = identified.where(is_good()), identified.where(~is_good())
    repeated = _repeated_identities(good)
    if repeated.count() == 0:
        return Parted(kept=good, left_out=_rejected(bad).persist(_STORAGE))
    marked = identified.join(repeated, on=_IDENTITY, how="left")
    # A key's own columns, under names that the others cannot have.
    compared = [F.col(name).alias(f"_key_{i}") for i, name in enumerate(key)] or [F.col(c.RAW).alias("_key_0")]
    is_suspect = ~is_good() | F.col(_IS_REPEATED)
    suspects = marked.where(is_suspect).select(*_PLACE, c.REASONS, c.RAW, *compared).persist(_STORAGE)
    duplicates = _later_rows(suspects.where(is_good()), [f"_key_{i}" for i in range(len(compared))])
    kept = good.join(duplicates.select(*_PLACE), on=list(_PLACE), how="left_anti")
    return Parted(kept=kept, left_out=_rejected(suspects).unionByName(duplicates))


def part_merged(rows: DataFrame, key: str, values: Sequence[str]) -> Parted:
    """For files with many rows a key: one row each, of the most frequent values, the smallest at a tie.

    The place is that of the key's first row. The further rows are not in `left_out`: they went into what is kept,
    and quarantine would hold nearly the whole log a second time.
    """
    good = rows.where(is_good())
    place = F.min(F.struct(*_PLACE)).alias("place")
    most_frequent = [F.mode(name, deterministic=True).alias(name) for name in values]
    merged = good.groupBy(key).agg(*most_frequent, place)
    kept = merged.select(key, *values, *(F.col("place").getField(name).alias(name) for name in _PLACE))
    return Parted(kept=kept, left_out=_rejected(rows.where(~is_good())).persist(_STORAGE), merged=good.select(*_PLACE))


def _repeated_identities(rows: DataFrame) -> DataFrame:
    # Spread first: nearly all numbers occur once, and counting them before the shuffle would be for nothing.
    counted = rows.select(_IDENTITY).repartition(_IDENTITY).groupBy(_IDENTITY).count()
    return counted.where("count > 1").select(_IDENTITY, F.lit(True).alias(_IS_REPEATED)).persist(_STORAGE)


def _rejected(rows: DataFrame) -> DataFrame:
    return rows.where(~is_good()).select(*_PLACE, c.REASONS, c.RAW, F.lit(False).alias(IS_DUPLICATE))


def _later_rows(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    in_order = Window.partitionBy(*key).orderBy(*_PLACE)
    is_equal = F.col(c.RAW) == F.first(c.RAW).over(in_order)
    reason = F.when(is_equal, F.lit(EXACT_DUPLICATE)).otherwise(F.lit(KEY_DUPLICATE))
    numbered = rows.withColumn(_POSITION, F.row_number().over(in_order)).withColumn(c.REASONS, F.array(reason))
    return numbered.where(F.col(_POSITION) > 1).select(*_PLACE, c.REASONS, c.RAW, F.lit(True).alias(IS_DUPLICATE))
