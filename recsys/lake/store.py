"""Reads and writes the tables of a lake: one atomic Delta commit a write, versions that can be pinned."""

import json
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.errors import InputError, SchemaError
from recsys.lake.at_once import at_once
from recsys.lake.files import Files
from recsys.tables import Table

logger = logging.getLogger(__name__)

# Commits that change no rows.
_UPKEEP = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES")
CHANGE_FEED = "delta.enableChangeDataFeed"
_RANGES_OF = "delta.dataSkippingStatsColumns"
_COMMIT = re.compile(r"(\d{20})\.json")


class Lake:
    """A root URI under which each table lies at `<root>/<schema>/<table>`."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = root.rstrip("/")

    @cached_property
    def _files(self) -> Files:
        return Files(self.spark)

    def path(self, table: Table) -> str:
        return f"{self.root}/{table.name.replace('.', '/')}"

    def exists(self, table: Table) -> bool:
        return self.version(table) is not None

    def version(self, table: Table) -> int | None:
        """The newest version, or None where the table does not exist: the name of its last commit, no Spark job."""
        names = self._files.names(f"{self.path(table)}/_delta_log")
        return max((int(commit[1]) for commit in map(_COMMIT.fullmatch, names) if commit), default=None)

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """The table, or one pinned version of it. Raises InputError where there is none yet, SchemaError where it
        lacks a column: an earlier version of the code wrote it."""
        rows = self._load(table, version)
        if missing := _missing(rows, table):
            raise SchemaError(
                f"table {table.name} at {self.path(table)} lacks the columns {missing}; it has {rows.columns}, as an "
                f"earlier version of the code wrote it. Cure: run jobs/{table.writer}.py again; where that is refused, "
                "drop the table first, or use a new lake.root"
            )
        return rows

    def read_older(self, table: Table, version: int | None = None) -> DataFrame:
        """`read`, but a column that an earlier version of the code did not write is null."""
        rows = self._load(table, version)
        types = {column.name: column.type for column in table.columns}
        return rows.withColumns({name: F.lit(None).cast(types[name]) for name in _missing(rows, table)})

    def _load(self, table: Table, version: int | None) -> DataFrame:
        if not self.exists(table):
            raise InputError(
                f"table {table.name} does not exist in the lake {self.root}; run jobs/{table.writer}.py first, "
                "or check lake.root"
            )
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def overwrite(self, table: Table, rows: DataFrame, where: str | None = None, note: str | None = None) -> int:
        """Replaces the table, or only the rows that `where` names, in one commit; returns the new version.

        `note` is kept in the commit. Raises SchemaError before anything is written when `rows` lacks a column or has
        another type.
        """
        writer = conformed(rows, table).write.format("delta").mode("overwrite")
        if note is not None:
            writer = writer.option("userMetadata", note)
        if where is None:
            writer = writer.option("overwriteSchema", "true")
        elif self.exists(table):
            self._require_same_schema(table)
            writer = writer.option("replaceWhere", where)
        if table.has_change_feed:
            writer = writer.option(CHANGE_FEED, "true")
        if ranges_of := table.ranges_of or table.cluster_by:
            # Nobody asks for a range of sentences: those of all columns take a third of the writing.
            writer = writer.option(_RANGES_OF, ",".join(ranges_of))
        if table.partition_by:
            writer = writer.partitionBy(*table.partition_by)
        writer.save(self.path(table))
        return self._written_version(table)

    def overwrite_all(self, rows: Mapping[Table, DataFrame], where: str | None = None) -> None:
        """`overwrite` for several tables at once; each is a commit of its own."""
        at_once(self.spark, [partial(self.overwrite, table, of_table, where) for table, of_table in rows.items()])

    def append(self, table: Table, rows: DataFrame) -> int:
        conformed(rows, table).write.format("delta").mode("append").save(self.path(table))
        return self._written_version(table)

    def delete(self, table: Table, where: str) -> None:
        """Takes the rows out that `where` names, in one commit."""
        DeltaTable.forPath(self.spark, self.path(table)).delete(where)

    def restore(self, table: Table, version: int) -> None:
        """Takes a table back to an earlier version, as a new commit."""
        DeltaTable.forPath(self.spark, self.path(table)).restoreToVersion(version)

    def drop(self, table: Table) -> None:
        """Deletes the table with all its versions; nothing where there is none."""
        self._files.delete(self.path(table))

    def table_id(self, table: Table) -> str:
        """Another one once the table was dropped and made again."""
        found = DeltaTable.forPath(self.spark, self.path(table)).detail().select("id").first()
        assert found is not None, f"{table.name} exists"
        return str(found["id"])

    def note(self, table: Table) -> str | None:
        """That of the commit that made the newest version; None where it has none, or the commit is not kept."""
        version = self.version(table)
        while version is not None and version >= 0:
            info = self._info(table, version)
            operation = info.get("operation")
            if operation == "RESTORE":
                version = int(info["operationParameters"]["version"])
            elif operation in _UPKEEP:
                version -= 1
            else:
                return info.get("userMetadata")
        return None

    def is_same(self, table: Table, version: int | None, own: Mapping[str, Collection[str]] | None = None) -> bool:
        """Are the rows still those of `version` (None: no table), as far as the commits since tell? Upkeep changes
        none. `own`: by column the values of the partitions that are asked about; changes of others do not count."""
        now = self.version(table)
        if now is None or version is None or now < version:
            return now == version
        return all(self._leaves_rows(table, later, own or {}) for later in range(version + 1, now + 1))

    def lost_ms(self, table: Table, version: int) -> int | None:
        """When the first file that the version may have was removed, milliseconds since 1970; None where it still has
        all of them, or a commit since is not kept."""
        for later in range(version + 1, (self.version(table) or 0) + 1):
            actions = list(self._actions(table, later))
            removed = [action["remove"]["deletionTimestamp"] for action in actions if "remove" in action]
            if removed or not actions:
                return min(removed, default=None)
        return None

    def _leaves_rows(self, table: Table, version: int, own: Mapping[str, Collection[str]]) -> bool:
        actions = list(self._actions(table, version))
        files = [action.get("add") or action.get("remove") or {} for action in actions]
        changed = [file.get("partitionValues", {}) for file in files if file.get("dataChange")]
        return bool(actions) and all(_is_of_others(partition, own) for partition in changed)

    def _info(self, table: Table, version: int) -> dict[str, Any]:
        """Of a commit; empty where its file is not kept."""
        infos = [action["commitInfo"] for action in self._actions(table, version) if "commitInfo" in action]
        return infos[0] if infos else {}

    def changed_partitions(self, table: Table, since: int, until: int) -> set[str] | None:
        """Values of the partition column whose rows were added or removed after version `since`, up to `until`.

        None where `until` is the older one, or a commit between them is not kept (Delta keeps them for 30 days) or does
        not tell.
        """
        (column,) = table.partition_by
        changed: set[str] = set()
        for version in range(since + 1, until + 1):
            actions = list(self._actions(table, version))
            files = [action.get("add") or action.get("remove") or {} for action in actions]
            partitions = [file.get("partitionValues", {}).get(column) for file in files if file.get("dataChange")]
            if not actions or None in partitions:
                return None
            changed.update(partitions)
        return changed if since <= until else None

    def days_as_written(self, table: Table) -> set[str]:
        """Run dates with files that lie as they were written, by no upkeep joined or sorted since; files of commits
        that are not kept do not count."""
        days: dict[str, str] = {}
        for version in range((self.version(table) or 0) + 1):
            for action in self._actions(table, version):
                added, removed = action.get("add"), action.get("remove")
                if removed is not None:
                    days.pop(removed["path"], None)
                if added is not None and added["dataChange"]:
                    days[added["path"]] = added["partitionValues"][c.RUN_DATE]
        return set(days.values())

    def _actions(self, table: Table, version: int) -> Iterator[dict[str, Any]]:
        """Of one commit; none where its file is not kept."""
        file = f"{self.path(table)}/_delta_log/{version:020d}.json"
        if self._files.exists(file):
            yield from map(json.loads, self._files.read_text(file).splitlines())

    def versions(self, tables: Iterable[Table]) -> dict[str, int]:
        """Newest version by table name, of those that exist."""
        found = ((table.name, self.version(table)) for table in tables)
        return {name: version for name, version in found if version is not None}

    def _written_version(self, table: Table) -> int:
        version = self.version(table)
        assert version is not None, f"{table.name} was written a moment ago"
        logger.info("wrote %s version %d", table.name, version)
        return version

    def _require_same_schema(self, table: Table) -> None:
        found = _types(self.read(table))
        expected = {column.name: column.type for column in table.columns}
        if found != expected:
            difference = sorted(set(found.items()) ^ set(expected.items()))
            raise SchemaError(
                f"table {table.name} at {self.path(table)} was written with other columns: {difference} differ. "
                "Cure: use a new lake.root, or drop the table and run its job again"
            )


def is_one_of(column: str, values: Iterable[str]) -> str:
    """A condition for `overwrite`, with the values quoted."""
    quoted = ("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values)
    return f"{column} IN ({', '.join(quoted)})"


def _is_of_others(partition: Mapping[str, str | None], own: Mapping[str, Collection[str]]) -> bool:
    return any(partition.get(name) is not None and partition[name] not in values for name, values in own.items())


def conformed(rows: DataFrame, table: Table) -> DataFrame:
    """The table's columns in its order, with their comments. Raises SchemaError on a missing column or other type."""
    found = _types(rows)
    wrong = [
        f"{column.name}: expected {column.type}, found {found.get(column.name, 'nothing')}"
        for column in table.columns
        if found.get(column.name) != column.type
    ]
    if wrong:
        raise SchemaError(f"rows for {table.name} do not fit it: {'; '.join(wrong)}")
    return rows.select(
        *(F.col(column.name).alias(column.name, metadata={"comment": column.comment}) for column in table.columns)
    )


def _missing(rows: DataFrame, table: Table) -> list[str]:
    return [name for name in table.column_names if name not in rows.columns]


def _types(rows: DataFrame) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in rows.schema.fields}
