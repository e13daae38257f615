"""Raw log files, as conf/sources/<source.name>.yaml maps them, to clean tables, quarantine, counts and dense ids."""

import sys
from functools import partial

from pyspark.sql import DataFrame

from recsys import app, tables
from recsys import columns as c
from recsys.clean.log import CleanLog, Source, clean_log, open_source, require_readable, state
from recsys.clean.quality import figures, quality_rows
from recsys.clean.users import clean_users
from recsys.frames.keys import new_ids
from recsys.lake.at_once import at_once
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, Stage
from recsys.tables import Table


def source(run: Run) -> Source:
    return open_source(run.spark, run.conf_folder, run.config.source)


def run(run: Run) -> Figures:
    try:
        return write(run.lake, clean_log(run.spark, source(run), run.config.clean))
    finally:
        run.spark.catalog.clearCache()


def write(lake: Lake, log: CleanLog) -> Figures:
    lake.overwrite_all(
        {
            tables.EVENTS: log.events.hint("rebalance", c.EVENT_DATE),
            tables.PROMOTIONS: log.promotions,
            tables.ITEMS: log.items,
            tables.QUARANTINE: log.quarantine,
            tables.QUALITY: quality_rows(lake.spark, log.counts),
        }
    )
    lake.overwrite(tables.USERS, clean_users(log.named_users, lake.read(tables.EVENTS)))
    items, users = lake.read(tables.ITEMS), lake.read(tables.USERS)
    with_ids = ((tables.USER_IDS, users), (tables.ITEM_IDS, items), (tables.CATEGORY_IDS, items))
    at_once(lake.spark, [partial(append_new_ids, lake, table, rows) for table, rows in with_ids])
    return figures(log.counts, log.reasons) | {"users": users.count()}


def append_new_ids(lake: Lake, table: Table, rows: DataFrame) -> None:
    key, idx = table.column_names
    if not lake.exists(table):
        lake.overwrite(table, new_ids(lake.spark.createDataFrame([], f"{key} string, {idx} int"), rows, key, idx))
    elif not (added := new_ids(lake.read(table), rows, key, idx)).isEmpty():
        lake.append(table, added)


STAGE = Stage(
    name="clean_logs",
    reads=(),
    writes=tuple(table for table in tables.ALL_TABLES if table.writer == "clean_logs"),
    settings=("source", "clean"),
    run=run,
    check=lambda run: require_readable(source(run)),
    inputs=lambda run: state(source(run)),
    is_dated=False,
)

if __name__ == "__main__":
    sys.exit(app.main(STAGE, __doc__))
