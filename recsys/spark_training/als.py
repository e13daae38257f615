"""Implicit ALS of pyspark.ml on who took what."""

from dataclasses import dataclass

from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

_TAKEN = "taken"
# Iterations after which factors go to the checkpoint folder: a plan that remembers many cannot be sent to tasks.
_CHECKPOINT_EVERY = 2


@dataclass(frozen=True, kw_only=True)
class Factors:
    """user_idx or item_idx and `vector`, of those with a pair."""

    users: DataFrame
    items: DataFrame


def fit_als(  # noqa: PLR0913  # the keys of conf/models/als.yaml
    pairs: DataFrame, *, seed: int, dim: int, iterations: int, l2: float, alpha: float, blocks: int
) -> Factors:
    """`pairs`: user_idx and item_idx, each once. Their order and place follow from them alone.

    Needs a checkpoint folder of the Spark context for more than a few iterations.
    """
    placed = pairs.repartition(blocks, c.USER_IDX).sortWithinPartitions(c.USER_IDX, c.ITEM_IDX)
    als = ALS(
        rank=dim,
        maxIter=iterations,
        regParam=l2,
        alpha=alpha,
        implicitPrefs=True,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        checkpointInterval=_CHECKPOINT_EVERY,
        seed=seed,
        userCol=c.USER_IDX,
        itemCol=c.ITEM_IDX,
        ratingCol=_TAKEN,
    )
    model = als.fit(placed.withColumn(_TAKEN, F.lit(1.0)))
    return Factors(users=_vectors(model.userFactors, c.USER_IDX), items=_vectors(model.itemFactors, c.ITEM_IDX))


def _vectors(factors: DataFrame, key: str) -> DataFrame:
    return factors.select(F.col("id").alias(key), F.col("features").alias(c.VECTOR))
