"""Ranking metrics of recommendation lists against the truth, and their sums over users and bootstrap replicates.

Shapes: U users, K positions, B replicates, V values.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from recsys import columns as c
from recsys.evaluation.significance import replicate_sums
from recsys.metrics import METRICS, per_user

# Sums of doubles differ in their last digits with the partitioning.
DECIMALS = 6
REPLICATE = "replicate"

_NUM_RELEVANT = "num_relevant"
_USER_HASH = "user_hash"


def value_name(recommender: str, metric: str) -> str:
    return f"{recommender}/{metric}"


def value_names(recommenders: Sequence[str]) -> list[str]:
    return [value_name(recommender, metric) for recommender in recommenders for metric in METRICS]


def user_hits(
    lists: DataFrame, truth: DataFrame, recommenders: Sequence[str], seed: int, *, case: str = c.USER_ID
) -> DataFrame:
    """One row for each list_kind and user_id of `truth`: its relevant items, and the ranks of each recommender's hits.

    `lists` has list_kind, recommender, user_id, rank, item_id. With another column as `case`, in both, one row for each
    of its values; bootstrap counts stay those of the user, whom `truth` names.
    """
    found = lists.groupBy(c.LIST_KIND, case, c.ITEM_ID).agg(
        *(F.max(F.when(F.col(c.RECOMMENDER) == name, F.col(c.RANK))).alias(name) for name in recommenders)
    )
    hits = truth.join(found, on=[c.LIST_KIND, case, c.ITEM_ID], how="left")
    return hits.groupBy(c.LIST_KIND, case).agg(
        F.count("*").alias(_NUM_RELEVANT),
        *(F.collect_list(name).alias(name) for name in recommenders),
        F.xxhash64(F.min(c.USER_ID), F.lit(seed)).alias(_USER_HASH),
    )


def sums_by_replicate(hits: DataFrame, recommenders: Sequence[str], *, k: int, replicates: int) -> DataFrame:
    """Per list_kind and replicate: `num_users` and, for each of `value_names`, the sum over them.

    Replicate 0 is the users as they are. Partitions send sums only.
    """
    names = value_names(recommenders)
    sums = [t.StructField(name, t.DoubleType()) for name in (c.NUM_USERS, *names)]
    schema = t.StructType(
        [t.StructField(c.LIST_KIND, t.StringType()), t.StructField(REPLICATE, t.IntegerType()), *sums]
    )

    def partial_sums(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for kind in batch.column(c.LIST_KIND).unique().to_pylist():
                rows = batch.filter(pa.compute.equal(batch.column(c.LIST_KIND), kind))
                values = user_values(rows, recommenders, k)
                hash_U = rows.column(_USER_HASH).to_numpy()
                users_B, sum_BV = replicate_sums(hash_U, values, replicates)
                yield _sums_batch(kind, users_B, sum_BV, names)

    partial = hits.mapInArrow(partial_sums, schema)
    totals = [F.sum(f"`{name}`").alias(name) for name in (c.NUM_USERS, *names)]
    return partial.groupBy(c.LIST_KIND, REPLICATE).agg(*totals)


def user_values(rows: pa.RecordBatch, recommenders: Sequence[str], k: int) -> NDArray[np.float64]:
    """The values of `value_names` for each row of `user_hits`, (U, V)."""
    relevant_U = rows.column(_NUM_RELEVANT).to_numpy()
    hits = [_hits(rows.column(name), k) for name in recommenders]
    return np.stack([per_user(metric, hits_UK, relevant_U) for hits_UK in hits for metric in METRICS], axis=1)


def candidate_recall(candidates: DataFrame, truth: DataFrame) -> DataFrame:
    """Per list_kind, the mean over users of the share of their truth that the candidates hold, as `value`.

    No list made from the candidates can have a higher recall.
    """
    pairs = candidates.select(c.USER_ID, c.ITEM_ID, F.lit(1.0).alias("is_candidate"))
    joined = truth.join(pairs, on=[c.USER_ID, c.ITEM_ID], how="left").fillna(0.0, "is_candidate")
    by_user = joined.groupBy(c.LIST_KIND, c.USER_ID).agg(F.mean("is_candidate").alias("share"))
    return by_user.groupBy(c.LIST_KIND).agg(F.round(F.mean("share"), DECIMALS).alias(c.VALUE))


def share_found(wanted: DataFrame, found: DataFrame) -> float | None:
    """Of the pairs of user_id and item_id that are wanted, those that were found; None where there are none."""
    pair = [c.USER_ID, c.ITEM_ID]
    both = wanted.select(*pair).join(found.select(*pair, F.lit(1).alias("found")), on=pair, how="left")
    share = both.agg(F.try_divide(F.count("found"), F.count("*"))).first()
    return None if share is None or share[0] is None else round(float(share[0]), DECIMALS)


def _hits(ranks: pa.ListArray, k: int) -> NDArray[np.bool_]:
    """From the ranks of each user's hits to flags by position, (U, K)."""
    lengths = np.asarray(pa.compute.list_value_length(ranks))
    hits_UK = np.zeros((len(ranks), k), dtype=bool)
    hits_UK[np.repeat(np.arange(len(ranks)), lengths), np.asarray(ranks.flatten()) - 1] = True
    return hits_UK


def _sums_batch(
    kind: str, users_B: NDArray[np.float64], sum_BV: NDArray[np.float64], names: Sequence[str]
) -> pa.RecordBatch:
    keys = [pa.array([kind] * len(users_B)), pa.array(np.arange(len(users_B), dtype=np.int32)), pa.array(users_B)]
    sums = [pa.array(np.ascontiguousarray(sum_B)) for sum_B in sum_BV.T]
    return pa.RecordBatch.from_arrays([*keys, *sums], names=[c.LIST_KIND, REPLICATE, c.NUM_USERS, *names])
