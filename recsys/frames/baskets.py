"""Baskets as lists of bounded length, and how often items lie in one together."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c

# What bounds the pairs of one user: 10 x 50 x 49 / 2 = 12,250 a day.
MAX_BASKET_ITEMS = 50
MAX_BASKETS_A_DAY = 10

TOGETHER = "together"

_BASKET = (c.USER_ID, c.EVENT_DATE, c.BASKET)
_ITEM = (c.AS_OF_DATE, c.ITEM_ID)
_SALT = "baskets-v1"
_ITEMS = "items"


def bounded_baskets(basket_items: DataFrame) -> DataFrame:
    """One row per user, day and basket with its `items`, sorted; of too many items or baskets those of smallest hash.

    `basket_items` has one row per user, day, basket and item.
    """
    by_hash = Window.partitionBy(*_BASKET).orderBy(F.xxhash64(c.BASKET, c.ITEM_ID, F.lit(_SALT)), c.ITEM_ID)
    numbered = basket_items.withColumn("position", F.row_number().over(by_hash))
    of_basket = numbered.where(F.col("position") <= MAX_BASKET_ITEMS).groupBy(*_BASKET)
    baskets = of_basket.agg(F.array_sort(F.collect_list(c.ITEM_ID)).alias(_ITEMS))
    of_day = Window.partitionBy(c.USER_ID, c.EVENT_DATE).orderBy(F.xxhash64(c.BASKET, F.lit(_SALT)), c.BASKET)
    return baskets.withColumn("position", F.row_number().over(of_day)).where(F.col("position") <= MAX_BASKETS_A_DAY)


def pairs_in_baskets(baskets: DataFrame, min_baskets: int) -> DataFrame:
    """Per cut-off both orders of each pair, item_id and neighbour_id, with the baskets that hold both, `together`.

    Each is counted once, the smaller id first, and mirrored after; rarer pairs than `min_baskets` are left out.
    """
    first = baskets.select(c.AS_OF_DATE, _ITEMS, F.posexplode(_ITEMS).alias("position", c.ITEM_ID))
    later = F.slice(F.col(_ITEMS), F.col("position") + 2, F.size(_ITEMS))
    pairs = first.select(*_ITEM, F.explode(later).alias(c.NEIGHBOUR_ID))
    counted = pairs.groupBy(*_ITEM, c.NEIGHBOUR_ID).agg(F.count("*").alias(TOGETHER))
    often = counted.where(F.col(TOGETHER) >= min_baskets)
    swapped = (F.col(c.NEIGHBOUR_ID).alias(c.ITEM_ID), F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID))
    return often.unionByName(often.select(c.AS_OF_DATE, *swapped, TOGETHER))


def baskets_with_item(baskets: DataFrame) -> DataFrame:
    """`num_baskets` per cut-off and item."""
    each = baskets.select(c.AS_OF_DATE, F.explode(_ITEMS).alias(c.ITEM_ID))
    return each.groupBy(*_ITEM).agg(F.count("*").alias(c.NUM_BASKETS))


def with_counts_of_both(pairs: DataFrame, baskets: DataFrame) -> DataFrame:
    """Pairs with the baskets of either item, `num_baskets` and `others`, and of the cut-off, `all_baskets`."""
    of_item = baskets_with_item(baskets)
    of_neighbour = of_item.withColumnsRenamed({c.ITEM_ID: c.NEIGHBOUR_ID, c.NUM_BASKETS: "others"})
    all_baskets = baskets.groupBy(c.AS_OF_DATE).agg(F.count("*").alias("all_baskets"))
    return (
        pairs.join(of_item, on=[*_ITEM], how="inner")
        .join(of_neighbour, on=[c.AS_OF_DATE, c.NEIGHBOUR_ID], how="inner")
        .join(F.broadcast(all_baskets), on=c.AS_OF_DATE, how="inner")
    )
