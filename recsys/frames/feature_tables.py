"""The feature tables of the cut-offs at hand, handed from jobs to stages as one value."""

from dataclasses import dataclass

from pyspark.sql import DataFrame


@dataclass(frozen=True, kw_only=True)
class FeatureTables:
    """Each frame has the columns of its table in recsys/tables.py, `as_of_date` among them, for some cut-offs."""

    user: DataFrame
    user_category: DataFrame
    item: DataFrame
    user_item: DataFrame
    context: DataFrame
    store_item: DataFrame
