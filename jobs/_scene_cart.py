"""The scene cart: recs.complements of each item, recs.cart of each user with something in the cart."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._scenes import Scene, baskets_before, cut_off, list_length, purchases_in_window, served_events
from recsys import columns as c
from recsys import tables
from recsys.evaluation.baselines import POPULAR, ranks_by
from recsys.evaluation.scenes import Trial, hide_one, named, popular_besides, with_case_id
from recsys.features.purchases import basket_items
from recsys.frames.best import first_of_each
from recsys.scoring.cart import complements, completions, item_pairs, log_lifts, open_carts
from recsys.stages import Run
from recsys.tables import Table

LIFT, COUNTS = "lift", "counts"


def rows(run: Run, depth: int) -> Mapping[Table, DataFrame]:
    """A cart is completed from what the complements of its items are before rules, whichever these hide."""
    settings, items = run.config.scenes, run.lake.read(tables.ITEMS)
    best = complements(_pairs(run, run.day), items, settings.complements * depth).persist()
    carts = open_carts(served_events(run), run.day, settings.cart_days)
    weights = log_lifts(best.where(F.col(c.RANK) <= settings.complements))
    of_carts = completions(carts, weights, list_length(run.config, tables.CART) * depth, c.USER_ID)
    return {tables.COMPLEMENTS: best, tables.CART: of_carts}


def trial(run: Run) -> Trial:
    """One item of each basket is hidden and to be named from the others."""
    day, k, settings, items = cut_off(run), run.config.evaluation.k, run.config.scenes, run.lake.read(tables.ITEMS)
    pairs = _pairs(run, day).persist()
    baskets = with_case_id(basket_items(purchases_in_window(run)), c.USER_ID, c.EVENT_DATE, c.BASKET)
    carts, hidden = (part.persist() for part in hide_one(baskets))
    weights = log_lifts(complements(pairs, items, settings.complements))
    counts = pairs.select(c.ITEM_ID, c.NEIGHBOUR_ID, F.col(c.SUPPORT).cast("double").alias(c.SCORE))
    popular = popular_besides(carts.select(c.CASE_ID, c.ITEM_ID), _popular_ranks(run, day), k)
    lists = (
        named(_completed(carts, weights, k), LIFT)
        .unionByName(named(_completed(carts, _best_of(counts, items, settings.complements), k), COUNTS))
        .unionByName(named(popular, POPULAR))
    )
    return Trial(
        recommenders=(LIFT, COUNTS, POPULAR), lists=lists, truth=hidden, cases="baskets with one of their items hidden"
    )


def _pairs(run: Run, day: date) -> DataFrame:
    return item_pairs(baskets_before(run, day), day, run.config.scenes)


def _completed(carts: DataFrame, weights: DataFrame, k: int) -> DataFrame:
    return completions(carts.select(c.CASE_ID, c.ITEM_ID), weights, k, c.CASE_ID)


def _best_of(weights: DataFrame, items: DataFrame, n: int) -> DataFrame:
    """As many neighbours of an item as recs.complements has, those that most often lay beside it."""
    eligible = items.where(c.IS_ELIGIBLE).select(F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID))
    known = weights.join(eligible, on=c.NEIGHBOUR_ID, how="left_semi")
    best = first_of_each(known, n, (c.ITEM_ID,), (F.desc(c.SCORE), F.asc(c.NEIGHBOUR_ID)))
    return best.select(*weights.columns)


def _popular_ranks(run: Run, day: date) -> DataFrame:
    """By baskets of the same days."""
    eligible = run.lake.read(tables.ITEMS).where(c.IS_ELIGIBLE)
    baskets = baskets_before(run, day).join(eligible, on=c.ITEM_ID, how="left_semi")
    return ranks_by(baskets.groupBy(c.ITEM_ID).agg(F.count("*").alias("baskets")), "baskets")


SCENE = Scene(writes=(tables.COMPLEMENTS, tables.CART), rows=rows, trial=trial, may_be_empty=(tables.CART,))
