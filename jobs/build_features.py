"""Features of every grain, as of the run date and of each cut-off of its train, validation and test windows."""

import sys
from collections.abc import Sequence
from datetime import date

from pyspark.sql import functions as F

from recsys import app, tables
from recsys import columns as c
from recsys.examples.split import cutoffs
from recsys.features.all_grains import features_as_of
from recsys.features.coverage import HISTORY_DAYS, empty_spans, needed_spans, no_purchases
from recsys.features.optional_grains import Log, optional_features
from recsys.features.purchases import Purchases, item_days, visits
from recsys.frames.as_of import events_before
from recsys.frames.keys import require_unique
from recsys.lake.read_features import FEATURE_TABLES
from recsys.stages import Figures, Run, Stage

WRITES = (*FEATURE_TABLES, *tables.OPTIONAL_FEATURES)
_TABLES = {table.name.removeprefix("features."): table for table in WRITES}


def run(run: Run) -> Figures:
    examples = run.config.examples
    parts = cutoffs(run.day, label_days=examples.label_days, train_windows=examples.train_windows)
    label_cutoffs = (*parts.train, parts.validation, parts.test)
    needed_days = HISTORY_DAYS + (run.day - min(label_cutoffs)).days
    events = events_before(run.lake.read(tables.EVENTS), run.day, needed_days)
    # Grouping by user, and by user and anything, then needs no further shuffle.
    by_item = item_days(events.repartition(c.USER_ID)).persist()
    by_visit = visits(events).repartition(c.USER_ID).persist()
    try:
        days = [row[c.EVENT_DATE] for row in by_visit.select(c.EVENT_DATE).distinct().collect()]
        if empty := empty_spans(needed_spans(label_cutoffs, label_days=examples.label_days), days):
            raise no_purchases(empty, *_covered_days(run))
        items = require_unique(run.lake.read(tables.ITEMS), c.ITEM_ID)
        log = Log(events=events, item_days=by_item, items=items)
        return _write(run, Purchases(item_days=by_item, visits=by_visit), log, (*label_cutoffs, run.day))
    finally:
        by_item.unpersist()
        by_visit.unpersist()


def _covered_days(run: Run) -> Sequence[date | None]:
    purchases = run.lake.read(tables.EVENTS).where(F.col(c.EVENT_TYPE) == c.PURCHASE)
    return purchases.agg(F.min(c.EVENT_DATE), F.max(c.EVENT_DATE)).collect()[0]


def _write(run: Run, purchases: Purchases, log: Log, as_of_dates: Sequence[date]) -> Figures:
    features = features_as_of(purchases, log.items, run.lake.read(tables.PROMOTIONS), as_of_dates)
    of_grains = {**vars(features), **optional_features(log, as_of_dates, run.config.features)}
    is_written = f"{c.AS_OF_DATE} IN ({', '.join(f'DATE{day.isoformat()!r}' for day in as_of_dates)})"
    spread = {_TABLES[grain]: rows.hint("rebalance", c.AS_OF_DATE) for grain, rows in of_grains.items()}
    run.lake.overwrite_all(spread, where=is_written)
    rows = {f"rows_{grain}": run.lake.read(_TABLES[grain]).where(is_written).count() for grain in of_grains}
    return {c.ROWS: rows["rows_user_item"], **rows, "cutoffs": ", ".join(map(str, as_of_dates))}


READS = (tables.EVENTS, tables.ITEMS, tables.PROMOTIONS)
STAGE = Stage(name="build_features", reads=READS, writes=WRITES, settings=("examples", "features"), run=run)

if __name__ == "__main__":
    sys.exit(app.main(STAGE, __doc__))
