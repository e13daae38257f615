"""What candidates come from beside the features, as the quotas ask for it, for Spark's candidates of any cut-offs."""

import functools
from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.lake.read_features import read_item_item
from recsys.scoring.candidates import MoreSources
from recsys.scoring.new_items import new_items
from recsys.stages import Run


def more_sources(run: Run, as_of_dates: Sequence[date]) -> MoreSources:
    """Of cut-offs whose labels a model may have seen: without its lists."""
    quotas = run.config.candidates
    return MoreSources(
        neighbours=read_item_item(run.lake, as_of_dates, quotas.neighbour_items) if quotas.neighbour_items else None,
        new=_new_items(run, as_of_dates) if quotas.new_items else None,
    )


def _new_items(run: Run, as_of_dates: Sequence[date]) -> DataFrame:
    events, items = run.lake.read(tables.EVENTS), run.lake.read(tables.ITEMS)
    of_days = [
        new_items(events, items, day, run.config.candidates.new_item_days).select(
            F.lit(day).alias(c.AS_OF_DATE), c.ITEM_ID, c.BUYERS
        )
        for day in as_of_dates
    ]
    return functools.reduce(DataFrame.unionByName, of_days)
