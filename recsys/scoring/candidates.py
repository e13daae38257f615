"""Which items a user may be recommended: own ones, those viewed, those of favourite categories, popular ones."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import CandidatesConfig
from recsys.frames.best import first_of_each
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.own_items import bought, not_bought, own_item

OWN = "own"
VIEWED = "viewed"
CATEGORY = "category"
POPULAR = "popular"
SOURCES = (OWN, VIEWED, CATEGORY, POPULAR)

OWN_ROWS = "own_rows"

# Categories that share a user's quota of category items. On the Complete Journey log 10, 20 and 40 hold the same
# share of later purchases, to within 0.004.
FAVOURITE_CATEGORIES = 20
# Items fetched for one that is kept: the best sellers of a favourite category are often the user's own already.
_FETCHED_PER_KEPT = 2

_OWN_LIST = "own_list"
_VIEWED_LIST = "viewed_list"
_CATEGORY_LIST = "category_list"
_POPULAR_LIST = "popular_list"


def candidates(features: FeatureTables, items: DataFrame, users: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    """One row for each as_of_date, user_id and item_id, with its `source`; eligible items and users not opted out.

    A quota is filled with items that no source before it (own, category, popular) has named, so that sources do not
    overlap; that of own items with those bought first, then with those put into the cart or viewed. Lists are cut
    before they meet: no step holds more rows than users times favourite categories. An item is of the category that it
    had on the day before the cut-off.
    """
    pairs = F.concat(*(_sourced(F.col(source), source) for source in SOURCES))
    listed = candidate_lists(features, items, users, quotas).withColumn("pair", F.explode(pairs))
    return listed.select(c.AS_OF_DATE, c.USER_ID, "pair.item_id", "pair.source")


def candidate_lists(  # those of candidates, and how items are told
    features: FeatureTables,
    items: DataFrame,
    users: DataFrame,
    quotas: CandidatesConfig,
    *,
    named_by: str = c.ITEM_ID,
    own_columns: Sequence[Column] = (),
) -> DataFrame:
    """The same, one row for each as_of_date and user_id, with a list of items for each of SOURCES.

    `named_by`: what the lists hold of an item, a column of `items`. With `own_columns` of features.user_item, OWN_ROWS
    is a list of structs of them and `named_by`, of all eligible items that the user has a row for.
    """
    eligible = items.where(c.IS_ELIGIBLE).select(*dict.fromkeys((c.ITEM_ID, named_by)))
    served = users.where(~F.col(c.IS_OPTED_OUT)).select(c.USER_ID)
    sold = features.item.withColumnRenamed(c.ITEM_CATEGORY, c.CATEGORY)
    eligible_items = sold.join(eligible, on=c.ITEM_ID, how="inner")
    own = _own_lists(features.user_item, eligible, quotas.own_items, named_by, own_columns)
    by_category = _category_lists(features.user_category, eligible_items, quotas.category_items, named_by)
    lists = (
        served.crossJoin(F.broadcast(features.item.select(c.AS_OF_DATE).distinct()))
        .join(own, on=[c.AS_OF_DATE, c.USER_ID], how="left")
        .join(by_category, on=[c.AS_OF_DATE, c.USER_ID], how="left")
        .join(F.broadcast(_popular_lists(eligible_items, quotas, named_by)), on=c.AS_OF_DATE, how="left")
    )
    return _cut(lists, quotas).select(c.AS_OF_DATE, c.USER_ID, *SOURCES, *([OWN_ROWS] if own_columns else []))


def by_popularity(*, days: int = 28) -> list[Column]:
    """The order of best sellers: buyers of the window, then of the other window, then views, then the item id."""
    first, second = (c.ITEM_BUYERS_28D, c.ITEM_BUYERS_91D) if days == 28 else (c.ITEM_BUYERS_91D, c.ITEM_BUYERS_28D)
    return [F.desc(first), F.desc(second), F.desc(c.ITEM_VIEWS_28D), F.asc(c.ITEM_ID)]


def _own_lists(
    user_items: DataFrame, eligible: DataFrame, quota: int, named_by: str, own_columns: Sequence[Column]
) -> DataFrame:
    # One array a user is sorted once; ranking by a window sorts every row before and after the shuffle.
    rows = user_items.join(eligible, on=c.ITEM_ID, how="inner")
    told = F.struct(named_by, *own_columns).alias("told")
    own = F.sort_array(F.collect_list(own_item(told))).alias("own")
    lists = rows.groupBy(c.AS_OF_DATE, c.USER_ID).agg(own).withColumn("best", F.slice("own", 1, quota))
    return lists.select(
        c.AS_OF_DATE,
        c.USER_ID,
        bought(F.col("best"))["told"][named_by].alias(_OWN_LIST),
        not_bought(F.col("best"))["told"][named_by].alias(_VIEWED_LIST),
        F.col("own.told").alias(OWN_ROWS),
    )


def _category_lists(user_categories: DataFrame, eligible_items: DataFrame, quota: int, named_by: str) -> DataFrame:
    """The best seller of each favourite category, then the second of each, and so on; more buyers first."""
    user = (c.AS_OF_DATE, c.USER_ID)
    bought = user_categories.where(F.col(c.USER_CATEGORY_PURCHASES_91D) > 0)
    liked = [F.desc(c.USER_CATEGORY_PURCHASES_91D), F.asc(c.CATEGORY)]
    favourites = first_of_each(bought, FAVOURITE_CATEGORIES, user, liked)
    categories_of_user = F.count("*").over(Window.partitionBy(*user))
    share = F.ceil(F.lit(_FETCHED_PER_KEPT * quota) / categories_of_user).cast("int")
    fetched = favourites.select(*user, c.CATEGORY, share.alias("share")).join(
        _best_sellers(eligible_items, _FETCHED_PER_KEPT * quota, named_by), on=[c.AS_OF_DATE, c.CATEGORY], how="inner"
    )
    in_turn = F.sort_array(F.flatten(F.collect_list(F.slice("best_sellers", F.lit(1), F.col("share")))))
    listed = fetched.groupBy(*user).agg(in_turn.alias("in_turn"))
    return listed.select(*user, F.col(f"in_turn.{named_by}").alias(_CATEGORY_LIST))


def _best_sellers(eligible_items: DataFrame, count: int, named_by: str) -> DataFrame:
    """One row a category. The structs sort by rank within the category, then by buyers."""
    best = first_of_each(eligible_items, count, (c.AS_OF_DATE, c.CATEGORY), by_popularity())
    seller = F.struct(c.RANK, (-F.col(c.ITEM_BUYERS_28D)).alias("fewer"), *dict.fromkeys((c.ITEM_ID, named_by)))
    return best.groupBy(c.AS_OF_DATE, c.CATEGORY).agg(F.sort_array(F.collect_list(seller)).alias("best_sellers"))


def _popular_lists(eligible_items: DataFrame, quotas: CandidatesConfig, named_by: str) -> DataFrame:
    """Long enough that the quota is full even where own and category items are all popular ones."""
    length = quotas.popular_items + quotas.own_items + quotas.category_items
    ranked = first_of_each(eligible_items, length, (c.AS_OF_DATE,), by_popularity())
    listed = ranked.groupBy(c.AS_OF_DATE).agg(F.sort_array(F.collect_list(F.struct(c.RANK, named_by))).alias("best"))
    return listed.select(c.AS_OF_DATE, F.col(f"best.{named_by}").alias(_POPULAR_LIST))


def _cut(lists: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    """With the lists of SOURCES, each without what stands in one before it."""
    kind = lists.schema[_POPULAR_LIST].dataType
    own, viewed, by_category, popular = (
        F.coalesce(F.col(name), F.array().cast(kind))
        for name in (_OWN_LIST, _VIEWED_LIST, _CATEGORY_LIST, _POPULAR_LIST)
    )
    named = F.concat(own, viewed)
    of_category = F.slice(F.array_except(by_category, named), 1, quotas.category_items)
    rest = F.slice(F.array_except(popular, F.concat(named, F.col(CATEGORY))), 1, quotas.popular_items)
    return lists.withColumns({OWN: own, VIEWED: viewed, CATEGORY: of_category}).withColumn(POPULAR, rest)


def _sourced(item_ids: Column, source: str) -> Column:
    return F.transform(item_ids, lambda item_id: F.struct(item_id.alias(c.ITEM_ID), F.lit(source).alias(c.SOURCE)))
