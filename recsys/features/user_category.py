"""How much of what a user buys is of one category."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.frames.as_of import known_before
from recsys.frames.history import with_values_on


def user_category_features(item_days: DataFrame, item_history: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off, user and category bought in the 91 days before it.

    A line is of the category that its item had on the day of the purchase. Lines of items without a category have no
    row of their own, but belong to the whole that shares are of.
    """
    lines = known_before(item_days, as_of_dates, 91)
    bought = with_values_on(lines, F.col(c.EVENT_DATE), item_history, c.ITEM_ID, c.CATEGORY)
    by_category = bought.groupBy(c.AS_OF_DATE, c.USER_ID, c.CATEGORY)
    counted = by_category.agg(F.sum(c.LINES).alias(c.USER_CATEGORY_PURCHASES_91D))
    all_lines = F.sum(c.USER_CATEGORY_PURCHASES_91D).over(Window.partitionBy(c.AS_OF_DATE, c.USER_ID))
    shared = counted.withColumn(c.USER_CATEGORY_SHARE_91D, F.col(c.USER_CATEGORY_PURCHASES_91D) / all_lines)
    return shared.where(F.col(c.CATEGORY).isNotNull()).select(*tables.USER_CATEGORY_FEATURES.column_names)
