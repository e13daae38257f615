"""Items that serve the same need: alike by text and price, looked at side by side, bought by the same users in turn.

What users put into one basket more often than their own visits with either explain is a complement, and left out.
"""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import SIMILARITIES, ScenesConfig
from recsys.frames.as_of import known_before
from recsys.frames.baskets import TOGETHER, bounded_baskets, pairs_in_baskets, with_counts_of_both
from recsys.frames.best import first_of_each
from recsys.frames.sums import exact_sum

PAIR = (c.ITEM_ID, c.NEIGHBOUR_ID)
# By the names of scenes.similar_weights.
SIMILARITY_COLUMNS = dict(
    zip(SIMILARITIES, (c.TEXT_COSINE, c.PRICE_CLOSENESS, c.TURN_COSINE, c.VIEW_COSINE, c.VECTOR_COSINE), strict=True)
)
# What bounds the pairs of a user within a category: 50 x 49 / 2 = 1,225.
MAX_ITEMS_OF_NEED = 50
EXPECTED = "expected"
# A word that more items have tells of none of them: what bounds the pairs of a new item.
MAX_ITEMS_OF_WORD = 1000
IS_NEW = "is_new"

_SALT = "needs-v1"
_TOKEN = "token"
_WEIGHTS = "weights"


def similar_items(
    described: DataFrame, turns: DataFrame, views: DataFrame, n: int, settings: ScenesConfig
) -> DataFrame:
    """The `n` best substitutes of each item of `described`, whose frames are those of the functions below.

    score = sum of weight · similarity, of text, price, turns, views and vectors; what is not known of a pair is 0.
    """
    weights = settings.similar_weights
    count = settings.similar_candidates
    by_text = _near_new_items(described, count)
    candidates = _rivals(described, count).unionByName(by_text).unionByName(views.select(*PAIR)).distinct()
    compared = _compared(candidates, described).join(views, on=[*PAIR], how="left").join(turns, on=[*PAIR], how="left")
    known = compared.fillna(0.0, [c.TURN_COSINE, c.VIEW_COSINE]).fillna(False, ["is_complement"])
    score = sum((F.col(name) * weights[kind] for kind, name in SIMILARITY_COLUMNS.items()), F.lit(0.0))
    scored = known.where(~F.col("is_complement")).withColumn(c.SCORE, score).where(F.col(c.SCORE) > 0)
    best = first_of_each(scored, n, (c.ITEM_ID,), (F.desc(c.SCORE), F.asc(c.NEIGHBOUR_ID)))
    return best.select(c.ITEM_ID, c.RANK, c.NEIGHBOUR_ID, c.SCORE, *SIMILARITY_COLUMNS.values())


def described_items(  # what items are described by
    purchases: DataFrame,
    items: DataFrame,
    tokens: DataFrame,
    vectors: DataFrame | None,
    as_of: date,
    settings: ScenesConfig,
) -> DataFrame:
    """One row per eligible item that `purchases` sold or that is new (`is_new`: described in the `new_item_days` before
    the day): category, buyers, price_cents of a unit (null where no line says one), `weights`, its tokens with how rare
    each is among these items, and item_vector, null where it has none.

    `tokens`: item_id and `tokens`, an array. `vectors`: item_id and item_vector of length 1; None: of no item.
    """
    has_price = (F.col(c.QUANTITY) > 0) & (F.col(c.AMOUNT_CENTS) > 0)
    price = F.sum(F.when(has_price, F.col(c.AMOUNT_CENTS))) / exact_sum(F.when(has_price, F.col(c.QUANTITY)))
    sold = purchases.groupBy(c.ITEM_ID).agg(F.count_distinct(c.USER_ID).alias(c.BUYERS), price.alias(c.PRICE_CENTS))
    described_on, days = F.to_date(c.KNOWN_TS), timedelta(days=settings.new_item_days)
    is_new = (described_on >= F.lit(as_of - days)) & (described_on < F.lit(as_of))
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID, c.CATEGORY, F.coalesce(is_new, F.lit(False)).alias(IS_NEW))
    whole = eligible.join(sold, on=c.ITEM_ID, how="left").where(F.col(IS_NEW) | F.col(c.BUYERS).isNotNull())
    kept = whole.fillna(0, c.BUYERS).select(c.ITEM_ID, c.BUYERS, c.PRICE_CENTS, c.CATEGORY, IS_NEW)
    weighed = kept.join(_token_weights(kept, tokens), on=c.ITEM_ID, how="left")
    if vectors is None:
        return weighed.withColumn(c.ITEM_VECTOR, F.lit(None).cast("array<float>"))
    return weighed.join(vectors.select(c.ITEM_ID, c.ITEM_VECTOR), on=c.ITEM_ID, how="left")


