"""The scene buy_again: recs.buy_again of each user."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._scenes import Scene, cut_off, list_length, purchases_before, purchases_in_window
from recsys import columns as c
from recsys import tables
from recsys.evaluation.scenes import Trial, named
from recsys.frames.best import first_of_each
from recsys.scoring.buy_again import due_items
from recsys.stages import Run
from recsys.tables import Table

DUE, FREQUENT = "due", "frequent"


def rows(run: Run, depth: int) -> Mapping[Table, DataFrame]:
    return {tables.BUY_AGAIN: _due(run, run.day, list_length(run.config, tables.BUY_AGAIN) * depth)}


def trial(run: Run) -> Trial:
    """What users bought again, beside what they have bought most often."""
    day, k = cut_off(run), run.config.evaluation.k
    own = _item_days(run, day)
    pairs = purchases_in_window(run).select(c.USER_ID, c.ITEM_ID).distinct()
    truth = pairs.join(own, on=[c.USER_ID, c.ITEM_ID], how="left_semi").withColumn(c.CASE_ID, F.col(c.USER_ID))
    lists = [(_due(run, day, k), DUE), (_frequent(own, run.lake.read(tables.ITEMS), k), FREQUENT)]
    due, frequent = (named(rows.withColumn(c.CASE_ID, F.col(c.USER_ID)), name) for rows, name in lists)
    return Trial(
        recommenders=(DUE, FREQUENT),
        lists=due.unionByName(frequent),
        truth=truth,
        cases="users who bought something again",
    )


def _due(run: Run, day: date, n: int) -> DataFrame:
    return due_items(_item_days(run, day), run.lake.read(tables.ITEMS), day, n, run.config.scenes)


def _item_days(run: Run, day: date) -> DataFrame:
    return purchases_before(run, day).select(c.USER_ID, c.ITEM_ID, c.EVENT_DATE).distinct()


def _frequent(item_days: DataFrame, items: DataFrame, k: int) -> DataFrame:
    """Most purchase days first, then the latest, then the smaller id."""
    counted = item_days.groupBy(c.USER_ID, c.ITEM_ID).agg(
        F.count("*").alias(c.PURCHASE_DAYS), F.max(c.EVENT_DATE).alias(c.LAST_DATE)
    )
    eligible = counted.join(items.where(c.IS_ELIGIBLE), on=c.ITEM_ID, how="left_semi")
    order = (F.desc(c.PURCHASE_DAYS), F.desc(c.LAST_DATE), F.asc(c.ITEM_ID))
    return first_of_each(eligible, k, (c.USER_ID,), order)


SCENE = Scene(writes=(tables.BUY_AGAIN,), rows=rows, trial=trial)
