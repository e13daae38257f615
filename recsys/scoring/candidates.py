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
SOURCES = (OWN, VIEWED, CATEGORY, POPULAR)

SELLER_RANK, POPULAR_RANK, SELLER_ORDER = "seller_rank", "popular_rank", "seller_order"

# Categories that share a user's quota of category items. On the Complete Journey log 10, 20 and 40 hold the same
# share of later purchases, to within 0.004.
FAVOURITE_CATEGORIES = 20
# Items fetched for one that is kept: the best sellers of a favourite category are often the user's own already.
FETCHED_PER_KEPT = 2

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
    listed = _candidate_lists(features, items, users, quotas).withColumn("pair", F.explode(pairs))
    return listed.select(c.AS_OF_DATE, c.USER_ID, "pair.item_id", "pair.source")


def with_seller_ranks(items: DataFrame, item_features: DataFrame) -> DataFrame:
    """Items (item_id and others) with `seller_rank`, from 1 among the items of one category, `popular_rank`, among all,
    and `seller_order`, in which best sellers of one rank are named; null where nobody bought the item. Of one cut-off.

    What recsys/scoring/named_pairs.py names items by; `items`: those that may be recommended.
    """
    sold = item_features.join(items.select(c.ITEM_ID), on=c.ITEM_ID, how="left_semi")
    in_turn = Window.partitionBy(F.lit(0)).orderBy(F.asc(-F.col(c.ITEM_BUYERS_28D)), F.asc(c.ITEM_ID))
    of_category, of_all = (Window.partitionBy(key).orderBy(*by_popularity()) for key in (c.ITEM_CATEGORY, F.lit(0)))
    windows = {SELLER_RANK: of_category, POPULAR_RANK: of_all, SELLER_ORDER: in_turn}
    ranks = [F.row_number().over(window).alias(name) for name, window in windows.items()]
    return items.join(sold.select(c.ITEM_ID, *ranks), on=c.ITEM_ID, how="left")


def _candidate_lists(
    features: FeatureTables, items: DataFrame, users: DataFrame, quotas: CandidatesConfig
) -> DataFrame:
    """The same, one row for each as_of_date and user_id, with a list of items for each of SOURCES."""
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    served = users.where(~F.col(c.IS_OPTED_OUT)).select(c.USER_ID)
    sold = features.item.withColumnRenamed(c.ITEM_CATEGORY, c.CATEGORY)
    eligible_items = sold.join(eligible, on=c.ITEM_ID, how="inner")
    own = _own_lists(features.user_item, eligible, quotas.own_items)
    by_category = _category_lists(features.user_category, eligible_items, quotas.category_items)
    lists = (
        served.crossJoin(F.broadcast(features.item.select(c.AS_OF_DATE).distinct()))
        .join(own, on=[c.AS_OF_DATE, c.USER_ID], how="left")
        .join(by_category, on=[c.AS_OF_DATE, c.USER_ID], how="left")
        .join(F.broadcast(_popular_lists(eligible_items, quotas)), on=c.AS_OF_DATE, how="left")
    )
    return _cut(lists, quotas).select(c.AS_OF_DATE, c.USER_ID, *SOURCES)


def by_popularity(*, days: int = 28) -> list[Column]:
    """The order of best sellers: buyers of the window, then of the other window, then views, then the item id."""
    first, second = (c.ITEM_BUYERS_28D, c.ITEM_BUYERS_91D) if days == 28 else (c.ITEM_BUYERS_91D, c.ITEM_BUYERS_28D)
    return [F.desc(first), F.desc(second), F.desc(c.ITEM_VIEWS_28D), F.asc(c.ITEM_ID)]


def _own_lists(user_items: DataFrame, eligible: DataFrame, quota: int) -> DataFrame:
    # One array a user is sorted once; ranking by a window sorts every row before and after the shuffle.
    own = F.slice(F.sort_array(F.collect_list(own_item())), 1, quota).alias("own")
    rows = user_items.join(eligible, on=c.ITEM_ID, how="inner")
    lists = rows.groupBy(c.AS_OF_DATE, c.USER_ID).agg(own)
    return lists.select(
        c.AS_OF_DATE,
        c.USER_ID,
        bought(F.col("own"))[c.ITEM_ID].alias(_OWN_LIST),
        not_bought(F.col("own"))[c.ITEM_ID].alias(_VIEWED_LIST),
    )


def _category_lists(user_categories: DataFrame, eligible_items: DataFrame, quota: int) -> DataFrame:
    """The best seller of each favourite category, then the second of each, and so on; more buyers first."""
    user = (c.AS_OF_DATE, c.USER_ID)
    bought = user_categories.where(F.col(c.USER_CATEGORY_PURCHASES_91D) > 0)
    liked = [F.desc(c.USER_CATEGORY_PURCHASES_91D), F.asc(c.CATEGORY)]
    favourites = first_of_each(bought, FAVOURITE_CATEGORIES, user, liked)
    categories_of_user = F.count("*").over(Window.partitionBy(*user))
    share = F.ceil(F.lit(FETCHED_PER_KEPT * quota) / categories_of_user).cast("int")
    fetched = favourites.select(*user, c.CATEGORY, share.alias("share")).join(
        _best_sellers(eligible_items, FETCHED_PER_KEPT * quota), on=[c.AS_OF_DATE, c.CATEGORY], how="inner"
    )
    in_turn = F.sort_array(F.flatten(F.collect_list(F.slice("best_sellers", F.lit(1), F.col("share")))))
    listed = fetched.groupBy(*user).agg(in_turn.alias("in_turn"))
    return listed.select(*user, F.col(f"in_turn.{c.ITEM_ID}").alias(_CATEGORY_LIST))


def _best_sellers(eligible_items: DataFrame, count: int) -> DataFrame:
    """One row a category. The structs sort by rank within the category, then by buyers."""
    best = first_of_each(eligible_items, count, (c.AS_OF_DATE, c.CATEGORY), by_popularity())
    seller = F.struct(c.RANK, (-F.col(c.ITEM_BUYERS_28D)).alias("fewer"), c.ITEM_ID)
    return best.groupBy(c.AS_OF_DATE, c.CATEGORY).agg(F.sort_array(F.collect_list(seller)).alias("best_sellers"))


def _popular_lists(eligible_items: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    """Long enough that the quota is full even where own and category items are all popular ones."""
    length = quotas.popular_items + quotas.own_items + quotas.category_items
    ranked = first_of_each(eligible_items, length, (c.AS_OF_DATE,), by_popularity())
    listed = ranked.groupBy(c.AS_OF_DATE).agg(F.sort_array(F.collect_list(F.struct(c.RANK, c.ITEM_ID))).alias("best"))
    return listed.select(c.AS_OF_DATE, F.col(f"best.{c.ITEM_ID}").alias(_POPULAR_LIST))


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
