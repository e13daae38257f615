"""All feature tables of a run's cut-offs."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame

from recsys.features.context import context_features
from recsys.features.event_days import EventDays
from recsys.features.holidays import Calendar
from recsys.features.item import item_features
from recsys.features.store_item import store_item_features
from recsys.features.user import user_features
from recsys.features.user_category import user_category_features
from recsys.features.user_item import user_item_features
from recsys.frames.feature_tables import FeatureTables


def features_as_of(
    by_day: EventDays,
    item_history: DataFrame,
    promotions: DataFrame,
    as_of_dates: Sequence[date],
    calendar: Calendar,
) -> FeatureTables:
    """A cut-off sees nothing of its own day or later; `item_history` has one row per item and version."""
    return FeatureTables(
        user=user_features(by_day.visits, by_day.view_days, as_of_dates),
        user_category=user_category_features(by_day.item_days, item_history, as_of_dates),
        item=item_features(by_day.item_days, by_day.view_days, item_history, as_of_dates),
        user_item=user_item_features(by_day.item_days, by_day.view_days, as_of_dates),
        context=context_features(by_day.visits, as_of_dates, calendar),
        store_item=store_item_features(promotions, as_of_dates),
    )
