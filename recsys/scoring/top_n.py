"""The best candidates of each user, ranked."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c

ALL = "all"  # ranked among all items by a model of interactions


def top_n(scored: DataFrame, n: int) -> DataFrame:
    """The `n` best of each cut-off and user with `rank` from 1; at equal scores the smaller item id comes first."""
    best_first = Window.partitionBy(c.AS_OF_DATE, c.USER_ID).orderBy(F.desc(c.SCORE), F.asc(c.ITEM_ID))
    return scored.withColumn(c.RANK, F.row_number().over(best_first)).where(F.col(c.RANK) <= n)
