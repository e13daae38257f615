"""What became of every raw record, by file and day: kept, quarantined or duplicate, and proof that none was lost."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import reduce
from typing import TypeVar

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.duplicates import IS_DUPLICATE, Parted, day_of
from recsys.clean.rules import EVENTS
from recsys.errors import DataQualityError, InputError
from recsys.frames.local_rows import local_rows
from recsys.tables import QUALITY, QUARANTINE, Table

K = TypeVar("K", bound=Hashable)
Day = tuple[str, date | None]  # file, day

_NUM_SHOWN = 5
_ROWS = (c.ROWS_READ, c.ROWS_KEPT, c.ROWS_QUARANTINED, c.ROWS_DUPLICATE)


@dataclass(frozen=True, kw_only=True)
class DayCounts:
    """One row of ops.quality. `by_rule`: rows that broke it; a row with two reasons counts for both."""

    source_table: str
    source_file: str
    event_date: date | None
    rows_kept: int
    rows_quarantined: int
    rows_duplicate: int
    by_rule: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_read(self) -> int:
        return self.rows_kept + self.rows_quarantined + self.rows_duplicate

    @property
    def rule_shares(self) -> dict[str, float]:
        return {rule: rows / self.rows_read for rule, rows in sorted(self.by_rule.items())}


def count_left_out(parted: Parted) -> list[Row]:
    """Rows by file, day, reasons and whether they are duplicates: a few lines a file and day."""
    return parted.left_out.groupBy(c.SOURCE_FILE, c.EVENT_DATE, c.REASONS, IS_DUPLICATE).count().collect()


def count_days(table: str, files: Iterable[str], parted: Parted, left_out: Sequence[Row]) -> list[DayCounts]:
    """By file and day; a file without a record has a row too. `left_out` comes from `count_left_out`: counted first,
    Spark knows how few they are when it takes them out."""
    kept = _kept_by_day(parted.kept)
    quarantined = _sum_by_day(row for row in left_out if not row[IS_DUPLICATE])
    duplicate = _sum_by_day(row for row in left_out if row[IS_DUPLICATE])
    by_rule = _rules_by_day(left_out)
    with_rows = {*kept, *quarantined, *duplicate}
    without_rows = {(file, None) for file in files} - {(file, None) for file, _ in with_rows}
    return [
        DayCounts(
            source_table=table,
            source_file=file,
            event_date=day,
            rows_kept=kept[file, day],
            rows_quarantined=quarantined[file, day],
            rows_duplicate=duplicate[file, day],
            by_rule=by_rule.get((file, day), {}),
        )
        for file, day in sorted(with_rows | without_rows, key=str)
    ]


def require_reconciled(rows_read: Mapping[str, int], counts: Sequence[DayCounts]) -> None:
    """Raises DataQualityError unless every record read is kept, quarantined or a duplicate, file by file.

    `rows_read` were counted apart from the rows.
    """
    found = summed_by(counts, lambda day: day.source_file)
    wrong = [sums for file, sums in found.items() if sums.rows_read != rows_read.get(file, 0)]
    if wrong:
        shown = "; ".join(
            f"{sums.source_table} {sums.source_file}: read {rows_read.get(sums.source_file, 0)}, kept "
            f"{sums.rows_kept}, quarantined {sums.rows_quarantined}, duplicate {sums.rows_duplicate}"
            for sums in wrong[:_NUM_SHOWN]
        )
        raise DataQualityError(
            f"the records of {len(wrong)} files do not add up: {shown}. Nothing was written. Cure: run again in case "
            "the files were changing; if it stays, it is a defect of recsys.clean"
        )


def summed_by(counts: Iterable[DayCounts], key: Callable[[DayCounts], K]) -> dict[K, DayCounts]:
    """File and day of a sum are those of its first part."""
    found: dict[K, DayCounts] = {}
    for day in counts:
        found[key(day)] = _plus(found[key(day)], day) if key(day) in found else day
    return found


def _plus(one: DayCounts, other: DayCounts) -> DayCounts:
    return replace(
        one,
        rows_kept=one.rows_kept + other.rows_kept,
        rows_quarantined=one.rows_quarantined + other.rows_quarantined,
        rows_duplicate=one.rows_duplicate + other.rows_duplicate,
        by_rule=Counter(one.by_rule) + Counter(other.by_rule),
    )


def rows_by_file(counts: Mapping[str, Sequence[DayCounts]]) -> dict[tuple[str, str], dict[str, int]]:
    """By source table and file, the sums of all days by the name of the column."""
    sums = summed_by((day for days in counts.values() for day in days), lambda day: (day.source_table, day.source_file))
    return {key: {name: getattr(of_file, name) for name in _ROWS} for key, of_file in sums.items()}


def require_events(counts: Sequence[DayCounts], reasons: Mapping[str, int]) -> None:
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


def quality_rows(spark: SparkSession, counts: Mapping[str, Sequence[DayCounts]]) -> DataFrame:
    rows = [tuple(getattr(day, name) for name in QUALITY.column_names) for days in counts.values() for day in days]
    return local_rows(spark, rows, QUALITY.schema)


def figures(
    counts: Mapping[str, Sequence[DayCounts]], reasons: Mapping[str, Mapping[str, int]]
) -> dict[str, int | dict[str, int]]:
    """The job's: files, rows and reasons of the events that this run took."""
    events = counts.get(EVENTS, ())
    totals = {name: sum(getattr(day, name) for day in events) for name in _ROWS}
    return {
        "files": len({day.source_file for day in events}),
        c.ROWS: totals.pop(c.ROWS_KEPT),
        **totals,
        "reasons": dict(reasons.get(EVENTS, {})),
    }


def quarantine_rows(parts: Mapping[str, Parted]) -> DataFrame:
    """All rows left out, by source table; duplicates too."""
    frames = [
        with_defaults(parted.left_out.withColumn(c.SOURCE_TABLE, F.lit(table)), {c.EVENT: None}, QUARANTINE).select(
            *QUARANTINE.column_names
        )
        for table, parted in parts.items()
    ]
    return reduce(DataFrame.unionByName, frames)


def with_defaults(rows: DataFrame, defaults: Mapping[str, object], table: Table) -> DataFrame:
    """Adds the columns of `table` that the rows lack because nobody asked for them."""
    types = {column.name: column.type for column in table.columns}
    missing = {name: F.lit(value).cast(types[name]) for name, value in defaults.items() if name not in rows.columns}
    return rows.withColumns(missing)


def _kept_by_day(rows: DataFrame) -> Counter[Day]:
    counted = rows.groupBy(c.SOURCE_FILE, day_of(rows).alias(c.EVENT_DATE)).count().collect()
    return Counter({_day(row): row["count"] for row in counted})


def _sum_by_day(rows: Iterable[Row]) -> Counter[Day]:
    counted: Counter[Day] = Counter()
    for row in rows:
        counted[_day(row)] += row["count"]
    return counted


def _rules_by_day(left_out: Iterable[Row]) -> dict[Day, Counter[str]]:
    counted: dict[Day, Counter[str]] = {}
    for row in left_out:
        counted.setdefault(_day(row), Counter()).update(dict.fromkeys(row[c.REASONS], row["count"]))
    return counted


def _day(row: Row) -> Day:
    return row[c.SOURCE_FILE], row[c.EVENT_DATE]
