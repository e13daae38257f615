"""What the model has to beat: the most bought items, and each user's own favourites.

Both need no model and no candidates. Their lists are full wherever there are enough eligible items.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.evaluation.lists import NEW_ITEMS_ONLY, REPEATS_ALLOWED
from recsys.frames.own_items import bought, not_bought, own_item

POPULAR = "popular"
PERSONAL = "personal"
BASELINES = (POPULAR, PERSONAL)

_POPULAR_RANK = "popular_rank"
_BOUGHT = "bought"
_VIEWED = "viewed"


def baseline_lists(users: DataFrame, user_items: DataFrame, popular_ranks: DataFrame, k: int) -> DataFrame:
    """Columns list_kind, recommender, user_id, rank, item_id, for one cut-off, of which `user_items` are the features.

    `personal` names a user's own items in the order of recsys/frames/own_items.py: what was bought most often, then
    what lay in the cart, then what was viewed; it is filled up with popular ones that it does not hold yet. Among new
    items, those that were not bought, a log without views knows no favourites: there `personal` is `popular`. All is
    done in popular ranks, so that a list costs its user's own history and no more.
    """
    nothing = F.array().cast("array<int>")
    own = users.join(_own_ranks(user_items, popular_ranks), on=c.USER_ID, how="left").select(
        c.USER_ID, *(F.coalesce(name, nothing).alias(name) for name in (_BOUGHT, _VIEWED))
    )
    own_best, viewed_best = F.slice(F.concat(_BOUGHT, _VIEWED), 1, k), F.slice(_VIEWED, 1, k)
    lists = F.array(
        _list(REPEATS_ALLOWED, POPULAR, _free_ranks(nothing, k)),
        _list(REPEATS_ALLOWED, PERSONAL, F.slice(F.concat(own_best, _free_ranks(own_best, k)), 1, k)),
        _list(NEW_ITEMS_ONLY, POPULAR, _free_ranks(F.col(_BOUGHT), k)),
        _list(
            NEW_ITEMS_ONLY,
            PERSONAL,
            F.slice(F.concat(viewed_best, _free_ranks(F.concat(_BOUGHT, viewed_best), k)), 1, k),
        ),
    )
    exploded = own.select(c.USER_ID, F.explode(lists).alias("list"))
    ranked = exploded.select(c.USER_ID, "list.list_kind", "list.recommender", F.posexplode("list.popular_ranks"))
    return ranked.join(popular_ranks, on=F.col("col") == F.col(_POPULAR_RANK), how="inner").select(
        c.LIST_KIND, c.RECOMMENDER, c.USER_ID, (F.col("pos") + 1).alias(c.RANK), c.ITEM_ID
    )


def popular_ranks(items: DataFrame, item_features: DataFrame, *, window_days: int) -> DataFrame:
    """Every eligible item with its `popular_rank` from 1: most buyers in the last 28 or 91 days, then the item id."""
    buyers = {28: c.ITEM_BUYERS_28D, 91: c.ITEM_BUYERS_91D}[window_days]
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    sold = item_features.select(c.ITEM_ID, F.col(buyers).alias("buyers"))
    return ranks_by(eligible.join(sold, on=c.ITEM_ID, how="left").fillna(0, "buyers"), "buyers")


def ranks_by(counts: DataFrame, count: str) -> DataFrame:
    """Items with their `popular_rank` from 1: the largest `count` first, then the smaller item id."""
    order = Window.partitionBy(F.lit(0)).orderBy(F.desc_nulls_last(count), F.asc(c.ITEM_ID))
    # One task sorts the catalogue: an id and a number an item.
    return counts.select(c.ITEM_ID, F.row_number().over(order).alias(_POPULAR_RANK))


def free_lists(taken: DataFrame, popular_ranks: DataFrame, k: int, *case: str) -> DataFrame:
    """For each row of `taken` (columns `case`, and `taken`: popular ranks) the `k` most popular items beside these."""
    ranked = taken.select(*case, F.posexplode(_free_ranks(F.col("taken"), k)))
    found = ranked.join(popular_ranks, on=F.col("col") == F.col(_POPULAR_RANK), how="inner")
    return found.select(*case, (F.col("pos") + 1).alias(c.RANK), c.ITEM_ID)


def _own_ranks(user_items: DataFrame, popular_ranks: DataFrame) -> DataFrame:
    """Each user's eligible items of features.user_item, bought and not, best first, by their popular ranks."""
    own = user_items.join(popular_ranks, on=c.ITEM_ID, how="inner").groupBy(c.USER_ID)
    best_first = own.agg(F.sort_array(F.collect_list(own_item(_POPULAR_RANK))).alias("own"))
    lists = {_BOUGHT: bought(F.col("own")), _VIEWED: not_bought(F.col("own"))}
    return best_first.select(c.USER_ID, *(items[_POPULAR_RANK].alias(name) for name, items in lists.items()))


def _free_ranks(taken: Column, count: int) -> Column:
    """The `count` smallest ranks that are not taken."""
    enough = F.sequence(F.lit(1), F.lit(count) + F.size(taken))
    return F.slice(F.array_except(enough, taken), 1, count)


def _list(kind: str, recommender: str, ranks: Column) -> Column:
    return F.struct(
        F.lit(kind).alias(c.LIST_KIND), F.lit(recommender).alias(c.RECOMMENDER), ranks.alias("popular_ranks")
    )
