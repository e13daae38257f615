"""How an item sells: price, lines, buyers, repeats, its rank within its category, and how often it is looked at."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.catalog import ITEM
from recsys.features.views import item_views, with_views
from recsys.frames.as_of import age_days, known_before, sum_within
from recsys.frames.history import day_before_cutoff, with_values_on
from recsys.frames.sums import exact_sum

HISTORY_DAYS = 365
KEY = (c.AS_OF_DATE, c.ITEM_ID)


def item_features(
    item_days: DataFrame, view_days: DataFrame | None, item_history: DataFrame, as_of_dates: Sequence[date]
) -> DataFrame:
    """One row per cut-off and item with a purchase in the 365 days before it, or a view or a cart in the last 91.

    An item's category is the one that it had on the day before the cut-off.
    """
    last_sold = age_days(F.max(c.EVENT_DATE)).alias(c.ITEM_RECENCY_DAYS)
    sold_once = known_before(item_days, as_of_dates, HISTORY_DAYS).groupBy(*KEY).agg(last_sold)
    sales = _sales(_sales_to_users(known_before(item_days, as_of_dates, 91)))
    viewed = None if view_days is None else item_views(view_days, as_of_dates)
    features = _with_rates(with_views(sold_once.join(sales, on=[*KEY], how="left"), viewed, ITEM))
    with_category = with_values_on(features, day_before_cutoff(), item_history, c.ITEM_ID, c.CATEGORY)
    ranked = with_category.withColumns({c.ITEM_CATEGORY_RANK_28D: _category_rank(), c.ITEM_CATEGORY: F.col(c.CATEGORY)})
    return ranked.select(*tables.ITEM_FEATURES.column_names)


def _sales_to_users(item_days: DataFrame) -> DataFrame:
    """One row per item and user, so that buyers are rows and need no distinct count."""
    return item_days.groupBy(*KEY, c.USER_ID).agg(
        sum_within(c.LINES, 7).alias("lines_7d"),
        sum_within(c.LINES, 28).alias("lines_28d"),
        F.sum(c.LINES).alias("lines_91d"),
        F.count("*").alias("days_91d"),
        F.sum(c.CENTS).alias("cents_91d"),
        exact_sum(F.col(c.UNITS)).alias("units_91d"),
    )


def _sales(to_users: DataFrame) -> DataFrame:
    buyers_91d = F.count("*")
    repeaters_91d = F.count_if(F.col("days_91d") > 1)
    return to_users.groupBy(*KEY).agg(
        F.try_divide(F.sum("cents_91d"), exact_sum(F.col("units_91d"))).alias(c.ITEM_PRICE_CENTS_91D),
        F.sum("lines_7d").alias(c.ITEM_PURCHASES_7D),
        F.sum("lines_28d").alias(c.ITEM_PURCHASES_28D),
        F.sum("lines_91d").alias(c.ITEM_PURCHASES_91D),
        F.count_if(F.col("lines_28d") > 0).alias(c.ITEM_BUYERS_28D),
        buyers_91d.alias(c.ITEM_BUYERS_91D),
        (repeaters_91d / buyers_91d).alias(c.ITEM_REPEAT_RATE_91D),
    )


def _with_rates(features: DataFrame) -> DataFrame:
    views = F.col(c.ITEM_VIEWS_28D)
    return features.withColumns(
        {
            c.ITEM_CART_RATE_28D: F.try_divide(F.col(c.ITEM_CARTS_28D), views),
            c.ITEM_PURCHASE_RATE_28D: F.try_divide(F.col(c.ITEM_PURCHASES_28D), views),
        }
    )


def _category_rank() -> Column:
    """1 for the item with most buyers, the smallest id at a tie."""
    category = Window.partitionBy(c.AS_OF_DATE, c.CATEGORY)
    most_bought = category.orderBy(F.desc(c.ITEM_BUYERS_28D), c.ITEM_ID)
    is_ranked = F.col(c.CATEGORY).isNotNull() & (F.col(c.ITEM_BUYERS_28D) > 0)
    return F.when(is_ranked, F.row_number().over(most_bought))
