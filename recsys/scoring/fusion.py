"""Several models' lists of a user made one: by ranks, by scores or by votes.

A fused score is a sum of one summand for each list that names the item, so that a list without it adds nothing. Scores
of different models do not compare; where scores count, each list's run from 0, its lowest, to 1, its highest.
Shapes: B users, E lists of all of them, P entries of all lists, K items of all fused lists, I items, M models.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import MEAN, RECIPROCAL_RANK, VOTE, WEIGHTED
from recsys.scoring.arrow_lists import lengths, places
from recsys.scoring.reranking import LISTS

MEMBER = "member"  # number of a list's model in Fusion.models
JOINED = "+"  # between the names of models

# Cormack, Clarke and Buettcher 2009: so much is added to a rank, so that the first places do not decide alone.
RANK_CONSTANT = 60
# Beyond that a sum differs with the order of its parts; ranks of one list differ in it down to the 30,000th.
_DECIMALS = 9
_BLOCK_USERS = 2048
_LISTS = "lists"

Indexes = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """`models`: their names, in the order in which `source` names them; `weights`: by name, above 0, of WEIGHTED.

    With all M models naming a user's items, scores lie above 0 and up to M / 61 for RECIPROCAL_RANK, from 0 to 1 for
    MEAN and WEIGHTED, and from 0 to M + 1/2 for VOTE: the lists that have the item among their first n, and half the
    mean, which parts items of equally many votes.
    """

    method: str
    models: tuple[str, ...]
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Entries:
    """`share_P`: of the list's model in the weight of all lists that the user has."""

    row_P: Indexes
    member_P: Indexes
    place_P: Indexes
    item_P: Indexes
    relative_P: Doubles
    share_P: Doubles


def fused(lists: DataFrame, fusion: Fusion, load_id_order: Callable[[], Indexes], *, n: int, length: int) -> DataFrame:
    """One list a user, with the columns of reranking.LISTS, at most `length` long; the best first, at equal scores the
    smaller item id. `source` names the models that named the item, as mlp+lightgcn.

    `lists` has a row for each user and model that knows the user: user_id, MEMBER, and lists of item_idx and score,
    best first. A user whom some models do not know is fused from the others. `load_id_order`: by item index, the place
    of the item's id among all. `n`: the first places that vote.
    """

    def fuse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        id_order_I = load_id_order()
        for batch in batches:
            for first in range(0, batch.num_rows, _BLOCK_USERS):
                yield _fused(batch.slice(first, _BLOCK_USERS), fusion, id_order_I, n, length)

    # Sums of doubles differ with their order: each user's lists come in that of the models.
    of_user = F.sort_array(F.collect_list(F.struct(MEMBER, c.ITEM_IDX, c.SCORE))).alias(_LISTS)
    return lists.groupBy(c.USER_ID).agg(of_user).mapInArrow(fuse, LISTS)


def _fused(block: pa.RecordBatch, fusion: Fusion, id_order_I: Indexes, n: int, length: int) -> pa.RecordBatch:
    entries = _entries(block.column(_LISTS), fusion)
    size = int(entries.item_P.max(initial=0)) + 1
    key_K, of_P = np.unique(entries.row_P * size + entries.item_P, return_inverse=True)
    summed_K = np.bincount(of_P, weights=METHODS[fusion.method](entries, n), minlength=len(key_K))
    named_K = np.bincount(of_P, weights=2.0**entries.member_P, minlength=len(key_K)).astype(np.int64)
    row_K, item_K, score_K = key_K // size, key_K % size, np.round(summed_K, _DECIMALS)
    best_K = np.lexsort((id_order_I[item_K], -score_K, row_K))
    length_B = np.bincount(row_K, minlength=block.num_rows)
    best_K = best_K[places(length_B)[1] < length]
    values = (
        pa.array(item_K[best_K].astype(np.int32)), pa.array(score_K[best_K]), _sources(named_K[best_K], fusion.models)
    )  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(np.minimum(length_B, length))]).astype(np.int32)
    columns = [block.column(c.USER_ID), *(pa.ListArray.from_arrays(offsets, value) for value in values)]
    return pa.RecordBatch.from_arrays(columns, names=[c.USER_ID, c.ITEM_IDX, c.SCORE, c.SOURCE])


def _entries(column: pa.ListArray, fusion: Fusion) -> _Entries:
    structs = column.flatten()
    member_E, items = structs.field(MEMBER).to_numpy().astype(np.int64), structs.field(c.ITEM_IDX)
    row_E, length_E = places(lengths(column))[0], lengths(items)
    weight_E = np.array([fusion.weights.get(name, 1.0) for name in fusion.models])[member_E]
    share_E = weight_E / np.bincount(row_E, weights=weight_E, minlength=len(column))[row_E]
    of_P, place_P = places(length_E)
    score_P = structs.field(c.SCORE).flatten().to_numpy()
    return _Entries(
        row_P=row_E[of_P],
        member_P=member_E[of_P],
        place_P=place_P,
        item_P=items.flatten().to_numpy().astype(np.int64),
        relative_P=_relative(score_P, of_P, len(length_E)),
        share_P=share_E[of_P],
    )


def _relative(score_P: Doubles, of_P: Indexes, num_lists: int) -> Doubles:
    """From 0 for the lowest score of a list to 1 for its highest; 1 where all are equal."""
    low_E, high_E = np.full(num_lists, np.inf), np.full(num_lists, -np.inf)
    np.minimum.at(low_E, of_P, score_P)
    np.maximum.at(high_E, of_P, score_P)
    low_P, span_P = low_E[of_P], (high_E - low_E)[of_P]
    relative_P = np.ones(len(score_P))
    np.divide(score_P - low_P, span_P, out=relative_P, where=span_P > 0)
    return relative_P


def _reciprocal_rank(entries: _Entries, n: int) -> Doubles:  # noqa: ARG001  # the places that vote
    summand_P: Doubles = 1 / (RANK_CONSTANT + entries.place_P + 1)
    return summand_P


def _mean(entries: _Entries, n: int) -> Doubles:  # noqa: ARG001  # the same
    return entries.share_P * entries.relative_P


def _vote(entries: _Entries, n: int) -> Doubles:
    summand_P: Doubles = (entries.place_P < n) + _mean(entries, n) / 2
    return summand_P


METHODS: dict[str, Callable[[_Entries, int], Doubles]] = {
    RECIPROCAL_RANK: _reciprocal_rank,
    MEAN: _mean,
    WEIGHTED: _mean,
    VOTE: _vote,
}


def _sources(named_K: Indexes, models: tuple[str, ...]) -> pa.Array:
    """The names of the models whose bits are set."""
    found, of_K = np.unique(named_K, return_inverse=True)
    texts = [JOINED.join(name for bit, name in enumerate(models) if bits >> bit & 1) for bits in found.tolist()]
    sources: Any = pa.array(texts, pa.string()).take(pa.array(of_K))
    return sources
