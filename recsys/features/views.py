"""What users looked at and put into the cart: added up by day, and counted beside the purchases of each grain."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.catalog import VIEW_HISTORY_DAYS, Grain, features_of
from recsys.frames.as_of import age_days, known_before, sum_within


def view_days(events: DataFrame) -> DataFrame:
    """One row per user, item and day with a view or a cart."""
    kind = F.col(c.EVENT_TYPE)
    of_day = events.where(kind.isin(c.VIEW, c.CART)).groupBy(c.USER_ID, c.ITEM_ID, c.EVENT_DATE)
    return of_day.agg(F.count_if(kind == c.VIEW).alias(c.VIEWS), F.count_if(kind == c.CART).alias(c.CARTS))


def user_views(days: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off and user with a view or a cart in the 91 days before it."""
    known = known_before(days, as_of_dates, VIEW_HISTORY_DAYS)
    return known.groupBy(c.AS_OF_DATE, c.USER_ID).agg(
        sum_within(c.VIEWS, 7).alias(c.USER_VIEWS_7D),
        sum_within(c.VIEWS, 28).alias(c.USER_VIEWS_28D),
        sum_within(c.CARTS, 28).alias(c.USER_CARTS_28D),
        _recency(c.VIEWS).alias(c.USER_VIEW_RECENCY_DAYS),
    )


def item_views(days: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off and item with a view or a cart in the 91 days before it."""
    known = known_before(days, as_of_dates, VIEW_HISTORY_DAYS)
    return known.groupBy(c.AS_OF_DATE, c.ITEM_ID).agg(
        sum_within(c.VIEWS, 7).alias(c.ITEM_VIEWS_7D),
        sum_within(c.VIEWS, 28).alias(c.ITEM_VIEWS_28D),
        sum_within(c.CARTS, 28).alias(c.ITEM_CARTS_28D),
        age_days(F.max(c.EVENT_DATE)).alias(c.ITEM_VIEW_RECENCY_DAYS),
    )


def user_item_views(days: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off, user and item with a view or a cart in the 91 days before it."""
    known = known_before(days, as_of_dates, VIEW_HISTORY_DAYS)
    return known.groupBy(c.AS_OF_DATE, c.USER_ID, c.ITEM_ID).agg(
        sum_within(c.VIEWS, 28).alias(c.USER_ITEM_VIEWS_28D),
        sum_within(c.CARTS, 28).alias(c.USER_ITEM_CARTS_28D),
        _recency(c.VIEWS).alias(c.USER_ITEM_VIEW_RECENCY_DAYS),
        _recency(c.CARTS).alias(c.USER_ITEM_CART_RECENCY_DAYS),
    )


def with_views(bought: DataFrame, viewed: DataFrame | None, grain: Grain) -> DataFrame:
    """Rows of either, by cut-off and key of the grain; what is counted and did not happen is 0.

    `viewed` is None for a log without views and carts: then nothing is joined.
    """
    features = features_of(grain)
    if viewed is None:
        whole = bought.withColumns({f.name: F.lit(None).cast(f.type) for f in features if f.needs})
    else:
        whole = bought.join(viewed, on=[c.AS_OF_DATE, *grain.key], how="full")
    return whole.fillna(0, [f.name for f in features if f.type == "bigint"])


def _recency(count: str) -> Column:
    """Null where no day counts any."""
    return age_days(F.max(F.when(F.col(count) > 0, F.col(c.EVENT_DATE))))
