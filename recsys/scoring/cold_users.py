"""Lists of users whom a model does not know: what sells where they shop and, once they bought, of their categories."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.as_of import EVENT_ORDER
from recsys.frames.best import first_of_each
from recsys.scoring.candidates import CATEGORY, FAVOURITE_CATEGORIES, POPULAR, by_popularity
from recsys.scoring.fusion import RANK_CONSTANT
from recsys.scoring.pairs import SCORE_DECIMALS

STORE = "store"

_NAMED = (c.USER_ID, c.ITEM_ID, c.RANK, c.SOURCE)


def newest_stores(events: DataFrame) -> DataFrame:
    """user_id and store_id, of the user's newest event that has a store."""
    in_stores = events.where(F.col(c.STORE_ID).isNotNull())
    return in_stores.groupBy(c.USER_ID).agg(F.max_by(c.STORE_ID, F.struct(*EVENT_ORDER)).alias(c.STORE_ID))


def named_by_store(stores: DataFrame, purchases: DataFrame, eligible: DataFrame, n: int) -> DataFrame:
    """For rows of user_id and store_id the `n` items that most users bought there; `source` is STORE."""
    sold = purchases.join(eligible.select(c.ITEM_ID), on=c.ITEM_ID, how="left_semi")
    buyers = sold.groupBy(c.STORE_ID, c.ITEM_ID).agg(F.count_distinct(c.USER_ID).alias("buyers"))
    best = first_of_each(buyers, n, (c.STORE_ID,), (F.desc("buyers"), F.asc(c.ITEM_ID)))
    return stores.join(best, on=c.STORE_ID, how="inner").withColumn(c.SOURCE, F.lit(STORE)).select(*_NAMED)


def named_by_category(
    users: DataFrame, user_categories: DataFrame, item_features: DataFrame, eligible: DataFrame, n: int
) -> DataFrame:
    """For rows of user_id the best seller of each category they bought of, then the second, and so on, `n` in all;
    `source` is CATEGORY. Features of one cut-off."""
    bought = user_categories.where(F.col(c.USER_CATEGORY_PURCHASES_91D) > 0)
    own = bought.join(users.select(c.USER_ID), on=c.USER_ID, how="left_semi")
    more_bought = (F.desc(c.USER_CATEGORY_PURCHASES_91D), F.asc(c.CATEGORY))
    liked = first_of_each(own, FAVOURITE_CATEGORIES, (c.USER_ID,), more_bought).withColumnRenamed(c.RANK, "liked")
    sold = item_features.where(F.col(c.ITEM_BUYERS_28D) > 0).withColumnRenamed(c.ITEM_CATEGORY, c.CATEGORY)
    may = sold.join(eligible.select(c.ITEM_ID), on=c.ITEM_ID, how="left_semi")
    best = first_of_each(may, n, (c.CATEGORY,), by_popularity()).withColumnRenamed(c.RANK, "place")
    pairs = liked.select(c.USER_ID, c.CATEGORY, "liked").join(
        best.select(c.CATEGORY, c.ITEM_ID, "place"), on=c.CATEGORY, how="inner"
    )
    in_turn = first_of_each(pairs, n, (c.USER_ID,), ("place", "liked"))
    return in_turn.withColumn(c.SOURCE, F.lit(CATEGORY)).select(*_NAMED)


def cold_lists(users: DataFrame, named: DataFrame, popular: DataFrame, n: int) -> DataFrame:
    """`n` rows a user: rank, item_id, score (1 / rank) and source.

    First what is `named` (rows of named_by_store and named_by_category), by the sum of reciprocal ranks; then
    `popular`, item_id and rank of the `n` most popular ones. An item says the source that names it higher.
    """
    of_all = users.select(c.USER_ID).crossJoin(F.broadcast(popular.select(c.ITEM_ID, c.RANK)))
    parts = named.select(*_NAMED, F.lit(0).alias("turn")).unionByName(
        of_all.select(c.USER_ID, c.ITEM_ID, c.RANK, F.lit(POPULAR).alias(c.SOURCE), F.lit(1).alias("turn"))
    )
    share = F.when(F.col("turn") == 0, 1 / (RANK_CONSTANT + F.col(c.RANK)))
    pairs = parts.groupBy(c.USER_ID, c.ITEM_ID).agg(
        F.min("turn").alias("turn"),
        F.sum(share).alias("share"),
        F.min(F.struct("turn", c.RANK, c.SOURCE)).alias("first"),
    )
    order = (F.asc("turn"), F.desc("share"), F.asc(f"first.{c.RANK}"), F.asc(c.ITEM_ID))
    best = first_of_each(pairs, n, (c.USER_ID,), order)
    score = F.round(1 / F.col(c.RANK), SCORE_DECIMALS).alias(c.SCORE)
    return best.select(c.USER_ID, c.RANK, c.ITEM_ID, score, f"first.{c.SOURCE}")
