"""The scene substitutes: recs.similar_items of each item."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._scenes import (
    Scene,
    baskets_before,
    cut_off,
    list_length,
    purchases_before,
    purchases_in_window,
    served_events,
)
from recsys import columns as c
from recsys import tables
from recsys.evaluation.scenes import Trial, named, with_case_id
from recsys.features.item_text import TEXTS, tokens_of
from recsys.features.purchases import basket_items
from recsys.frames.best import first_of_each
from recsys.scoring.substitutes import co_views, described_items, newest_of_need, similar_items, turns
from recsys.stages import Run
from recsys.tables import Table

SIMILAR, SAME_CATEGORY = "similar", "same_category_popular"


def rows(run: Run, depth: int) -> Mapping[Table, DataFrame]:
    n, described = list_length(run.config, tables.SIMILAR_ITEMS) * depth, _described(run, run.day).persist()
    return {tables.SIMILAR_ITEMS: _similar(run, run.day, described, n)}


def trial(run: Run) -> Trial:
    """Of each user and category: what else of it lay in baskets without the item that the user had bought last."""
    day, k, items = cut_off(run), run.config.evaluation.k, run.lake.read(tables.ITEMS)
    described = _described(run, day).persist()
    asked = newest_of_need(purchases_before(run, day), items)
    truth, cases = _turned_to(basket_items(purchases_in_window(run)), asked, items)
    lists = named(_lists(cases, _similar(run, day, described, k)), SIMILAR).unionByName(
        named(_lists(cases, _popular_of_category(described, k)), SAME_CATEGORY)
    )
    return Trial(
        recommenders=(SIMILAR, SAME_CATEGORY),
        lists=lists,
        truth=truth,
        cases="users and categories with another item of it than the last, in a basket without that",
    )


def tokens(run: Run) -> DataFrame:
    """item_id and `tokens` of what clean.items says of each."""
    items = run.lake.read(tables.ITEMS)
    return items.select(c.ITEM_ID, tokens_of(F.concat_ws(" ", *TEXTS)).alias("tokens"))


def _described(run: Run, day: date) -> DataFrame:
    items, settings = run.lake.read(tables.ITEMS), run.config.scenes
    return described_items(purchases_before(run, day), items, tokens(run), _vectors(run, day), day, settings)


def _vectors(run: Run, day: date) -> DataFrame | None:
    if not run.lake.exists(tables.ITEM_VECTORS_FEATURES):
        return None
    return run.lake.read(tables.ITEM_VECTORS_FEATURES).where(F.col(c.AS_OF_DATE) == F.lit(day))


def _similar(run: Run, day: date, described: DataFrame, n: int) -> DataFrame:
    settings, items = run.config.scenes, run.lake.read(tables.ITEMS)
    in_turn = turns(baskets_before(run, day), items, day, settings)
    viewed = served_events(run).where(F.col(c.EVENT_TYPE) == c.VIEW)
    of_day = viewed.select(
        c.USER_ID, F.col(c.EVENT_DATE).cast("string").alias(c.BASKET), c.EVENT_DATE, c.ITEM_ID
    ).distinct()
    views = co_views(of_day, day, settings.similar_candidates, settings)
    return similar_items(described, in_turn, views, n, settings)


def _turned_to(baskets: DataFrame, asked: DataFrame, items: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The truth, and case_id with the item that a list is asked for."""
    with_category = baskets.join(items.select(c.ITEM_ID, c.CATEGORY), on=c.ITEM_ID, how="inner")
    cases = with_case_id(asked, c.USER_ID, c.CATEGORY).withColumnRenamed(c.ITEM_ID, "last")
    bought = with_category.join(cases, on=[c.USER_ID, c.CATEGORY], how="inner")
    basket = [c.CASE_ID, c.EVENT_DATE, c.BASKET]
    with_last = bought.where(F.col(c.ITEM_ID) == F.col("last")).select(*basket)
    others = bought.join(with_last, on=basket, how="left_anti")
    truth = others.select(c.CASE_ID, c.USER_ID, c.ITEM_ID).distinct()
    return truth, cases.select(c.CASE_ID, F.col("last").alias(c.ITEM_ID))


def _lists(cases: DataFrame, neighbours: DataFrame) -> DataFrame:
    found = cases.join(neighbours, on=c.ITEM_ID, how="inner")
    return found.select(c.CASE_ID, c.RANK, F.col(c.NEIGHBOUR_ID).alias(c.ITEM_ID))


def _popular_of_category(described: DataFrame, k: int) -> DataFrame:
    """Of each item: the most bought others of its category."""
    order = (F.desc(c.BUYERS), F.asc(c.ITEM_ID))
    best = first_of_each(described.where(F.col(c.CATEGORY).isNotNull()), k + 1, (c.CATEGORY,), order)
    others = best.select(c.CATEGORY, F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID), c.BUYERS)
    pairs = described.select(c.ITEM_ID, c.CATEGORY).join(others, on=c.CATEGORY, how="inner")
    different = pairs.where(F.col(c.ITEM_ID) != F.col(c.NEIGHBOUR_ID))
    return first_of_each(different, k, (c.ITEM_ID,), (F.desc(c.BUYERS), F.asc(c.NEIGHBOUR_ID)))


SCENE = Scene(writes=(tables.SIMILAR_ITEMS,), rows=rows, trial=trial, reads=(tables.ITEM_VECTORS_FEATURES,))
