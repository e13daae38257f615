"""The scene anonymous: recs.anonymous of each store and time of the week."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._scenes import Scene, cut_off, list_length, purchases_before, purchases_in_window
from recsys import columns as c
from recsys import tables
from recsys.evaluation.baselines import POPULAR
from recsys.evaluation.scenes import Trial, named, with_case_id
from recsys.features.holidays import calendar_of, country
from recsys.features.purchases import placed_baskets
from recsys.scoring.anonymous import ALL, context_lists, levels_of, lists_at
from recsys.stages import Run
from recsys.tables import Table

CONTEXT = "context"


def rows(run: Run, depth: int) -> Mapping[Table, DataFrame]:
    return {tables.ANONYMOUS: _lists(run, run.day, list_length(run.config, tables.ANONYMOUS) * depth)}


def trial(run: Run) -> Trial:
    """Each basket as if nothing were known of its user, beside the list of all stores and times."""
    day, settings = cut_off(run), run.config.scenes
    lists = _lists(run, day, run.config.evaluation.k).persist()
    baskets = with_case_id(_placed(run, purchases_in_window(run)), c.USER_ID, c.EVENT_DATE, c.BASKET).persist()
    truth = baskets.select(c.CASE_ID, c.USER_ID, F.explode("items").alias(c.ITEM_ID))
    of_all = baskets.select(c.CASE_ID).crossJoin(F.broadcast(lists.where(F.col(c.LEVEL) == ALL)))
    of_place = named(lists_at(baskets, lists, settings, _levels(run)), CONTEXT)
    return Trial(
        recommenders=(CONTEXT, POPULAR),
        lists=of_place.unionByName(named(of_all, POPULAR)),
        truth=truth,
        cases="baskets, their users taken for unknown",
    )


def _lists(run: Run, day: date, n: int) -> DataFrame:
    baskets, items = _placed(run, purchases_before(run, day)), run.lake.read(tables.ITEMS)
    return context_lists(baskets, items, day, n, run.config.scenes, _levels(run))


def _placed(run: Run, purchases: DataFrame) -> DataFrame:
    in_country = country(calendar_of(run.config.features.countries, {}))
    return placed_baskets(purchases).withColumn(c.COUNTRY, in_country)


def _levels(run: Run) -> tuple[str, ...]:
    return levels_of(run.config.features.countries)


SCENE = Scene(writes=(tables.ANONYMOUS,), rows=rows, trial=trial)
