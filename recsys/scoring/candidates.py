"""Which items a user may be recommended: own ones, those viewed, those that another model ranks first, those bought
together with own ones, those of favourite categories, new ones, popular ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import CandidatesConfig
from recsys.frames.best import first_of_each
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.own_items import bought, not_bought, own_item

OWN = "own"
VIEWED = "viewed"
FACTORS = "factors"
NEIGHBOURS = "neighbours"
CATEGORY = "category"
NEW = "new"
POPULAR = "popular"
# Of an item that several name, the first one counts.
SOURCES = (OWN, VIEWED, FACTORS, NEIGHBOURS, CATEGORY, NEW, POPULAR)

SELLER_RANK, POPULAR_RANK, SELLER_ORDER = "seller_rank", "popular_rank", "seller_order"
NEW_RANK = "new_rank"

# Categories that share a user's quota of category items. On the Complete Journey log 10, 20 and 40 hold the same
# share of later purchases, to within 0.004.
FAVOURITE_CATEGORIES = 20
# Items fetched for one that is kept: the best sellers of a favourite category are often the user's own already.
FETCHED_PER_KEPT = 2
# Of a user's own items, in their order, those whose neighbours are asked for. On that log 20, 50 and 150 hold the same
# share, to within 0.003.
ASKED_OWN_ITEMS = 50
# Whole numbers: sums of them depend on no order, in Spark as in NumPy.
_WEIGHTS_OF_ONE = 1_000_000

WEIGHT = "weight"

_BEST = "best"
_USER = (c.AS_OF_DATE, c.USER_ID)


@dataclass(frozen=True, kw_only=True)
class MoreSources:
    """What candidates come from beside the features, of the same cut-offs; None where the quota is 0.

    `factors`: as_of_date, user_id, item_id and `rank` by a model that ranks all items, of items that the user has not
    seen; `neighbours`: rows of features.item_item; `new`: as_of_date, item_id and `buyers` until then of new items.
    Items of `factors` and `new` may be recommended.
    """

    factors: DataFrame | None = None
    neighbours: DataFrame | None = None
    new: DataFrame | None = None


NO_MORE_SOURCES = MoreSources()


def candidates(
    features: FeatureTables,
    items: DataFrame,
    users: DataFrame,
    quotas: CandidatesConfig,
    more: MoreSources = NO_MORE_SOURCES,
) -> DataFrame:
    """One row for each as_of_date, user_id and item_id, with its `source`; eligible items and users not opted out.

    A quota is filled with items that none of SOURCES before it has named, so that sources do not overlap; that of own
    items with those bought first, then with those put into the cart or viewed. Lists are cut before they meet: no step
    holds more rows than users times favourite categories, or neighbours of own items. An item is of the category that
    it had on the day before the cut-off.
    """
    lists = _candidate_lists(features, items, users, quotas, more)
    pairs = F.concat(*(_sourced(F.col(source), source) for source in _sources_of(lists)))
    listed = _cut(lists, quotas).withColumn("pair", F.explode(pairs))
    return listed.select(*_USER, "pair.item_id", "pair.source")


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


def neighbour_weights(item_item: DataFrame) -> DataFrame:
    """as_of_date, item_id, neighbour_id and a whole `weight`."""
    weight = F.rint(F.col(c.ITEM_ITEM_COSINE_91D) * _WEIGHTS_OF_ONE).cast("bigint")
    return item_item.select(c.AS_OF_DATE, c.ITEM_ID, c.NEIGHBOUR_ID, weight.alias(WEIGHT))


def new_ranks(new: DataFrame) -> DataFrame:
    """as_of_date, item_id and `new_rank`, from 1; of new items that were sold."""
    most_buyers = Window.partitionBy(c.AS_OF_DATE).orderBy(F.desc(c.BUYERS), F.asc(c.ITEM_ID))
    sold = new.where(F.col(c.BUYERS) > 0)
    return sold.select(c.AS_OF_DATE, c.ITEM_ID, F.row_number().over(most_buyers).alias(NEW_RANK))


def _candidate_lists(
    features: FeatureTables, items: DataFrame, users: DataFrame, quotas: CandidatesConfig, more: MoreSources
) -> DataFrame:
    """One row for each as_of_date and user_id, with a list of items, best first, for each source that is asked."""
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    served = users.where(~F.col(c.IS_OPTED_OUT)).select(c.USER_ID)
    sold = features.item.withColumnRenamed(c.ITEM_CATEGORY, c.CATEGORY)
    eligible_items = sold.join(eligible, on=c.ITEM_ID, how="inner")
    own = _own_items(features.user_item, eligible)
    of_users = [
        _own_lists(own, quotas.own_items),
        _category_lists(features.user_category, eligible_items, fetched_of_categories(quotas)),
    ]
    if more.factors is not None:
        of_users.append(_listed(more.factors, _USER, (c.RANK, c.ITEM_ID), FACTORS))
    if more.neighbours is not None:
        of_users.append(_neighbour_lists(own, neighbour_weights(more.neighbours), eligible))
    lists = served.crossJoin(F.broadcast(features.item.select(c.AS_OF_DATE).distinct()))
    for of_source in of_users:
        lists = lists.join(of_source, on=[*_USER], how="left")
    of_all = [_popular_lists(eligible_items, quotas)]
    if more.new is not None:
        of_all.append(_new_lists(more.new, quotas))
    for of_source in of_all:
        lists = lists.join(F.broadcast(of_source), on=c.AS_OF_DATE, how="left")
    return lists


def by_popularity(*, days: int = 28) -> list[Column]:
    """The order of best sellers: buyers of the window, then of the other window, then views, then the item id."""
    first, second = (c.ITEM_BUYERS_28D, c.ITEM_BUYERS_91D) if days == 28 else (c.ITEM_BUYERS_91D, c.ITEM_BUYERS_28D)
    return [F.desc(first), F.desc(second), F.desc(c.ITEM_VIEWS_28D), F.asc(c.ITEM_ID)]


def _own_items(user_items: DataFrame, eligible: DataFrame) -> DataFrame:
    # One array a user is sorted once; ranking by a window sorts every row before and after the shuffle.
    own = F.sort_array(F.collect_list(own_item())).alias(_BEST)
    return user_items.join(eligible, on=c.ITEM_ID, how="inner").groupBy(*_USER).agg(own)


def _own_lists(own: DataFrame, quota: int) -> DataFrame:
    lists = own.withColumn(_BEST, F.slice(_BEST, 1, quota))
    of_each = {OWN: bought(F.col(_BEST)), VIEWED: not_bought(F.col(_BEST))}
    return lists.select(*_USER, *(items[c.ITEM_ID].alias(_list_of(source)) for source, items in of_each.items()))


def _neighbour_lists(own: DataFrame, weights: DataFrame, eligible: DataFrame) -> DataFrame:
    """The highest sum of weights beside the user's first own items comes first."""
    asked = own.select(*_USER, F.explode(F.slice(_BEST, 1, ASKED_OWN_ITEMS)[c.ITEM_ID]).alias(c.ITEM_ID))
    beside = asked.join(weights, on=[c.AS_OF_DATE, c.ITEM_ID], how="inner")
    summed = beside.groupBy(*_USER, F.col(c.NEIGHBOUR_ID).alias(c.ITEM_ID)).agg((-F.sum(WEIGHT)).alias(WEIGHT))
    may_be_named = summed.join(eligible, on=c.ITEM_ID, how="left_semi")
    return _listed(may_be_named, _USER, (WEIGHT, c.ITEM_ID), NEIGHBOURS)


