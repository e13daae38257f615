"""The scene new_items: recs.new_items of each user with a purchase in a category that has new items."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._scene_substitutes import tokens
from jobs._scenes import Scene, cut_off, list_length, purchases_before, purchases_in_window
from recsys import columns as c
from recsys import tables
from recsys.evaluation.baselines import free_lists, ranks_by
from recsys.evaluation.scenes import Trial, named
from recsys.scoring.new_items import AFFINITY, exploration_pool, new_item_lists, new_items, wanted
from recsys.stages import Run
from recsys.tables import Table

NEWEST_POPULAR, EXPLORED = "newest_popular", "with_exploration"


def rows(run: Run, depth: int) -> Mapping[Table, DataFrame]:
    new = _new(run, run.day).persist()
    n, share = list_length(run.config, tables.NEW_ITEMS), run.config.scenes.exploration_share
    return {tables.NEW_ITEMS: _lists(run, run.day, new, _wanted(run, run.day, new), n, share, depth)}


def trial(run: Run) -> Trial:
    """What users bought of the items that were new at the cut-off, and new to them."""
    day, k, share = cut_off(run), run.config.evaluation.k, run.config.scenes.exploration_share
    new = _new(run, day).persist()
    owned = _owned(run, day)
    bought = purchases_in_window(run).select(c.USER_ID, c.ITEM_ID).distinct()
    unknown = bought.join(new, on=c.ITEM_ID, how="left_semi").join(owned, on=[c.USER_ID, c.ITEM_ID], how="left_anti")
    truth = _as_cases(unknown).persist()
    liked = _wanted(run, day, new).persist()  # the larger part of both lists' work
    lists = {
        AFFINITY: _lists(run, day, new, liked, k, 0.0),
        NEWEST_POPULAR: _newest_popular(truth.select(c.USER_ID).distinct(), owned, new, k),
        EXPLORED: _lists(run, day, new, liked, k, share),
    }
    of_each = [named(_as_cases(rows), name) for name, rows in lists.items()]
    return Trial(
        recommenders=tuple(lists),
        lists=of_each[0].unionByName(of_each[1]).unionByName(of_each[2]),
        truth=truth,
        cases="users who bought an item that was new",
    )


def _as_cases(rows: DataFrame) -> DataFrame:
    return rows.withColumn(c.CASE_ID, F.col(c.USER_ID))


def _new(run: Run, day: date) -> DataFrame:
    days = run.config.scenes.new_item_days
    return new_items(run.lake.read(tables.EVENTS), run.lake.read(tables.ITEMS), day, days)


def _lists(  # noqa: PLR0913  # what lists are made of, and how long
    run: Run, day: date, new: DataFrame, liked: DataFrame, n: int, share: float, depth: int = 1
) -> DataFrame:
    pool = exploration_pool(new, run.config.scenes.exploration_pool)
    return new_item_lists(liked, pool, _owned(run, day), day, n, share, depth=depth)


def _owned(run: Run, day: date) -> DataFrame:
    return purchases_before(run, day).select(c.USER_ID, c.ITEM_ID).distinct()


def _wanted(run: Run, day: date, new: DataFrame) -> DataFrame:
    items = run.lake.read(tables.ITEMS).select(c.ITEM_ID, c.CATEGORY)
    own = purchases_before(run, day).join(items, on=c.ITEM_ID, how="inner")
    return wanted(new, own.select(c.USER_ID, c.ITEM_ID, c.CATEGORY), tokens(run), day, run.config.scenes)


def _newest_popular(users: DataFrame, owned: DataFrame, new: DataFrame, k: int) -> DataFrame:
    """Most bought first, among equals the newest, then the smaller id; none that the user has bought."""
    order = F.struct(c.BUYERS, c.FIRST_DATE)
    ranks = ranks_by(new.select(c.ITEM_ID, order.alias("order")), "order")
    own = users.join(owned, on=c.USER_ID, how="left").join(ranks, on=c.ITEM_ID, how="left")
    taken = own.groupBy(c.USER_ID).agg(F.collect_set("popular_rank").alias("taken"))
    return free_lists(taken, ranks, k, c.USER_ID)


SCENE = Scene(writes=(tables.NEW_ITEMS,), rows=rows, trial=trial, may_be_empty=(tables.NEW_ITEMS,))
