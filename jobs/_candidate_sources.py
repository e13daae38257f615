"""What candidates come from beside the features, as the quotas ask for it, for Spark's candidates of any cut-offs."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._models import factors_model
from jobs._recommend import asking, longer_lists
from recsys import columns as c
from recsys import tables
from recsys.frames.feature_tables import FeatureTables
from recsys.lake.read_features import read_item_item
from recsys.scoring.candidates import MoreSources
from recsys.scoring.new_items import new_items
from recsys.scoring.top_n import as_rows
from recsys.stages import Run


def more_sources(run: Run, as_of_dates: Sequence[date]) -> MoreSources:
    """Of cut-offs whose labels a model may have seen: without its lists."""
    quotas = run.config.candidates
    return MoreSources(
        neighbours=read_item_item(run.lake, as_of_dates, quotas.neighbour_items) if quotas.neighbour_items else None,
        new=_new_items(run, as_of_dates) if quotas.new_items else None,
    )


def sources_of(run: Run, as_of: date, features: FeatureTables, users: DataFrame) -> MoreSources:
    """Of the last label window's cut-off or the run date, which no model has seen, for `users`."""
    more = more_sources(run, [as_of])
    lists = factor_lists(run, as_of, users, features.user_item)
    if lists is None:
        return more
    ranked = as_rows(lists, [c.ITEM_IDX]).join(run.lake.read(tables.ITEM_IDS), on=c.ITEM_IDX, how="inner")
    return replace(more, factors=ranked.select(F.lit(as_of).alias(c.AS_OF_DATE), c.USER_ID, c.RANK, c.ITEM_ID))


def factor_lists(run: Run, as_of: date, users: DataFrame, seen: DataFrame) -> DataFrame | None:
    """A row for each of `users` whom candidates.factors_model knows, with item_idx, a list, best first, without what is
    `seen` (user_id and item_id); None where none is named."""
    model = factors_model(run)
    if model is None:
        return None
    asked = asking(run, model, as_of)
    of_users = replace(asked, users=asked.users.join(users.select(c.USER_ID), on=c.USER_ID, how="left_semi"))
    return longer_lists(run, of_users, run.config.candidates.factor_items, seen)


def _new_items(run: Run, as_of_dates: Sequence[date]) -> DataFrame:
    events, items = run.lake.read(tables.EVENTS), run.lake.read(tables.ITEMS)
    of_days = [
        new_items(events, items, day, run.config.candidates.new_item_days).select(
            F.lit(day).alias(c.AS_OF_DATE), c.ITEM_ID, c.BUYERS
        )
        for day in as_of_dates
    ]
    return functools.reduce(DataFrame.unionByName, of_days)