def _token_weights(kept: DataFrame, tokens: DataFrame) -> DataFrame:
    each = tokens.join(kept, on=c.ITEM_ID, how="left_semi").select(
        c.ITEM_ID, F.explode(F.array_distinct("tokens")).alias(_TOKEN)
    )
    all_items = kept.agg(F.count("*").alias("all_items"))
    spread = each.groupBy(_TOKEN).agg(F.count("*").alias("items_with"))
    rare = spread.crossJoin(F.broadcast(all_items)).select(
        _TOKEN, (F.log((1 + F.col("all_items")) / (1 + F.col("items_with"))) + 1).alias("weight")
    )
    entry = F.struct(_TOKEN, "weight")
    of_item = each.join(rare, on=_TOKEN, how="inner").groupBy(c.ITEM_ID)
    return of_item.agg(F.map_from_entries(F.array_sort(F.collect_list(entry))).alias(_WEIGHTS))


def _rivals(described: DataFrame, count: int) -> DataFrame:
    """Each item with the `count` items of its category that most users buy."""
    named = described.where(F.col(c.CATEGORY).isNotNull())
    best = first_of_each(named, count, (c.CATEGORY,), (F.desc(c.BUYERS), F.asc(c.ITEM_ID)))
    others = best.select(c.CATEGORY, F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID))
    pairs = named.select(c.ITEM_ID, c.CATEGORY).join(others, on=c.CATEGORY, how="inner")
    return pairs.where(F.col(c.ITEM_ID) != F.col(c.NEIGHBOUR_ID)).select(*PAIR)


def _near_new_items(described: DataFrame, count: int) -> DataFrame:
    """Each new item with the `count` items that share its words, the rare ones weighing more, and these with it: it may
    have no sale that would make it anybody's rival."""
    words = described.select(c.ITEM_ID, IS_NEW, F.explode(_WEIGHTS).alias(_TOKEN, "weight"))
    spread = words.groupBy(_TOKEN).agg(F.count("*").alias("items_with")).where(F.col("items_with") <= MAX_ITEMS_OF_WORD)
    rare = words.join(spread, on=_TOKEN, how="left_semi")
    others = rare.select(_TOKEN, F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID))
    shared = rare.where(IS_NEW).join(others, on=_TOKEN, how="inner").where(F.col(c.ITEM_ID) != F.col(c.NEIGHBOUR_ID))
    summed = shared.groupBy(*PAIR).agg(exact_sum(F.col("weight") * F.col("weight")).alias("product"))
    best = first_of_each(summed, count, (c.ITEM_ID,), (F.desc("product"), F.asc(c.NEIGHBOUR_ID))).select(*PAIR)
    return best.unionByName(best.select(F.col(c.NEIGHBOUR_ID).alias(c.ITEM_ID), F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID)))


def _compared(pairs: DataFrame, described: DataFrame) -> DataFrame:
    own = described.select(c.ITEM_ID, F.struct(c.PRICE_CENTS, _WEIGHTS, c.ITEM_VECTOR).alias("own"))
    other = own.select(F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID), F.col("own").alias("other"))
    both = pairs.join(own, on=c.ITEM_ID, how="inner").join(other, on=c.NEIGHBOUR_ID, how="inner")
    prices, tokens, vectors = (
        (F.col("own")[name], F.col("other")[name]) for name in (c.PRICE_CENTS, _WEIGHTS, c.ITEM_VECTOR)
    )
    closeness = F.least(*prices) / F.greatest(*prices)
    # least and greatest pass over nulls: one price alone would be close to itself.
    has_both = prices[0].isNotNull() & prices[1].isNotNull()
    return both.select(
        *PAIR,
        F.coalesce(_cosine(*tokens), F.lit(0.0)).alias(c.TEXT_COSINE),
        F.coalesce(F.when(has_both, closeness), F.lit(0.0)).alias(c.PRICE_CLOSENESS),
        F.greatest(_product(*vectors), F.lit(0.0)).alias(c.VECTOR_COSINE),
    )


def _product(own: Column, other: Column) -> Column:
    """Of two vectors; null where either is."""
    products = F.zip_with(own, other, lambda first, second: first.cast("double") * second.cast("double"))
    return F.aggregate(products, F.lit(0.0), lambda total, product: total + product)


def _cosine(own: Column, other: Column) -> Column:
    """Of tokens that both texts have once; null where either has none. Keys are sorted, and so the order of the sum."""
    shared = F.array_intersect(F.map_keys(own), F.map_keys(other))
    product = F.aggregate(shared, F.lit(0.0), lambda total, token: total + own[token] * own[token])
    return product / F.sqrt(_square(own) * _square(other))


def _square(weights: Column) -> Column:
    return F.aggregate(F.map_values(weights), F.lit(0.0), lambda total, weight: total + weight * weight)


