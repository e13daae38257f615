"""Looks after the lake: old lists go, small files are joined, files that neither readers nor pinned versions need go.

Run it after the day's jobs, daily or weekly; what the stages made stands.
"""

import logging
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

from recsys import columns as c
from recsys import tables
from recsys.app import main
from recsys.lake import maintenance
from recsys.lake.at_once import at_once
from recsys.lake.maintenance import pinned_versions
from recsys.logs import timed
from recsys.stages import Figures, Run, Stage
from recsys.tables import Table

logger = logging.getLogger(__name__)

# Written by hand or by load_rules: small, and a new version of them would have the lists made again.
LEFT_ALONE = (tables.BUSINESS_RULES, tables.STOCK)


def run(run: Run) -> Figures:
    settings, now = run.config.maintenance, datetime.now(tz=UTC)
    pinned = pinned_versions(run.lake, now - timedelta(days=settings.pin_days))
    looked_after = [table for table in tables.ALL_TABLES if table not in LEFT_ALONE and run.lake.exists(table)]
    actions = [partial(_maintain, run, table, pinned.get(table.name, set()), now) for table in looked_after]
    with maintenance.vacuuming(run.lake):
        kept_hours = at_once(run.spark, actions)
    return {
        c.ROWS: 0,
        "tables": len(looked_after),
        "pinned_versions": sum(map(len, pinned.values())),
        "longest_kept_hours": round(max(kept_hours), 1),
    }


def _maintain(run: Run, table: Table, pinned: set[int], now: datetime) -> float:
    """The hours of files that were kept."""
    settings, lake = run.config.maintenance, run.lake
    with timed(logger, f"maintain {table.name}"):
        maintenance.set_properties(lake, table, settings.pin_days)
        if table.name.startswith("recs.") and c.RUN_DATE in table.partition_by:
            maintenance.delete_before(lake, table, maintenance.oldest_kept(run.day, settings.keep_days))
        if table is tables.RUNS:
            # Rows of lists that are kept name their run.
            days = max(settings.keep_days, settings.pin_days)
            maintenance.delete_superseded_runs(lake, now - timedelta(days=days))
        maintenance.optimize(lake, table)
        return maintenance.vacuum(lake, table, hours=settings.vacuum_hours, pinned=pinned, now=now)


STAGE = Stage(
    name="maintain",
    reads=(tables.EVENTS,),
    # Nothing to take back: each step leaves a whole table, and what was deleted is deleted.
    writes=(),
    settings=("maintenance",),
    run=run,
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
