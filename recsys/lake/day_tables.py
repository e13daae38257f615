"""Tables that are made day by day of another one: each commit says what it was made of, so that the next one makes
only the days that changed since."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.lake.store import Lake, is_one_of
from recsys.tables import Table

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A version of the table that the days come from, and a hash of the code that made them.

    `table_id` is Delta's: a table that was dropped and made again begins with version 0 anew.
    """

    table_id: str
    version: int
    code: str


def bring_up_to_date(
    lake: Lake, target: Table, *, source: Table, make: Callable[[DataFrame], DataFrame], code: str
) -> set[str] | None:
    """Makes the days of `target` again that changed in `source`; None: all days, since nothing tells which changed.

    `source` is partitioned by `event_date`, and a day's rows of `target` depend on that day's rows of it alone: the
    table ends as if it had been made from the whole source. `make` leaves `event_month` to be added.
    """
    version = lake.version(source)
    assert version is not None, f"{source.name} is read before"
    now = Origin(table_id=lake.table_id(source), version=version, code=code)
    changed = _changed_since(lake, _origin_of(lake, target), now, source)
    if changed is None or changed:
        rows = lake.read(source, version)
        made = make(rows if changed is None else rows.where(_of_days(changed)))
        by_month = made.withColumn(c.EVENT_MONTH, F.date_format(c.EVENT_DATE, "yyyy-MM")).hint(
            "rebalance", c.EVENT_MONTH
        )
        where = None if changed is None else f"{_of_months(changed)} AND {_of_days(changed)}"
        lake.overwrite(target, by_month, where, note=json.dumps(asdict(now)))
    logger.info("%s: %s made from %s", target.name, "all days" if changed is None else _count(changed), source.name)
    return changed


def changed_days(lake: Lake, target: Table, *, source: Table) -> set[str] | None:
    """Days whose rows of `source` changed since `target` was made of them, by whatever code; None: nothing tells."""
    known, version = _origin_of(lake, target), lake.version(source)
    if known is None or version is None or known.table_id != lake.table_id(source):
        return None
    return lake.changed_partitions(source, known.version, version)


def _changed_since(lake: Lake, known: Origin | None, now: Origin, source: Table) -> set[str] | None:
    if known is None or (known.table_id, known.code) != (now.table_id, now.code):
        return None
    return lake.changed_partitions(source, known.version, now.version)


def _origin_of(lake: Lake, table: Table) -> Origin | None:
    note = lake.note(table)
    return None if note is None else Origin(**json.loads(note))


def _of_days(days: Iterable[str]) -> str:
    return f"{c.EVENT_DATE} IN ({', '.join(f'DATE{day!r}' for day in sorted(days))})"


def _of_months(days: Iterable[str]) -> str:
    return is_one_of(c.EVENT_MONTH, sorted({day[:7] for day in days}))


def _count(days: set[str]) -> str:
    return f"{len(days)} day{'' if len(days) == 1 else 's'}"
