"""What candidates come from beside the features, as the quotas ask for it, for Spark's candidates of any cut-offs."""

from collections.abc import Sequence
from datetime import date

from recsys import tables
from recsys.lake.read_features import read_item_item
from recsys.scoring.candidates import MoreSources
from recsys.stages import Run
from recsys.tables import Table


def sources_read(run: Run) -> tuple[Table, ...]:
    """Optional tables, where they are there: who reads them says what is missing."""
    asked = (tables.ITEM_ITEM_FEATURES,) if run.config.candidates.neighbour_items else ()
    return tuple(table for table in asked if run.lake.exists(table))


def more_sources(run: Run, as_of_dates: Sequence[date]) -> MoreSources:
    quota = run.config.candidates.neighbour_items
    return MoreSources(neighbours=read_item_item(run.lake, as_of_dates, quota) if quota else None)
