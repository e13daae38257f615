"""Some users of the validation window with all their candidates: what a ranking is measured on while a model trains."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

_SALT = "ranked-users-v1"


def drawn_buyers(bought: DataFrame, count: int) -> DataFrame:
    """user_id and `num_relevant`, how many items the user bought, of so many users, drawn by hash.

    `bought`: one row for each user_id and item_id of the window.
    """
    num_relevant = F.count("*").cast("int").alias(c.NUM_RELEVANT)
    by_hash = F.xxhash64(c.USER_ID, F.lit(_SALT))
    return bought.groupBy(c.USER_ID).agg(num_relevant).orderBy(by_hash, c.USER_ID).limit(count)


def ranked_pairs(candidates: DataFrame, bought: DataFrame, buyers: DataFrame) -> DataFrame:
    """as_of_date, user_id and item_id of the buyers' candidates with `label`, 1 of what was bought, and
    `num_relevant`, which counts what is no candidate too."""
    truth = bought.select(c.USER_ID, c.ITEM_ID, F.lit(1.0).cast("float").alias(c.LABEL))
    of_buyers = candidates.join(F.broadcast(buyers), on=c.USER_ID, how="inner")
    labelled = of_buyers.join(truth, on=[c.USER_ID, c.ITEM_ID], how="left")
    label = F.coalesce(c.LABEL, F.lit(0.0)).cast("float").alias(c.LABEL)
    return labelled.select(c.AS_OF_DATE, c.USER_ID, c.ITEM_ID, label, c.NUM_RELEVANT)


def with_ranking_key(pairs: DataFrame) -> DataFrame:
    """The split and a key by which a user's rows come into one file, side by side."""
    return pairs.withColumns({c.SPLIT: F.lit(c.RANKING), c.EXAMPLE_KEY: F.xxhash64(c.USER_ID, F.lit(_SALT))})
