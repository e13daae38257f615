"""Reads all feature tables of given cut-offs."""

from collections.abc import Sequence
from datetime import date
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import catalog, tables
from recsys import columns as c
from recsys.config import CandidatesConfig
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


NEIGHBOUR_TABLES: tuple[Table, ...] = (tables.USER_NEIGHBOURS_FEATURES, tables.ITEM_NEIGHBOURS_FEATURES)


def read_features(lake: Lake, as_of_dates: Sequence[date]) -> FeatureTables:
    """Raises InputError where a cut-off has no user features: build_features did not run for it."""

    of = partial(of_cutoffs, lake, as_of_dates=as_of_dates)
    if missing := _missing(of(tables.USER_FEATURES), as_of_dates):
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


def read_neighbours(lake: Lake, as_of_dates: Sequence[date]) -> tuple[DataFrame, DataFrame]:
    """Drawn items of users, and users of items. Raises InputError where a table, or a cut-off in it, is not there."""
    grains = "user_neighbours,item_neighbours"
    users, items = (_optional(lake, table, as_of_dates, "the model reads", grains) for table in NEIGHBOUR_TABLES)
    return users, items


def candidate_tables(lake: Lake, quotas: CandidatesConfig) -> tuple[Table, ...]:
    """Optional ones that the quotas ask for, where they are there: read_item_item says what is missing."""
    asked = (tables.ITEM_ITEM_FEATURES,) if quotas.neighbour_items else ()
    return tuple(table for table in asked if lake.exists(table))


def read_item_item(lake: Lake, as_of_dates: Sequence[date], quota: int) -> DataFrame:
    """For candidates. Raises InputError where the table, or a cut-off in it, is not there."""
    reader = f"candidates.neighbour_items={quota} reads"
    return _optional(lake, tables.ITEM_ITEM_FEATURES, as_of_dates, reader, catalog.ITEM_ITEM.name)


def _optional(lake: Lake, table: Table, as_of_dates: Sequence[date], reader: str, grains: str) -> DataFrame:
    missing = [day.isoformat() for day in as_of_dates]
    if lake.exists(table):
        missing = _missing(of_cutoffs(lake, table, as_of_dates), as_of_dates)
    if missing:
        raise InputError(
            f"{table.name} has no rows as of {missing}, which {reader}. Cure: run build_features with "
            f"features.grains=[{grains}] among the settings, and the same --run-date"
        )
    return of_cutoffs(lake, table, as_of_dates)


def of_cutoffs(lake: Lake, table: Table, as_of_dates: Sequence[date]) -> DataFrame:
    return lake.read(table).where(F.col(c.AS_OF_DATE).isin(list(as_of_dates)))


def _missing(rows: DataFrame, as_of_dates: Sequence[date]) -> list[str]:
    found = {row[c.AS_OF_DATE] for row in rows.select(c.AS_OF_DATE).distinct().collect()}
    return [day.isoformat() for day in as_of_dates if day not in found]
