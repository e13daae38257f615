"""Reads all feature tables of given cut-offs."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.errors import InputError
from recsys.frames.feature_tables import FeatureTables
from recsys.lake.store import Lake
from recsys.tables import Table

FEATURE_TABLES: tuple[Table, ...] = (
    tables.USER_FEATURES,
    tables.USER_CATEGORY_FEATURES,
    tables.ITEM_FEATURES,
    tables.USER_ITEM_FEATURES,
    tables.CONTEXT_FEATURES,
    tables.STORE_ITEM_FEATURES,
)


def read_features(lake: Lake, as_of_dates: Sequence[date]) -> FeatureTables:
    """Raises InputError where a cut-off has no user features: build_features did not run for it."""

    def of(table: Table) -> DataFrame:
        return lake.read(table).where(F.col(c.AS_OF_DATE).isin(list(as_of_dates)))

    found = {row[c.AS_OF_DATE] for row in of(tables.USER_FEATURES).select(c.AS_OF_DATE).distinct().collect()}
    missing = [day.isoformat() for day in as_of_dates if day not in found]
    if missing:
        raise InputError(
            f"features.user has no rows as of {missing}. Cure: run build_features with the same --run-date, "
            "examples.label_days and examples.train_windows; or choose a run date with events in the days before it"
        )
    return FeatureTables(
        user=of(tables.USER_FEATURES),
        user_category=of(tables.USER_CATEGORY_FEATURES),
        item=of(tables.ITEM_FEATURES),
        user_item=of(tables.USER_ITEM_FEATURES),
        context=of(tables.CONTEXT_FEATURES),
        store_item=of(tables.STORE_ITEM_FEATURES),
    )
