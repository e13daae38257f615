"""How many items of the exact lists an approximate search finds, measured on some of the users of each run."""

from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._recommend import Asking, all_items_lists
from recsys import columns as c
from recsys.frames.caches import held
from recsys.search_by import EXACT, EXACTLY
from recsys.stages import Run

_NUM_SAMPLED = 1000


def search_recall(run: Run, asked: Asking | None) -> float | None:
    """Of the first score.top_n items of each of a thousand users, always the same ones while users stay the same; none
    left out. None where the search is exact or finds nobody to look for."""
    if asked is None or asked.by.method == EXACT:
        return None
    sample = replace(asked, users=_sampled(asked.users))
    with held(sample.users):
        n, pair = run.config.score.top_n, [c.USER_ID, c.ITEM_ID]
        exact, found = (all_items_lists(run, one, n) for one in (replace(sample, by=EXACTLY), sample))
        both = exact.select(*pair).join(found.select(*pair, F.lit(1).alias("found")), on=pair, how="left")
        recall = both.agg(F.try_divide(F.count("found"), F.count("*"))).first()
    return None if recall is None or recall[0] is None else round(float(recall[0]), 6)


def _sampled(users: DataFrame) -> DataFrame:
    return users.orderBy(F.xxhash64(c.USER_ID), c.USER_ID).limit(_NUM_SAMPLED)
