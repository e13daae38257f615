"""Items that lie in one basket more often than others."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.frames.as_of import known_before
from recsys.frames.baskets import TOGETHER, bounded_baskets, pairs_in_baskets, with_counts_of_both

HISTORY_DAYS = 91
# Two items that met once tell little, and there are most of these pairs.
MIN_BASKETS = 2

ITEM = (c.AS_OF_DATE, c.ITEM_ID)


def item_item_features(basket_items: DataFrame, as_of_dates: Sequence[date], neighbours: int) -> DataFrame:
    """One row per cut-off, item and neighbour, from the baskets of the 91 days before it."""
    baskets = known_before(bounded_baskets(basket_items), as_of_dates, HISTORY_DAYS)
    counted = with_counts_of_both(pairs_in_baskets(baskets, MIN_BASKETS), baskets)
    return _ranked(counted, neighbours).select(*tables.ITEM_ITEM_FEATURES.column_names)


def _ranked(counted: DataFrame, neighbours: int) -> DataFrame:
    together, product = F.col(TOGETHER), F.col(c.NUM_BASKETS) * F.col("others")
    weighted = counted.withColumns(
        {
            c.ITEM_ITEM_BASKETS_91D: together,
            c.ITEM_ITEM_COSINE_91D: together / F.sqrt(product),
            c.ITEM_ITEM_LIFT_91D: together * F.col("all_baskets") / product,
        }
    )
    nearest = Window.partitionBy(*ITEM).orderBy(F.desc(c.ITEM_ITEM_COSINE_91D), c.NEIGHBOUR_ID)
    ranked = weighted.withColumn(c.ITEM_ITEM_RANK_91D, F.row_number().over(nearest))
    return ranked.where(F.col(c.ITEM_ITEM_RANK_91D) <= neighbours)
