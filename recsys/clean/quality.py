"""What became of every raw record, by file: kept, quarantined or duplicate, and proof that none was lost."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.duplicates import IS_DUPLICATE, Parted
from recsys.clean.rules import EVENTS
from recsys.errors import DataQualityError, InputError
from recsys.frames.local_rows import local_rows
from recsys.tables import QUALITY, QUARANTINE

_NUM_FILES_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class FileCounts:
    """One row of ops.quality."""

    source_table: str
    source_file: str
    rows_read: int
    rows_kept: int
    rows_quarantined: int
    rows_duplicate: int

    @property
    def is_reconciled(self) -> bool:
        return self.rows_read == self.rows_kept + self.rows_quarantined + self.rows_duplicate


def count_left_out(parted: Parted) -> list[Row]:
    """Rows by file, reasons and whether they are duplicates: a few lines a file."""
    return parted.left_out.groupBy(c.SOURCE_FILE, c.REASONS, IS_DUPLICATE).count().collect()


def count_files(table: str, rows_read: Mapping[str, int], parted: Parted, left_out: Sequence[Row]) -> list[FileCounts]:
    """`left_out` comes from `count_left_out`: counted first, Spark knows how few they are when it takes them out."""
    kept = _rows_by_file(parted.kept)
    quarantined = _sum_by_file(row for row in left_out if not row[IS_DUPLICATE])
    duplicate = _sum_by_file(row for row in left_out if row[IS_DUPLICATE])
    files = sorted({*rows_read, *kept, *quarantined, *duplicate})
    return [
        FileCounts(
            source_table=table,
            source_file=file,
            rows_read=rows_read.get(file, 0),
            rows_kept=kept.get(file, 0),
            rows_quarantined=quarantined[file],
            rows_duplicate=duplicate[file],
        )
        for file in files
    ]


def require_reconciled(counts: Sequence[FileCounts]) -> None:
    """Raises DataQualityError unless every record read is kept, quarantined or a duplicate, file by file."""
    wrong = [count for count in counts if not count.is_reconciled]
    if wrong:
        shown = "; ".join(
            f"{count.source_table} {count.source_file}: read {count.rows_read}, kept {count.rows_kept}, quarantined "
            f"{count.rows_quarantined}, duplicate {count.rows_duplicate}"
            for count in wrong[:_NUM_FILES_SHOWN]
        )
        raise DataQualityError(
            f"the records of {len(wrong)} files do not add up: {shown}. Nothing was written. Cure: run again in case "
            "the files were changing; if it stays, it is a defect of recsys.clean"
        )


def require_events(counts: Sequence[FileCounts], reasons: Mapping[str, int]) -> None:
    """Raises InputError where not one event is left. `counts` and `reasons` are those of the events."""
    if sum(count.rows_kept for count in counts) == 0:
        raise InputError(
            f"no event is left of {sum(count.rows_read for count in counts)} records; reasons: {dict(reasons)}. "
            "Nothing was written. Cure: compare the files with the lines of the mapping that these reasons point to"
        )


def count_reasons(left_out: Iterable[Row]) -> dict[str, int]:
    """Rows by reason, most first; a row with two reasons counts for both."""
    counted: Counter[str] = Counter()
    for row in left_out:
        for reason in row[c.REASONS]:
            counted[reason] += row["count"]
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def quality_rows(spark: SparkSession, counts: Mapping[str, Sequence[FileCounts]]) -> DataFrame:
    rows = [tuple(getattr(file, name) for name in QUALITY.column_names) for files in counts.values() for file in files]
    return local_rows(spark, rows, QUALITY.schema)


def figures(
    counts: Mapping[str, Sequence[FileCounts]], reasons: Mapping[str, Mapping[str, int]]
) -> dict[str, int | dict[str, int]]:
    """The job's: files, rows and reasons of the events that this run took."""
    names = (c.ROWS_READ, c.ROWS_KEPT, c.ROWS_QUARANTINED, c.ROWS_DUPLICATE)
    events = counts.get(EVENTS, ())
    totals = {name: sum(getattr(file, name) for file in events) for name in names}
    return {
        "files": len(events),
        c.ROWS: totals.pop(c.ROWS_KEPT),
        **totals,
        "reasons": dict(reasons.get(EVENTS, {})),
    }


def quarantine_rows(parts: Mapping[str, Parted]) -> DataFrame:
    """All rows left out, by source table; duplicates too."""
    frames = [
        parted.left_out.withColumn(c.SOURCE_TABLE, F.lit(table)).select(*QUARANTINE.column_names)
        for table, parted in parts.items()
    ]
    return reduce(DataFrame.unionByName, frames)


def _rows_by_file(rows: DataFrame) -> dict[str, int]:
    return {row[c.SOURCE_FILE]: row["count"] for row in rows.groupBy(c.SOURCE_FILE).count().collect()}


def _sum_by_file(rows: Iterable[Row]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for row in rows:
        counted[row[c.SOURCE_FILE]] += row["count"]
    return counted