def fetched_of_categories(quotas: CandidatesConfig) -> int:
    """Best sellers of a user's favourite categories that are looked at, so that the quota is full."""
    return FETCHED_PER_KEPT * quotas.category_items + quotas.factor_items + quotas.neighbour_items


def _category_lists(user_categories: DataFrame, eligible_items: DataFrame, count: int) -> DataFrame:
    """The best seller of each favourite category, then the second of each, and so on; more buyers first."""
    bought = user_categories.where(F.col(c.USER_CATEGORY_PURCHASES_91D) > 0)
    liked = [F.desc(c.USER_CATEGORY_PURCHASES_91D), F.asc(c.CATEGORY)]
    favourites = first_of_each(bought, FAVOURITE_CATEGORIES, _USER, liked)
    categories_of_user = F.count("*").over(Window.partitionBy(*_USER))
    share = F.ceil(F.lit(count) / categories_of_user).cast("int")
    fetched = favourites.select(*_USER, c.CATEGORY, share.alias("share")).join(
        _best_sellers(eligible_items, count), on=[c.AS_OF_DATE, c.CATEGORY], how="inner"
    )
    in_turn = F.sort_array(F.flatten(F.collect_list(F.slice("best_sellers", F.lit(1), F.col("share")))))
    listed = fetched.groupBy(*_USER).agg(in_turn.alias("in_turn"))
    return listed.select(*_USER, F.col(f"in_turn.{c.ITEM_ID}").alias(_list_of(CATEGORY)))


