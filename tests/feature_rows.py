"""Feature tables with just the values that a test is about; the rest is null."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from recsys import tables
from recsys.frames.feature_tables import FeatureTables
from recsys.tables import Table


def rows_of(spark: SparkSession, table: Table, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    schema = ", ".join(f"`{column.name}` {column.type}" for column in table.columns)
    return spark.createDataFrame([tuple(row.get(name) for name in table.column_names) for row in rows], schema)


def feature_tables(spark: SparkSession, **rows: Sequence[Mapping[str, Any]]) -> FeatureTables:
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
