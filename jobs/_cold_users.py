"""Lists of users whom no model knows, in the score job: by their store and categories, of the days before."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._recommend import Asking
from recsys import columns as c
from recsys import tables
from recsys.evaluation.baselines import popular_ranks
from recsys.frames.as_of import events_before
from recsys.scoring.all_items import known_users
from recsys.scoring.cold_users import cold_lists, named_by_category, named_by_store, newest_stores
from recsys.stages import Run

_SOLD_DAYS = 28
_SEEN_DAYS = 91  # in which an event tells the user's store


def with_cold_lists(run: Run, ranked: DataFrame, users: DataFrame) -> DataFrame:
    """`ranked`, rows that are read twice, and a list of score.top_n items for those of `users` without a row there."""
    unknown = users.select(c.USER_ID).join(ranked, on=c.USER_ID, how="left_anti")
    return ranked.unionByName(_lists_of(run, unknown, run.config.score.top_n), allowMissingColumns=True)


def with_longer_cold_lists(
    run: Run, lists: DataFrame, asked: Sequence[Asking | None], users: DataFrame, n: int
) -> DataFrame:
    """Lists (item_idx, score and source) with those of users whom no model knows; a model that ranks candidates (None)
    knows all."""
    named = lists.select(c.USER_ID, c.ITEM_IDX, c.SCORE, c.SOURCE)
    unknown = users.select(c.USER_ID)
    for one in asked:
        if one is None:
            return named
        known = known_users(one.users, one.load) if one.known is None else one.known
        unknown = unknown.join(known, on=c.USER_ID, how="left_anti")
    rows = _lists_of(run, unknown, n).join(run.lake.read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    best = F.sort_array(F.collect_list(F.struct(c.RANK, c.ITEM_IDX, c.SCORE, c.SOURCE))).alias("best")
    columns = [f"best.{name}" for name in (c.ITEM_IDX, c.SCORE, c.SOURCE)]
    return named.unionByName(rows.groupBy(c.USER_ID).agg(best).select(c.USER_ID, *columns))


def _lists_of(run: Run, users: DataFrame, n: int) -> DataFrame:
    read, features = run.lake.read, run.features
    events, items = read(tables.EVENTS), read(tables.ITEMS)
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    own = events_before(events, run.day, _SEEN_DAYS).join(users, on=c.USER_ID, how="left_semi")
    sold = events_before(events.where(F.col(c.EVENT_TYPE) == c.PURCHASE), run.day, _SOLD_DAYS)
    named = named_by_store(newest_stores(own), sold, eligible, n).unionByName(
        named_by_category(users, features.user_category, features.item, eligible, n)
    )
    popular = popular_ranks(items, features.item, window_days=_SOLD_DAYS).toDF(c.ITEM_ID, c.RANK)
    return cold_lists(users, named, popular.where(F.col(c.RANK) <= n), n)