def _best_sellers(eligible_items: DataFrame, count: int) -> DataFrame:
    """One row a category. The structs sort by rank within the category, then by buyers."""
    best = first_of_each(eligible_items, count, (c.AS_OF_DATE, c.CATEGORY), by_popularity())
    seller = F.struct(c.RANK, (-F.col(c.ITEM_BUYERS_28D)).alias("fewer"), c.ITEM_ID)
    return best.groupBy(c.AS_OF_DATE, c.CATEGORY).agg(F.sort_array(F.collect_list(seller)).alias("best_sellers"))


def _popular_lists(eligible_items: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    """Long enough that the quota is full even where own and category items are all popular ones."""
    ranked = first_of_each(eligible_items, quotas.most, (c.AS_OF_DATE,), by_popularity())
    return _listed(ranked, (c.AS_OF_DATE,), (c.RANK, c.ITEM_ID), POPULAR)


def _new_lists(new: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    """As long, for the same reason."""
    ranked = new_ranks(new).where(F.col(NEW_RANK) <= quotas.most)
    return _listed(ranked, (c.AS_OF_DATE,), (NEW_RANK, c.ITEM_ID), NEW)


def _listed(rows: DataFrame, group: Sequence[str], order: Sequence[str], source: str) -> DataFrame:
    """One row a group; the lowest of `order`, with item_id among them, comes first."""
    lists = rows.groupBy(*group).agg(F.sort_array(F.collect_list(F.struct(*order))).alias(_BEST))
    return lists.select(*group, F.col(f"{_BEST}.{c.ITEM_ID}").alias(_list_of(source)))


def _list_of(source: str) -> str:
    return f"{source}_list"


def _sources_of(lists: DataFrame) -> list[str]:
    return [source for source in SOURCES if _list_of(source) in lists.columns]


def _cut(lists: DataFrame, quotas: CandidatesConfig) -> DataFrame:
    """With a column for each source of the lists: its own, without what stands in one before it."""
    nothing = F.array().cast("array<string>")
    quota_of = {
        FACTORS: quotas.factor_items,
        NEIGHBOURS: quotas.neighbour_items,
        CATEGORY: quotas.category_items,
        NEW: quotas.new_items,
        POPULAR: quotas.popular_items,
    }
    for place, source in enumerate(sources := _sources_of(lists)):
        listed = F.coalesce(F.col(_list_of(source)), nothing)
        if source in quota_of:  # own and viewed items, which are no others', share a quota, and are cut
            listed = F.slice(F.array_except(listed, F.concat(*sources[:place])), 1, quota_of[source])
        lists = lists.withColumn(source, listed)
    return lists


def _sourced(item_ids: Column, source: str) -> Column:
    return F.transform(item_ids, lambda item_id: F.struct(item_id.alias(c.ITEM_ID), F.lit(source).alias(c.SOURCE)))
