"""Which items a user may be recommended: own ones, those viewed, those of favourite categories, popular ones."""

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
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    served = users.where(~F.col(c.IS_OPTED_OUT)).select(c.USER_ID)
    sold = features.item.withColumnRenamed(c.ITEM_CATEGORY, c.CATEGORY)
    eligible_items = sold.join(eligible, on=c.ITEM_ID, how="inner")
    lists = (
        served.crossJoin(F.broadcast(features.item.select(c.AS_OF_DATE).distinct()))
        .join(_own_lists(features.user_item, eligible, quotas.own_items), on=[c.AS_OF_DATE, c.USER_ID], how="left")
        .join(
            _category_lists(features.user_category, eligible_items, quotas.category_items),
            on=[c.AS_OF_DATE, c.USER_ID],
            how="left",
        )
        .join(F.broadcast(_popular_lists(eligible_items, quotas)), on=c.AS_OF_DATE, how="left")
    )
    return _pairs(lists, quotas)


def by_popularity(*, days: int = 28) -> list[Column]:
    """The order of best sellers: buyers of the window, then of the other window, then views, then the item id."""
    first, second = (c.ITEM_BUYERS_28D, c.ITEM_BUYERS_91D) if days == 28 else (c.ITEM_BUYERS_91D, c.ITEM_BUYERS_28D)
    return [F.desc(first), F.desc(second), F.desc(c.ITEM_VIEWS_28D), F.asc(c.ITEM_ID)]


def _own_lists(user_items: DataFrame, eligible: DataFrame, quota: int) -> DataFrame:
    # One array a user is sorted once; ranking by a window sorts every row before and after the shuffle.
    own = user_items.join(eligible, on=c.ITEM_ID, how="left_semi").groupBy(c.AS_OF_DATE, c.USER_ID)
    best = own.agg(F.slice(F.sort_array(F.collect_list(own_item())), 1, quota).alias("best"))
    lists = {_OWN_LIST: bought(F.col("best")), _VIEWED_LIST: not_bought(F.col("best"))}
    return best.select(c.AS_OF_DATE, c.USER_ID, *(items[c.ITEM_ID].alias(name) for name, items in lists.items()))


def _category_lists(user_categories: DataFrame, eligible_items: DataFrame, quota: int) -> DataFrame:
    """The best seller of each favourite category, then the second of each, and so on; more buyers first."""
    user = (c.AS_OF_DATE, c.USER_ID)
    bought = user_categories.where(F.col(c.USER_CATEGORY_PURCHASES_91D) > 0)
    liked = [F.desc(c.USER_CATEGORY_PURCHASES_91D), F.asc(c.CATEGORY)]
    favourites = first_of_each(bought, FAVOURITE_CATEGORIES, user, liked)
    categories_of_user = F.count("*").over(Window.partitionBy(*user))
    share = F.ceil(F.lit(_FETCHED_PER_KEPT * quota) / categories_of_user).cast("int")
    fetched = favourites.select(*user, c.CATEGORY, share.alias("share")).join(
        _best_sellers(eligible_items, _FETCHED_PER_KEPT * quota), on=[c.AS_OF_DATE, c.CATEGORY], how="inner"
    )
    in_turn = F.sort_array(F.flatten(F.collect_list(F.slice("best_sellers", F.lit(1), F.col("share")))))
    listed = fetched.groupBy(*user).agg(in_turn.alias("in_turn"))
    return listed.select(*user, F.col("in_turn.item_id").alias(_CATEGORY_LIST))


def _best_sellers(eligible_items: DataFrame, count: int) -> DataFrame:
    """One row a category. The structs sort by rank within the category, then by buyers."""
    best = first_of_each(eligible_items, count, (c.AS_OF_DATE, c.CATEGORY), by_popularity())
    seller = F.struct(c.RANK, (-F.col(c.ITEM_BUYERS_28D)).alias("fewer"), c.ITEM_ID)
    return best.groupBy(c.AS_OF_DATE, c.CATEGORY).agg(F.sort_array(F.collect_list(seller)).alias("best_sellers"))


def _popular_lists(eligible_items: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    """Long enough that the quota is full even where own and category items are all popular ones."""
    length = quotas.popular_items + quotas.own_items + quotas.category_items
    return _listed(
        first_of_each(eligible_items, length, (c.AS_OF_DATE,), by_popularity()), (c.AS_OF_DATE,), _POPULAR_LIST
    )


def _listed(ranked: DataFrame, group: tuple[str, ...], name: str) -> DataFrame:
    listed = ranked.groupBy(*group).agg(F.sort_array(F.collect_list(F.struct(c.RANK, c.ITEM_ID))).alias(name))
    return listed.select(*group, F.col(f"{name}.item_id").alias(name))


def _pairs(lists: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    own, viewed = _or_empty(_OWN_LIST), _or_empty(_VIEWED_LIST)
    named = F.concat(own, viewed)
    category = F.slice(F.array_except(_or_empty(_CATEGORY_LIST), named), 1, quotas.category_items)
    popular = F.slice(
        F.array_except(_or_empty(_POPULAR_LIST), F.concat(named, F.col("category"))), 1, quotas.popular_items
    )
    by_source = {OWN: own, VIEWED: viewed, CATEGORY: F.col("category"), POPULAR: popular}
    pairs = F.concat(*(_sourced(item_ids, source) for source, item_ids in by_source.items()))
    return (
        lists.withColumn("category", category)
        .withColumn("pair", F.explode(pairs))
        .select(c.AS_OF_DATE, c.USER_ID, "pair.item_id", "pair.source")
    )


def _or_empty(name: str) -> Column:
    return F.coalesce(F.col(name), F.array().cast("array<string>"))


def _sourced(item_ids: Column, source: str) -> Column:
    return F.transform(item_ids, lambda item_id: F.struct(item_id.alias(c.ITEM_ID), F.lit(source).alias(c.SOURCE)))
