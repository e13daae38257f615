"""Events added up by day, as build_features reads them: from the day tables, which it brings up to date; and what else
is known on the day that the features are asked for."""

import hashlib
from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame

from recsys import columns as c
from recsys import tables
from recsys.clean.items import known_item_history
from recsys.features import purchases, views
from recsys.features.event_days import EventDays
from recsys.features.purchases import item_days, visits
from recsys.features.views import view_days
from recsys.frames import sums
from recsys.frames.as_of import known_by
from recsys.lake.at_once import at_once
from recsys.lake.day_tables import bring_up_to_date
from recsys.lake.told import told_by
from recsys.stages import Run
from recsys.tables import Table


def events_by_day(run: Run) -> EventDays:
    """Of all days; from the events themselves where not all of them are to be known."""
    has_views = bool(told_by(run.lake) & {c.VIEW, c.CART})
    made = {tables.ITEM_DAYS: item_days, tables.VISITS: visits, **({tables.VIEW_DAYS: view_days} if has_views else {})}
    if run.config.features.as_known_on is not None:
        return _event_days({table: make(known_events(run)) for table, make in made.items()})
    update = partial(bring_up_to_date, run.lake, source=tables.EVENTS, code=_code())
    at_once(run.spark, [partial(update, table, make=make) for table, make in made.items()])
    return _event_days({table: run.lake.read(table) for table in made})


def _event_days(days: Mapping[Table, DataFrame]) -> EventDays:
    return EventDays(item_days=days[tables.ITEM_DAYS], visits=days[tables.VISITS], view_days=days.get(tables.VIEW_DAYS))


def known_events(run: Run) -> DataFrame:
    """Those that had become known before `features.as_known_on`, where it is set."""
    events, border = run.lake.read(tables.EVENTS), run.config.features.as_known_on
    return events if border is None else known_by(events, date.fromisoformat(border))


def known_promotions(run: Run) -> DataFrame:
    """Those that had become known before `features.as_known_on`, where it is set."""
    promotions, border = run.lake.read(tables.PROMOTIONS), run.config.features.as_known_on
    return promotions if border is None else known_by(promotions, date.fromisoformat(border))


def known_history_of_items(run: Run) -> DataFrame:
    """One row an item and version, of what had become known before `features.as_known_on`, where it is set."""
    history, border = run.lake.read(tables.ITEM_HISTORY), run.config.features.as_known_on
    if border is None:
        return history
    return known_item_history(history, run.lake.read(tables.ITEM_VALUES), date.fromisoformat(border))


def _code() -> str:
    """Of what a day is made by, and of the columns that it has."""
    digest = hashlib.sha256(repr(tables.DAY_TABLES).encode())
    for file in (purchases.__file__, views.__file__, sums.__file__):
        digest.update(Path(str(file)).read_bytes())
    return digest.hexdigest()[:16]
