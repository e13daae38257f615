"""Feature tables with just the values that a test is about; the rest is null."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from deltalake import write_deltalake
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.config import QUOTAS, CandidatesConfig
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.local_rows import arrow_table, fields_of, local_rows
from recsys.lake.store import Lake
from recsys.tables import Table

Rows = Sequence[Mapping[str, Any]]

FROM_THE_BEGINNING = {c.VALID_FROM: date(2000, 1, 1)}


def rows_of(spark: SparkSession, table: Table, rows: Rows) -> DataFrame:
    return local_rows(spark, _values(table, rows), table.schema)


def versions_of(spark: SparkSession, *items: Mapping[str, Any]) -> DataFrame:
    """Rows of clean.item_history; a version holds from the beginning and goes on, where it does not say otherwise."""
    return rows_of(spark, tables.ITEM_HISTORY, [{**FROM_THE_BEGINNING, **item} for item in items])


def write_rows(lake: Lake, table: Table, rows: Rows) -> None:
    """Replaces a table, without Spark, which takes half a second for each."""
    values = arrow_table(_values(table, rows), fields_of(table.schema))
    write_deltalake(lake.path(table), values, mode="overwrite", partition_by=list(table.partition_by) or None)


def _values(table: Table, rows: Rows) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in table.column_names) for row in rows]


def quotas_of(**quotas: int) -> CandidatesConfig:
    """0 where nothing else is given."""
    model = "mf" if quotas.get("factor_items") else None
    return CandidatesConfig(**{**dict.fromkeys(QUOTAS, 0), **quotas}, new_item_days=28, factors_model=model)


def feature_tables(spark: SparkSession, **rows: Rows) -> FeatureTables:
    """Rows by grain; a grain that is not given is empty."""
    grains = {
        "user": tables.USER_FEATURES,
        "user_category": tables.USER_CATEGORY_FEATURES,
        "item": tables.ITEM_FEATURES,
        "user_item": tables.USER_ITEM_FEATURES,
        "context": tables.CONTEXT_FEATURES,
        "store_item": tables.STORE_ITEM_FEATURES,
    }
    return FeatureTables(**{grain: rows_of(spark, table, rows.get(grain, ())) for grain, table in grains.items()})
