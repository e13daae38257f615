"""How much, how often, how recently, where and when a user buys, and looks."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.catalog import USER
from recsys.features.purchases import opened_baskets
from recsys.features.views import user_views, with_views
from recsys.frames.as_of import age_days, known_before, rows_within, sum_within
from recsys.frames.sums import exact_sum

HISTORY_DAYS = 365
KEY = (c.AS_OF_DATE, c.USER_ID)


def user_features(visits: DataFrame, view_days: DataFrame | None, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off and user with a purchase in the 365 days before it, or a view or a cart in the last 91."""
    habits = (
        (c.STORE_ID, c.USER_MAIN_STORE_ID),
        (c.LOCAL_WEEKDAY, c.USER_USUAL_WEEKDAY),
        (c.LOCAL_HOUR, c.USER_USUAL_HOUR),
    )
    features = _totals(known_before(visits, as_of_dates, HISTORY_DAYS)).join(
        _basket_counts(known_before(opened_baskets(visits), as_of_dates, HISTORY_DAYS)), on=[*KEY], how="left"
    )
    for name, habit in habits:
        opened = known_before(opened_baskets(visits, name), as_of_dates, HISTORY_DAYS)
        features = features.join(_most_frequent(opened, name, habit), on=[*KEY], how="left")
    viewed = None if view_days is None else user_views(view_days, as_of_dates)
    return _with_means(with_views(features, viewed, USER)).select(*tables.USER_FEATURES.column_names)


def _totals(visits: DataFrame) -> DataFrame:
    return visits.groupBy(*KEY).agg(
        sum_within(c.LINES, 7).alias(c.USER_PURCHASES_7D),
        sum_within(c.LINES, 28).alias(c.USER_PURCHASES_28D),
        sum_within(c.LINES, 91).alias(c.USER_PURCHASES_91D),
        sum_within(c.CENTS, 28).alias(c.USER_SPEND_CENTS_28D),
        sum_within(c.CENTS, 91).alias(c.USER_SPEND_CENTS_91D),
        age_days(F.max(c.EVENT_DATE)).alias(c.USER_RECENCY_DAYS),
        _heat(half_life_days=28).alias(c.USER_HEAT_28D),
        _heat(half_life_days=91).alias(c.USER_HEAT_91D),
    )


def _heat(*, half_life_days: int) -> Column:
    return exact_sum(F.col(c.LINES) * F.pow(F.lit(2.0), -age_days(F.col(c.EVENT_DATE)) / half_life_days))


def _basket_counts(opened: DataFrame) -> DataFrame:
    return opened.groupBy(*KEY).agg(
        rows_within(28).alias(c.USER_BASKETS_28D), rows_within(91).alias(c.USER_BASKETS_91D)
    )


def _most_frequent(opened: DataFrame, name: str, habit: str) -> DataFrame:
    """Per user the value of column `name` with most baskets, the smallest at a tie; nulls do not count."""
    counted = opened.where(F.col(name).isNotNull()).groupBy(*KEY, name).agg(F.count("*").alias("baskets"))
    most_then_smallest = F.min(F.struct(-F.col("baskets"), F.col(name)))
    return counted.groupBy(*KEY).agg(most_then_smallest[name].alias(habit))


def _with_means(features: DataFrame) -> DataFrame:
    baskets = F.col(c.USER_BASKETS_91D)
    return features.withColumns(
        {
            c.USER_MEAN_SPEND_CENTS_91D: F.try_divide(F.col(c.USER_SPEND_CENTS_91D), baskets),
            c.USER_BASKET_ITEMS_91D: F.try_divide(F.col(c.USER_PURCHASES_91D), baskets),
        }
    )
