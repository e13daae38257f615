"""Exports the newest lists of each scene as files for other systems: what changed since the last export, or all."""

import logging
import sys

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.app import main
from recsys.frames.local_rows import local_rows
from recsys.lake.export_files import clear, last_export, write_export, write_manifest
from recsys.lake.latest import latest_lists
from recsys.logs import timed
from recsys.scoring.export import GONE, changes, key_values, records
from recsys.stages import Figures, Run, Stage

logger = logging.getLogger(__name__)


def run(run: Run) -> Figures:
    """Nothing is written where recs.top_n is as the last export found it."""
    settings, lake = run.config.export, run.lake
    last = last_export(lake)
    version, table_id = lake.version(tables.TOP_N), lake.table_id(tables.TOP_N)
    is_told = last is not None and last[c.TABLE_ID] == table_id and not settings.whole
    since = last[c.UNTIL_VERSION] if is_told and last is not None else None
    if since is not None and lake.is_same(tables.TOP_N, since):
        logger.info("recs.top_n is as export %d found it: nothing to export", last[c.EXPORT_NUMBER] if last else 0)
        return {c.ROWS: 0, c.NUM_CHANGED: 0, c.NUM_GONE: 0}
    number = 1 if last is None else last[c.EXPORT_NUMBER] + 1
    folder = f"{(settings.folder or f'{lake.root}/exports').rstrip('/')}/{number:06d}"
    with timed(logger, f"export {number}"):
        counts = _export(run, folder, version, since)
    told = {
        c.EXPORT_NUMBER: number, c.RUN_DATE: run.day, c.TABLE_ID: table_id, c.SINCE_VERSION: since,
        c.UNTIL_VERSION: version, **counts, c.FORMATS: list(settings.formats), c.FOLDER: folder, c.RUN_ID: run.run_id,
    }  # fmt: skip
    write_manifest(lake, folder, {**told, c.RUN_DATE: run.day.isoformat()})
    values = tuple(told[name] for name in tables.EXPORTS.column_names)
    lake.append(tables.EXPORTS, local_rows(run.spark, [values], tables.EXPORTS.schema))
    return {c.ROWS: sum(counts.values()), c.EXPORT_NUMBER: number, **counts, c.FOLDER: folder}


def _export(run: Run, folder: str, version: int | None, since: int | None) -> dict[str, int]:
    settings = run.config.export
    changed = changes(_records(run, version), None if since is None else _records(run, since)).persist()
    clear(run.lake, folder)
    write_export(folder, changed, key_values(changed, settings.shards), settings.formats)
    counted = changed.agg(F.count_if(F.col(c.CHANGE) != GONE), F.count_if(F.col(c.CHANGE) == GONE)).first()
    changed.unpersist()
    assert counted is not None, "an aggregate without groups has one row"
    return dict(zip((c.NUM_CHANGED, c.NUM_GONE), counted, strict=True))


def _records(run: Run, version: int | None) -> DataFrame:
    return records(latest_lists(run.lake, version))


STAGE = Stage(
    name="export_lists",
    reads=(tables.TOP_N,),
    writes=(tables.EXPORTS,),
    settings=("export",),
    run=run,
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
