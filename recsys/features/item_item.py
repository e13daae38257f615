"""Items that lie in one basket more often than others."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.frames.as_of import known_before

HISTORY_DAYS = 91
# What bounds the pairs of one user: 10 x 50 x 49 / 2 = 12,250 a day.
MAX_BASKET_ITEMS = 50
MAX_BASKETS_A_DAY = 10
# Two items that met once tell little, and there are most of these pairs.
MIN_BASKETS = 2

ITEM = (c.AS_OF_DATE, c.ITEM_ID)
PAIR = (*ITEM, c.NEIGHBOUR_ID)
BASKET_OF_DAY = (c.USER_ID, c.EVENT_DATE, c.BASKET)

_SALT = "baskets-v1"
_ITEMS = "items"


def item_item_features(basket_items: DataFrame, as_of_dates: Sequence[date], neighbours: int) -> DataFrame:
    """One row per cut-off, item and neighbour, from the baskets of the 91 days before it."""
    baskets = known_before(_bounded(basket_items), as_of_dates, HISTORY_DAYS)
    with_counts = _together(baskets).join(_baskets_of(baskets), on=[*ITEM], how="inner")
    of_neighbour = _baskets_of(baskets).withColumnsRenamed({c.ITEM_ID: c.NEIGHBOUR_ID, "baskets": "others"})
    all_baskets = baskets.groupBy(c.AS_OF_DATE).agg(F.count("*").alias("all_baskets"))
    counted = with_counts.join(of_neighbour, on=[c.AS_OF_DATE, c.NEIGHBOUR_ID], how="inner").join(
        F.broadcast(all_baskets), on=c.AS_OF_DATE, how="inner"
    )
    return _ranked(counted, neighbours).select(*tables.ITEM_ITEM_FEATURES.column_names)


def _bounded(basket_items: DataFrame) -> DataFrame:
    """One row per user, day and basket with its items, sorted; of too many items or baskets those of smallest hash."""
    by_hash = Window.partitionBy(*BASKET_OF_DAY).orderBy(F.xxhash64(c.BASKET, c.ITEM_ID, F.lit(_SALT)), c.ITEM_ID)
    numbered = basket_items.withColumn("position", F.row_number().over(by_hash))
    of_basket = numbered.where(F.col("position") <= MAX_BASKET_ITEMS).groupBy(*BASKET_OF_DAY)
    baskets = of_basket.agg(F.array_sort(F.collect_list(c.ITEM_ID)).alias(_ITEMS))
    of_day = Window.partitionBy(c.USER_ID, c.EVENT_DATE).orderBy(F.xxhash64(c.BASKET, F.lit(_SALT)), c.BASKET)
    return baskets.withColumn("position", F.row_number().over(of_day)).where(F.col("position") <= MAX_BASKETS_A_DAY)


def _together(baskets: DataFrame) -> DataFrame:
    """Both orders of each pair; each is counted once, the smaller id first, and mirrored after."""
    first = baskets.select(c.AS_OF_DATE, _ITEMS, F.posexplode(_ITEMS).alias("position", c.ITEM_ID))
    later = F.slice(F.col(_ITEMS), F.col("position") + 2, F.size(_ITEMS))
    pairs = first.select(*ITEM, F.explode(later).alias(c.NEIGHBOUR_ID))
    counted = pairs.groupBy(*PAIR).agg(F.count("*").alias(c.ITEM_ITEM_BASKETS_91D))
    often = counted.where(F.col(c.ITEM_ITEM_BASKETS_91D) >= MIN_BASKETS)
    swapped = (F.col(c.NEIGHBOUR_ID).alias(c.ITEM_ID), F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID))
    return often.unionByName(often.select(c.AS_OF_DATE, *swapped, c.ITEM_ITEM_BASKETS_91D))


def _baskets_of(baskets: DataFrame) -> DataFrame:
    each = baskets.select(c.AS_OF_DATE, F.explode(_ITEMS).alias(c.ITEM_ID))
    return each.groupBy(*ITEM).agg(F.count("*").alias("baskets"))


def _ranked(counted: DataFrame, neighbours: int) -> DataFrame:
    together, product = F.col(c.ITEM_ITEM_BASKETS_91D), F.col("baskets") * F.col("others")
    weighted = counted.withColumns(
        {
            c.ITEM_ITEM_COSINE_91D: together / F.sqrt(product),
            c.ITEM_ITEM_LIFT_91D: together * F.col("all_baskets") / product,
        }
    )
    nearest = Window.partitionBy(*ITEM).orderBy(F.desc(c.ITEM_ITEM_COSINE_91D), c.NEIGHBOUR_ID)
    ranked = weighted.withColumn(c.ITEM_ITEM_RANK_91D, F.row_number().over(nearest))
    return ranked.where(F.col(c.ITEM_ITEM_RANK_91D) <= neighbours)
