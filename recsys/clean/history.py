"""What items and users were said to be, and from which day on: one row a version, as in clean.item_history.

Two kinds of logs say it:

Files of their own (`history_of_files`). What a file says of an item holds from the UTC day on which the file became
known, an item's first values from the beginning. Of several files of one day the newest counts, the first by path at a
tie. A file that is changed in place begins a new version, and the table itself is what remembers the one before: such
a version is known only where a run came between, so a lake that is made anew from the same folder lacks it. Files that
are added and never changed give one history, whatever the order and the runs in which they come. A file that is put
back to an older state takes back what it had said since; one that is deleted has said what it said. An item that no
file names any more ends on the day of the newest file.

Rows of events, or others with a time (`history_of_days`). Values hold from the UTC day of the rows that say them. Of
several descriptions of one day the most frequent value of each column counts, the smallest at a tie; a blank one says
nothing, and what was said before goes on. This depends on the rows alone, not on when and how they came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql import types as t

from recsys import columns as c
from recsys.clean.files import InputFile
from recsys.frames.local_rows import local_rows

_FIRST, _VERSION, _IS_NEW, _IS_NAMED, _STANDS_TS, _SAID, _PLACE, _SINCE, _THEN_KNOWN = (
    "_first", "_version", "_is_new", "_is_named", "_stands_ts", "_said", "_place", "_since", "_then_known",
)  # fmt: skip
_SOURCE = (c.KNOWN_TS, c.SOURCE_FILE)


@dataclass(frozen=True, kw_only=True)
class Described:
    """The column that names an entity, and those that describe it."""

    key: str
    values: tuple[str, ...]


def with_first_told_in_files(
    rows: DataFrame, past: DataFrame | None, files: Sequence[InputFile], same: Sequence[Column]
) -> DataFrame:
    """As with_first_told, of rows whose file was once changed in place. `past`: the table of the last run, if any."""
    corrected = [file.path for file in files if file.was_corrected]
    if past is None or not corrected:
        return rows
    return with_first_told(rows, past.where(F.col(c.SOURCE_FILE).isin(corrected)), same)


def with_first_told(rows: DataFrame, past: DataFrame, same: Sequence[Column]) -> DataFrame:
    """Rows that stand in `past` with equal `same`, which may be null, keep when they became known."""
    keys = [f"_then_{i}" for i in range(len(same))]
    then = past.groupBy(*(value.alias(key) for value, key in zip(same, keys, strict=True))).agg(
        F.min(c.KNOWN_TS).alias(_THEN_KNOWN)
    )
    is_same = reduce(and_, (value.eqNullSafe(F.col(key)) for value, key in zip(same, keys, strict=True)))
    told = rows.join(then, on=is_same, how="left")
    return told.withColumn(c.KNOWN_TS, F.least(c.KNOWN_TS, _THEN_KNOWN)).select(*rows.columns)


def newest(said: DataFrame, files: Sequence[InputFile], entity: Described) -> DataFrame:
    """One row an entity, of `said` with one an entity and file: that of the newest file."""
    if len(files) == 1:
        return said
    others = [name for name in said.columns if name != entity.key]
    best = said.groupBy(entity.key).agg(F.min_by(F.struct(*others), _newest_first()).alias(_FIRST))
    return best.select(entity.key, f"{_FIRST}.*")


def history_of_files(
    said: DataFrame, past: DataFrame | None, files: Sequence[InputFile], entity: Described, first_day: date
) -> DataFrame:
    """`said`: what `files`, all that there are now, say: one row an entity and file, with `known_ts`.

    `past`: the history as the last run left it; of it counts what files said that are changed or gone since.
    """
    columns = (entity.key, *entity.values, *_SOURCE, c.VALID_TO)
    rows = said.withColumn(c.VALID_TO, F.lit(None).cast("date")).select(*columns)
    if past is not None:
        rows = rows.unionByName(_outlived(past, said, files, entity).select(*columns))
    value = F.struct(*entity.values, *_SOURCE, c.VALID_TO)
    by_day = rows.groupBy(entity.key, F.to_date(c.KNOWN_TS).alias(c.VALID_FROM))
    days = by_day.agg(F.min_by(value, _newest_first()).alias(_FIRST)).select(entity.key, c.VALID_FROM, f"{_FIRST}.*")
    return from_the_beginning(_versions(days, entity), entity, first_day)


def with_first_known(present: DataFrame, history: DataFrame, entity: Described) -> DataFrame:
    """What is said now, known since the first file that said so."""
    since = history.where(F.col(c.VALID_TO).isNull()).select(entity.key, c.KNOWN_TS)
    return present.drop(c.KNOWN_TS).join(since, on=entity.key, how="left")


def history_of_days(counted: DataFrame, entity: Described) -> DataFrame:
    """`counted`: how many `rows` of a file say some values on `event_date`; those without a day say nothing here."""
    return _versions_of_days(_settled_days(counted, entity), entity)


def history_since(past: DataFrame, counted: DataFrame, changed: DataFrame, entity: Described) -> DataFrame:
    """`history_of_days` of `counted`, made anew only from the first day on of which rows came or went, `changed`.

    `past`: the history before that. Nothing that was said on a day changes what held before it.
    """
    since = changed.groupBy(entity.key).agg(F.min(c.EVENT_DATE).alias(_SINCE)).where(F.col(_SINCE).isNotNull())
    known = past.select(entity.key, c.VALID_FROM, c.VALID_TO, *entity.values, *_SOURCE)
    stands = known.join(since, on=entity.key, how="left_anti")
    still_open = known.withColumn(c.VALID_TO, F.lit(None).cast("date")).join(since, on=entity.key, how="inner")
    before = still_open.where(F.col(c.VALID_FROM) < F.col(_SINCE)).drop(_SINCE)
    after = counted.join(since, on=entity.key, how="inner").where(F.col(c.EVENT_DATE) >= F.col(_SINCE)).drop(_SINCE)
    days = before.drop(c.VALID_TO).unionByName(_settled_days(after, entity))
    return stands.unionByName(_versions_of_days(days, entity))


def _settled_days(counted: DataFrame, entity: Described) -> DataFrame:
    """One row an entity and day (`valid_from`) with what is said on it alone, and who said it first."""
    place = F.struct(*_SOURCE).alias(_PLACE)
    dated = counted.where(F.col(c.EVENT_DATE).isNotNull()).withColumnRenamed(c.EVENT_DATE, c.VALID_FROM)
    # By entity, and all that follows needs no further shuffle. Columns that no row fills cost nothing.
    spread = dated.repartition(entity.key).select(
        entity.key, c.VALID_FROM, c.ROWS, place, F.explode_outer(_filled_columns(entity)).alias(_SAID)
    )
    day, first_place = (entity.key, c.VALID_FROM), F.min(_PLACE).alias(_PLACE)
    by_value = spread.groupBy(*day, f"{_SAID}.name", f"{_SAID}.value").agg(F.sum(c.ROWS).alias(c.ROWS), first_place)
    most_then_smallest = F.min(F.struct(-F.col(c.ROWS), F.col("value")))
    settled = by_value.groupBy(*day, "name").agg(most_then_smallest["value"].alias("value"), first_place)
    columns = (F.max(F.when(F.col("name") == name, F.col("value"))).alias(name) for name in entity.values)
    return settled.groupBy(*day).agg(*columns, first_place).select("*", f"{_PLACE}.*").drop(_PLACE)


def _versions_of_days(days: DataFrame, entity: Described) -> DataFrame:
    """What is not said on a day goes on as before."""
    until_now = _in_order(entity).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    said_last = {name: F.last(name, ignorenulls=True).over(until_now) for name in entity.values}
    return _versions(days.withColumns(said_last).withColumn(c.VALID_TO, F.lit(None).cast("date")), entity)


def from_the_beginning(history: DataFrame, entity: Described, first_day: date) -> DataFrame:
    """The first version of each entity holds from `first_day`, or its own day if that is earlier."""
    is_first = F.row_number().over(_in_order(entity)) == 1
    valid_from = F.when(is_first, F.least(c.VALID_FROM, F.lit(first_day))).otherwise(F.col(c.VALID_FROM))
    return history.withColumn(c.VALID_FROM, valid_from)


def as_known_on(history: DataFrame, day: date) -> DataFrame:
    """A history of files as it was when the UTC day began."""
    ended = F.when(F.col(c.VALID_TO) < F.lit(day), F.col(c.VALID_TO))
    return history.where(F.col(c.KNOWN_TS) < F.lit(day).cast("timestamp")).withColumn(c.VALID_TO, ended)


def _newest_first() -> Column:
    return F.struct(-F.unix_micros(c.KNOWN_TS), F.col(c.SOURCE_FILE))


def _in_order(entity: Described) -> WindowSpec:
    return Window.partitionBy(entity.key).orderBy(c.VALID_FROM)


def _outlived(past: DataFrame, said: DataFrame, files: Sequence[InputFile], entity: Described) -> DataFrame:
    """Versions that no file says as it is now; those of entities that no file names any more have ended."""
    standing = local_rows(
        past.sparkSession,
        [(file.path, _instant(file)) for file in files],
        f"{c.SOURCE_FILE} string, {_STANDS_TS} timestamp",
    )
    placed = past.join(F.broadcast(standing), on=c.SOURCE_FILE, how="left")
    before = placed.where(F.col(_STANDS_TS).isNull() | (F.col(c.KNOWN_TS) < F.col(_STANDS_TS)))
    named = said.select(entity.key).distinct().withColumn(_IS_NAMED, F.lit(True))
    newest_day = F.lit(max(map(_instant, files)).date())
    ended = F.coalesce(F.col(c.VALID_TO), F.greatest(newest_day, F.to_date(c.KNOWN_TS)))
    is_named = F.col(_IS_NAMED).isNotNull()
    valid_to = F.when(is_named, F.col(c.VALID_TO)).otherwise(ended)
    return before.join(named, on=entity.key, how="left").withColumn(c.VALID_TO, valid_to)


def _instant(file: InputFile) -> datetime:
    return datetime.fromtimestamp(file.known_ms / 1000, UTC).replace(tzinfo=None)


def _filled_columns(entity: Described) -> Column:
    each = F.array(*(F.struct(F.lit(name).alias("name"), F.col(name).alias("value")) for name in entity.values))
    return F.filter(each, lambda column: column["value"].isNotNull())


def _versions(days: DataFrame, entity: Described) -> DataFrame:
    """One row for each run of days, in order, that say the same.

    `days`: one row an entity and day (`valid_from`) with what was said; `valid_to` where it is known to have ended.
    """
    in_order = _in_order(entity)
    said = F.struct(*(_comparable(days, name) for name in entity.values))
    has_ended = F.coalesce(F.lag(c.VALID_TO).over(in_order) < F.col(c.VALID_FROM), F.lit(False))
    is_new = ~F.lag(said).over(in_order).eqNullSafe(said) | has_ended
    numbered = days.withColumn(_IS_NEW, is_new.cast("int")).withColumn(_VERSION, F.sum(_IS_NEW).over(in_order))
    versions = numbered.groupBy(entity.key, _VERSION).agg(
        F.min(c.VALID_FROM).alias(c.VALID_FROM),
        F.max_by(c.VALID_TO, c.VALID_FROM).alias(c.VALID_TO),
        F.min_by(F.struct(*entity.values, *_SOURCE), c.VALID_FROM).alias(_FIRST),
    )
    valid_to = F.least(F.lead(c.VALID_FROM).over(in_order), c.VALID_TO)
    return versions.withColumn(c.VALID_TO, valid_to).select(entity.key, c.VALID_FROM, c.VALID_TO, f"{_FIRST}.*")


def _comparable(rows: DataFrame, name: str) -> Column:
    """Spark compares no maps."""
    is_map = isinstance(rows.schema[name].dataType, t.MapType)
    return F.array_sort(F.map_entries(name)).alias(name) if is_map else F.col(name)
