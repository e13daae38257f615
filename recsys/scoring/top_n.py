"""The best candidates of each user, ranked, with the reason that people read."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.scoring.candidates import CATEGORY, OWN, POPULAR, VIEWED
from recsys.scoring.reranking import FILL, RULE

ALL = "all"  # ranked among all items by a model of interactions
REASONS = {
    OWN: "bought_before",
    VIEWED: "viewed_before",
    CATEGORY: "favourite_category",
    POPULAR: "popular_now",
    ALL: "similar_taste",
    FILL: "popular_now",
    RULE: "chosen_by_the_shop",
}


def top_n(scored: DataFrame, n: int) -> DataFrame:
    """The `n` best of each cut-off and user with `rank` from 1; at equal scores the smaller item id comes first."""
    best_first = Window.partitionBy(c.AS_OF_DATE, c.USER_ID).orderBy(F.desc(c.SCORE), F.asc(c.ITEM_ID))
    return scored.withColumn(c.RANK, F.row_number().over(best_first)).where(F.col(c.RANK) <= n)


def reason() -> Column:
    """From the candidate's `source`."""
    return F.create_map(*(F.lit(word) for pair in REASONS.items() for word in pair))[F.col(c.SOURCE)]
