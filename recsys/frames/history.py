"""What was said of an item or user on a day, from a table with one row a version (valid_from, valid_to)."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

_KEY, _FROM, _TO = "_history_key", "_history_from", "_history_to"


def with_values_on(rows: DataFrame, day: Column, history: DataFrame, key: str, *names: str) -> DataFrame:
    """Adds columns `names` of the version that held on the `day` of each row; null where none did.

    `history` has at most one version a key and day, so that rows stay as many as they are.
    """
    versions = history.select(
        F.col(key).alias(_KEY), F.col(c.VALID_FROM).alias(_FROM), F.col(c.VALID_TO).alias(_TO), *names
    )
    held = (F.col(_FROM) <= day) & (F.col(_TO).isNull() | (day < F.col(_TO)))
    return rows.join(versions, on=(F.col(key) == F.col(_KEY)) & held, how="left").drop(_KEY, _FROM, _TO)


def day_before_cutoff() -> Column:
    """The last day that the row's cut-off may know."""
    return F.date_sub(c.AS_OF_DATE, 1)
