"""Keys: proving that they are unique and giving them dense indexes."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys.errors import DataQualityError


def require_unique(rows: DataFrame, *key: str) -> DataFrame:
    """Costs one aggregation: for lookup tables. Raises DataQualityError with the first duplicate."""
    duplicate = rows.groupBy(*key).count().where("count > 1").orderBy(*key).first()
    if duplicate is not None:
        found = {name: duplicate[name] for name in key}
        raise DataQualityError(f"expected one row per {key}, found {duplicate['count']} for {found}")
    return rows


def new_ids(known: DataFrame, keys: DataFrame, key: str, idx: str) -> DataFrame:
    """Indexes for keys that `known` lacks: from its largest plus one, in the order of the keys; null keys get none.

    The numbering runs over one partition: new keys only, some millions at most.
    """
    first_free = known.agg(F.coalesce(F.max(idx) + 1, F.lit(0)).alias("first_free"))
    unknown = keys.select(key).where(F.col(key).isNotNull()).distinct().join(known, on=key, how="left_anti")
    numbered = unknown.withColumn("position", F.row_number().over(Window.orderBy(key)) - 1)
    return numbered.crossJoin(first_free).select(key, (F.col("position") + F.col("first_free")).cast("int").alias(idx))
