"""Features of every grain, as of the run date and of each cut-off of its train, validation and test windows."""

import sys
from collections.abc import Sequence
from datetime import date
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._days import events_by_day, known_events, known_history_of_items, known_promotions
from jobs._stale_features import GRAIN_TABLES, drop_stale_features, is_of_cutoffs
from jobs._text_vectors import are_vectors_asked, text_vectors
from recsys import app, tables
from recsys import columns as c
from recsys.catalog import VIEW_HISTORY_DAYS
from recsys.examples.split import cutoffs_of
from recsys.features.all_grains import features_as_of
from recsys.features.coverage import HISTORY_DAYS, empty_spans, needed_spans, no_purchases
from recsys.features.event_days import EventDays
from recsys.features.holidays import calendar_of
from recsys.features.optional_grains import Log, optional_features
from recsys.frames.as_of import events_before
from recsys.frames.caches import held
from recsys.frames.keys import require_unique
from recsys.lake.at_once import at_once
from recsys.models import text_encoder
from recsys.stages import Figures, Run, Stage

_TABLES = {table.name.removeprefix("features."): table for table in GRAIN_TABLES}


def run(run: Run) -> Figures:
    examples = run.config.examples
    parts = cutoffs_of(run.day, examples)
    label_cutoffs = (*parts.train, parts.validation, parts.test)
    span_days = (run.day - min(label_cutoffs)).days
    as_of_dates = (*label_cutoffs, run.day)
    if run.config.features.as_known_on is None:
        drop_stale_features(run, as_of_dates)
    in_span = partial(events_before, as_of=run.day, days=HISTORY_DAYS + span_days)
    by_day = _looked_back(events_by_day(run), run.day, span_days)
    with held(*(days_of for days_of in vars(by_day).values() if days_of is not None)):
        days = [row[c.EVENT_DATE] for row in by_day.visits.select(c.EVENT_DATE).distinct().collect()]
        if empty := empty_spans(needed_spans(label_cutoffs, label_days=examples.label_days), days):
            raise no_purchases(empty, *_covered_days(run))
        history = require_unique(known_history_of_items(run), c.ITEM_ID, c.VALID_FROM)
        vectors = text_vectors(run, by_day.item_days, history) if are_vectors_asked(run) else None
        log = Log(
            events=in_span(known_events(run)), item_days=by_day.item_days, item_history=history, text_vectors=vectors
        )
        return _write(run, by_day, log, as_of_dates)


def _looked_back(by_day: EventDays, run_date: date, span_days: int) -> EventDays:
    """As far back as features look. Grouping by user, and by user and anything, then needs no further shuffle."""

    def kept(days: DataFrame, history_days: int) -> DataFrame:
        return events_before(days, run_date, history_days + span_days).repartition(c.USER_ID)

    return EventDays(
        item_days=kept(by_day.item_days, HISTORY_DAYS),
        visits=kept(by_day.visits, HISTORY_DAYS),
        view_days=None if by_day.view_days is None else kept(by_day.view_days, VIEW_HISTORY_DAYS),
    )


def check(run: Run) -> None:
    if are_vectors_asked(run):
        text_encoder.require_text_extra()


def _covered_days(run: Run) -> Sequence[date | None]:
    purchases = run.lake.read(tables.EVENTS).where(F.col(c.EVENT_TYPE) == c.PURCHASE)
    return purchases.agg(F.min(c.EVENT_DATE), F.max(c.EVENT_DATE)).collect()[0]


def _write(run: Run, by_day: EventDays, log: Log, as_of_dates: Sequence[date]) -> Figures:
    settings = run.config.features
    calendar = calendar_of(settings.countries, settings.holidays, stores_are_countries=settings.stores_are_countries)
    features = features_as_of(by_day, log.item_history, known_promotions(run), as_of_dates, calendar)
    of_grains = {**vars(features), **optional_features(log, as_of_dates, settings)}
    is_written = is_of_cutoffs(as_of_dates)
    spread = {_TABLES[grain]: rows.hint("rebalance", c.AS_OF_DATE) for grain, rows in of_grains.items()}
    run.lake.overwrite_all(spread, where=is_written)
    counts = at_once(run.spark, [run.lake.read(_TABLES[grain]).where(is_written).count for grain in of_grains])
    rows = {f"rows_{grain}": count for grain, count in zip(of_grains, counts, strict=True)}
    return {c.ROWS: rows["rows_user_item"], **rows, "cutoffs": ", ".join(map(str, as_of_dates))}


READS = (tables.EVENTS, tables.ITEM_HISTORY, tables.ITEM_VALUES, tables.PROMOTIONS)
WRITES = (*tables.DAY_TABLES, tables.TEXT_VECTORS, *GRAIN_TABLES)
STAGE = Stage(
    name="build_features", reads=READS, writes=WRITES, settings=("examples", "features"), run=run, check=check
)

if __name__ == "__main__":
    sys.exit(app.main(STAGE, __doc__))
