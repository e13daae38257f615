"""What a user has bought before, and looked at: how often, how recently, at what pace."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.catalog import USER_ITEM
from recsys.features.views import user_item_views, with_views
from recsys.frames.as_of import age_days, known_before, rows_within

HISTORY_DAYS = 365


def user_item_features(item_days: DataFrame, view_days: DataFrame | None, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off, user and item with a purchase in the 365 days before it, or a view or a cart in the last 91.

    Of purchases it counts days, not lines.
    """
    history = known_before(item_days, as_of_dates, HISTORY_DAYS)
    first, last = F.min(c.EVENT_DATE), F.max(c.EVENT_DATE)
    gaps = F.count("*") - 1
    pairs = history.groupBy(c.AS_OF_DATE, c.USER_ID, c.ITEM_ID).agg(
        rows_within(28).alias(c.USER_ITEM_PURCHASES_28D),
        rows_within(91).alias(c.USER_ITEM_PURCHASES_91D),
        F.count("*").alias(c.USER_ITEM_PURCHASES_365D),
        age_days(last).alias(c.USER_ITEM_RECENCY_DAYS),
        F.try_divide(F.datediff(last, first), gaps).alias(c.USER_ITEM_MEAN_GAP_DAYS),
    )
    viewed = None if view_days is None else user_item_views(view_days, as_of_dates)
    return with_views(pairs, viewed, USER_ITEM).select(*tables.USER_ITEM_FEATURES.column_names)
