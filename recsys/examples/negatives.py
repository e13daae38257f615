"""Which candidates that were not bought are worth learning from: a fixed number a positive, drawn by hash."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c

_SALT = "negatives-v1"


def keep_sampled(labelled: DataFrame, negatives_per_positive: int) -> DataFrame:
    """All positives and, per cut-off and user, so many negatives for each; users without a positive fall out.

    A negative has no label in its own window; it may be a positive of the user in another. The draw depends on the rows
    alone, never on their partitioning.
    """
    hashed = F.xxhash64(c.USER_ID, c.ITEM_ID, c.AS_OF_DATE, F.lit(_SALT))
    per_user = Window.partitionBy(c.AS_OF_DATE, c.USER_ID)
    # One sort for both: positives first, then negatives by hash.
    position = F.row_number().over(per_user.orderBy(F.desc(c.LABEL), hashed, c.ITEM_ID))
    positives = F.count_if(F.col(c.LABEL) > 0).over(per_user)
    counted = labelled.select("*", position.alias("position"), positives.alias("positives"))
    kept = counted.where(F.col("position") <= F.col("positives") * (1 + negatives_per_positive))
    return kept.select(*labelled.columns)