def turns(basket_items: DataFrame, items: DataFrame, as_of: date, settings: ScenesConfig) -> DataFrame:
    """Pairs of one category that a user bought both of: `turn_cosine`, users who did so by those of either, and
    `is_complement`: these users have both in one basket more often than their baskets with either would make by chance,
    in `pair_min_baskets` or more.

    Of a user and category with too many items those of smallest hash count.
    """
    known = known_before(basket_items, [as_of], settings.history_days)
    needs = known.join(items.select(c.ITEM_ID, c.CATEGORY), on=c.ITEM_ID, how="inner").where(
        F.col(c.CATEGORY).isNotNull()
    )
    pairs = _pairs_of_users(_own_baskets(needs).join(_visits(known), on=c.USER_ID, how="inner"))
    buyers = needs.groupBy(c.ITEM_ID).agg(F.count_distinct(c.USER_ID).alias(c.BUYERS))
    others = buyers.withColumnsRenamed({c.ITEM_ID: c.NEIGHBOUR_ID, c.BUYERS: "others"})
    counted = pairs.join(buyers, on=c.ITEM_ID, how="inner").join(others, on=c.NEIGHBOUR_ID, how="inner")
    is_often = F.col(TOGETHER) >= settings.pair_min_baskets
    return counted.select(
        *PAIR,
        (F.col("users") / F.sqrt(F.col(c.BUYERS) * F.col("others"))).alias(c.TURN_COSINE),
        (is_often & (F.col(TOGETHER) > F.col(EXPECTED))).alias("is_complement"),
    )


def _visits(known: DataFrame) -> DataFrame:
    return known.groupBy(c.USER_ID).agg(F.count_distinct(c.EVENT_DATE, c.BASKET).alias("visits"))


def _own_baskets(needs: DataFrame) -> DataFrame:
    """One row per user and category with an entry per item: the item and the baskets that it lay in."""
    basket = F.xxhash64(c.EVENT_DATE, c.BASKET)
    of_item = needs.groupBy(c.USER_ID, c.CATEGORY, c.ITEM_ID).agg(F.collect_set(basket).alias("baskets"))
    drawn = first_of_each(
        of_item,
        MAX_ITEMS_OF_NEED,
        (c.USER_ID, c.CATEGORY),
        (F.xxhash64(c.USER_ID, c.ITEM_ID, F.lit(_SALT)), c.ITEM_ID),
    )
    entry = F.struct(c.ITEM_ID, "baskets")
    return drawn.groupBy(c.USER_ID, c.CATEGORY).agg(F.collect_list(entry).alias("entries"))


def _pairs_of_users(own: DataFrame) -> DataFrame:
    """Both orders of each pair: users with both, their baskets with both, and how many chance would give each."""
    first = own.select("visits", "entries", F.explode("entries").alias("own"))
    pairs = first.select("visits", "own", F.explode("entries").alias("other"))
    different = pairs.where(F.col("own")[c.ITEM_ID] != F.col("other")[c.ITEM_ID])
    mine, others = F.col("own")["baskets"], F.col("other")["baskets"]
    counted = different.select(
        F.col("own")[c.ITEM_ID].alias(c.ITEM_ID),
        F.col("other")[c.ITEM_ID].alias(c.NEIGHBOUR_ID),
        F.size(F.array_intersect(mine, others)).alias(TOGETHER),
        (F.size(mine) * F.size(others) / F.col("visits")).alias(EXPECTED),
    )
    return counted.groupBy(*PAIR).agg(
        F.count("*").alias("users"), F.sum(TOGETHER).alias(TOGETHER), exact_sum(F.col(EXPECTED)).alias(EXPECTED)
    )


def co_views(viewed: DataFrame, as_of: date, n: int, settings: ScenesConfig) -> DataFrame:
    """The `n` items most often viewed on the same day as an item by the same user: `view_cosine`.

    `viewed`: user_id, basket (the day), event_date, item_id.
    """
    days = known_before(bounded_baskets(viewed), [as_of], settings.history_days)
    pairs = with_counts_of_both(pairs_in_baskets(days, settings.pair_min_baskets), days)
    cosine = F.col(TOGETHER) / F.sqrt(F.col(c.NUM_BASKETS) * F.col("others"))
    nearest = first_of_each(
        pairs.withColumn(c.VIEW_COSINE, cosine),
        n,
        (c.ITEM_ID,),
        (F.desc(c.VIEW_COSINE), F.asc(c.NEIGHBOUR_ID)),
    )
    return nearest.select(*PAIR, c.VIEW_COSINE)


def newest_of_need(purchases: DataFrame, items: DataFrame) -> DataFrame:
    """user_id, category and the item of it that the user bought last, of a moment the smallest id."""
    named = purchases.join(items.select(c.ITEM_ID, c.CATEGORY), on=c.ITEM_ID, how="inner")
    last_first = Window.partitionBy(c.USER_ID, c.CATEGORY).orderBy(F.desc(c.EVENT_TS), F.asc(c.ITEM_ID))
    numbered = named.where(F.col(c.CATEGORY).isNotNull()).withColumn("position", F.row_number().over(last_first))
    return numbered.where(F.col("position") == 1).select(c.USER_ID, c.CATEGORY, c.ITEM_ID)
