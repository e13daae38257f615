"""Feature rows of other runs' cut-offs that saw a day whose events are others by now: they go, and whoever reads them
is told to have them made again."""

import logging
from collections.abc import Sequence
from datetime import date
from functools import partial

from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.features.coverage import cutoffs_that_saw
from recsys.lake.at_once import at_once
from recsys.lake.day_tables import changed_days
from recsys.lake.read_features import FEATURE_TABLES
from recsys.lake.store import is_one_of
from recsys.stages import Run

logger = logging.getLogger(__name__)

GRAIN_TABLES = (*FEATURE_TABLES, *tables.OPTIONAL_FEATURES)


def drop_stale_features(run: Run, as_of_dates: Sequence[date]) -> list[date]:
    """The cut-offs whose rows went; those of `as_of_dates` are made by this run anyway.

    Called before the day tables are brought up to date: they tell which days changed, to a run that follows a killed
    one too.
    """
    changed = changed_days(run.lake, tables.ITEM_DAYS, source=tables.EVENTS)
    if changed == set() or not run.lake.exists(tables.USER_FEATURES):
        return []
    others = _other_cutoffs(run, as_of_dates)
    stale = others if changed is None else cutoffs_that_saw(map(date.fromisoformat, changed), others)
    if stale:
        _delete(run, stale)
    logger.info("feature rows of %s other cut-offs saw a day that changed%s", len(stale) or "no", _named(stale))
    return stale


def _other_cutoffs(run: Run, as_of_dates: Sequence[date]) -> list[date]:
    is_other = ~F.col(c.AS_OF_DATE).isin(list(as_of_dates))
    rows = run.lake.read(tables.USER_FEATURES).where(is_other).select(c.AS_OF_DATE).distinct().collect()
    return sorted(row[c.AS_OF_DATE] for row in rows)


def _delete(run: Run, stale: Sequence[date]) -> None:
    """Of features.user, which says what there is, at the end: a run that is killed before finds them again."""
    where = is_of_cutoffs(stale)
    others = [table for table in GRAIN_TABLES if table is not tables.USER_FEATURES and run.lake.exists(table)]
    at_once(run.spark, [partial(run.lake.delete, table, where) for table in others])
    run.lake.delete(tables.USER_FEATURES, where)


def is_of_cutoffs(as_of_dates: Sequence[date]) -> str:
    """A condition for the lake."""
    return is_one_of(c.AS_OF_DATE, (day.isoformat() for day in as_of_dates))


def _named(stale: Sequence[date]) -> str:
    return f" and are gone: {', '.join(map(str, stale))}. Run build_features for their run dates again" if stale else ""
