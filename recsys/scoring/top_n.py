"""The best candidates of each user, ranked, as rows and as lists."""

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c

ALL = "all"  # ranked among all items by a model of interactions


def top_n(scored: DataFrame, n: int) -> DataFrame:
    """The `n` best of each cut-off and user with `rank` from 1; at equal scores the smaller item id comes first."""
    best_first = Window.partitionBy(c.AS_OF_DATE, c.USER_ID).orderBy(F.desc(c.SCORE), F.asc(c.ITEM_ID))
    return scored.withColumn(c.RANK, F.row_number().over(best_first)).where(F.col(c.RANK) <= n)


def as_lists(ranked: DataFrame) -> DataFrame:
    """A row a user, with lists of item_idx and score, best first, from rows with `rank`."""
    best = F.sort_array(F.collect_list(F.struct(c.RANK, c.ITEM_IDX, c.SCORE))).alias("best")
    return ranked.groupBy(c.USER_ID).agg(best).select(c.USER_ID, f"best.{c.ITEM_IDX}", f"best.{c.SCORE}")


def as_rows(lists: DataFrame, listed: Sequence[str], *, beside: Sequence[str] = ()) -> DataFrame:
    """user_id, `rank` from 1, an element of each of the columns `listed`, best first, and the columns `beside`."""
    entries = F.posexplode(F.arrays_zip(*listed)).alias("place", "best")
    places = lists.select(c.USER_ID, *beside, entries)
    return places.select(c.USER_ID, (F.col("place") + 1).alias(c.RANK), "best.*", *beside)
