"""Keeps tables fast and small: old lists go, small files are joined and sorted, files that nobody needs are deleted."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.lake.export_files import last_export
from recsys.lake.runs import superseded
from recsys.lake.store import CHANGE_FEED, Lake, is_one_of
from recsys.tables import RUNS, TOP_N, Table

logger = logging.getLogger(__name__)

_CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
_LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
_HOUR_MS = 3_600_000
# Delta's clock goes on from `now` until it looks at the files.
_MARGIN_HOURS = 1.0


def pinned_versions(lake: Lake, since: datetime) -> dict[str, set[int]]:
    """By table name, the versions that runs which ended since then read or wrote, and the one exported last."""
    pinned: dict[str, set[int]] = {}
    if lake.exists(RUNS):
        newest = lake.read(RUNS).where(F.col(c.FINISHED_TS) >= F.lit(since))
        for row in newest.select(F.explode(c.VERSIONS).alias("name", "version")).distinct().collect():
            pinned.setdefault(row["name"], set()).add(row["version"])
    last = last_export(lake)
    if last is not None:
        pinned.setdefault(TOP_N.name, set()).add(last[c.UNTIL_VERSION])
    return pinned


def delete_superseded_runs(lake: Lake, before: datetime) -> None:
    """Records of ops.runs that nothing asks for any more, in one commit; none where there is nothing to delete."""
    old = superseded(lake, before).persist()
    if not old.isEmpty():
        is_old = " AND ".join(f"runs.{name} <=> old.{name}" for name in old.columns)
        _delta(lake, RUNS).alias("runs").merge(old.alias("old"), is_old).whenMatchedDelete().execute()
    old.unpersist()


def delete_before(lake: Lake, table: Table, day: date) -> None:
    """Rows of run dates before the day, in one commit; none where there is nothing to delete."""
    is_old = F.col(c.RUN_DATE) < F.lit(day)
    if not lake.read(table).where(is_old).isEmpty():
        _delta(lake, table).delete(is_old)


def set_properties(lake: Lake, table: Table, pin_days: int) -> None:
    """Delta forgets a removed file, and then a commit, after so many days: not before pins end."""
    wanted = {
        "delta.deletedFileRetentionDuration": f"interval {pin_days + 1} days",
        "delta.logRetentionDuration": f"interval {pin_days + 1} days",
        **({CHANGE_FEED: "true"} if table.has_change_feed else {}),
    }
    found = _delta(lake, table).detail().select("properties").first()
    assert found is not None, f"{table.name} exists"
    if any(found["properties"].get(name) != value for name, value in wanted.items()):
        listed = ", ".join(f"'{name}' = '{value}'" for name, value in wanted.items())
        lake.spark.sql(f"ALTER TABLE delta.`{lake.path(table)}` SET TBLPROPERTIES ({listed})")


def optimize(lake: Lake, table: Table) -> None:
    """Small files of a partition become one; of a table with `cluster_by`, those of the run dates that were written
    since the last time are sorted too.

    Rows stay as they are, so that what was made of the table stands.
    """
    if table.cluster_by:
        if days := sorted(lake.days_as_written(table)):
            _delta(lake, table).optimize().where(is_one_of(c.RUN_DATE, days)).executeZOrderBy(*table.cluster_by)
    else:
        _delta(lake, table).optimize().executeCompaction()


def vacuum(lake: Lake, table: Table, *, hours: float, pinned: Iterable[int], now: datetime) -> float:
    """Deletes the files that no version of the last `hours` has, nor any since the oldest pinned one; returns the hours
    that were kept in the end.

    A pinned version whose next commits are no longer kept cannot be read anyway.
    """
    lost = [lake.lost_ms(table, version) for version in pinned]
    ages = [(now.timestamp() * 1000 - ms) / _HOUR_MS + _MARGIN_HOURS for ms in lost if ms is not None]
    kept = max([hours, *ages])
    _delta(lake, table).vacuum(kept)
    logger.info("%s: files of the last %.0f hours are kept", table.name, kept)
    return kept


@contextmanager
def vacuuming(lake: Lake) -> Iterator[None]:
    """Settings around all calls of `vacuum`.

    Delta refuses to delete what is younger than the table's tombstones, which stay for the sake of pins; what must not
    be younger is a matter of the configuration. And it lists a table's files in 10,000 tasks, some minutes a table on
    two cores, unless it is told otherwise.
    """
    settings = {_CHECK: "false", _LISTING: str(lake.spark.conf.get("spark.sql.shuffle.partitions"))}
    before = {name: lake.spark.conf.get(name, None) for name in settings}
    for name, value in settings.items():
        lake.spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                lake.spark.conf.unset(name)
            else:
                lake.spark.conf.set(name, old)


def oldest_kept(day: date, keep_days: int) -> date:
    return day - timedelta(days=keep_days)


def _delta(lake: Lake, table: Table) -> DeltaTable:
    return DeltaTable.forPath(lake.spark, lake.path(table))
