"""What a list's scores owe to what its user took, asked of the model on the executors, of published lists only.

Shapes: B users of a block, K list length, H items taken, T rows of the result.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from recsys import columns as c
from recsys.scoring.all_items import ASKED, Asked, Indexes, asked_of
from recsys.scoring.arrow_lists import lengths
from recsys.scoring.pairs import SCORE_DECIMALS

TAKEN = "taken"
TAKEN_IDX = "taken_idx"

_NONE = -1
# Contributions of a block: 16 MiB; a user alone has more where 200,000 items stand behind a list of ten. What they are
# made with takes some times as much.
_BLOCK_CONTRIBUTIONS = 1 << 21
_SCHEMA = f"{c.USER_ID} string, {c.ITEM_IDX} int, {c.RANK} int, {TAKEN_IDX} int, {c.CONTRIBUTION} double"


class Explainer(Protocol):
    """What the executors load: the rankers of recsys.training.

    Items that the user took, (B, H), and by how much each score, (B, K), falls without each, (B, K, H); -1 fills rows
    of items up. `taken_BH`: what the log says; a model that keeps its own history answers with that. `num_taken`: (B,),
    from how many items of each user the answer will be.
    """

    def num_taken(self, asked_B: Asked, taken_BH: Indexes) -> Indexes: ...

    def evidence(self, asked_B: Asked, taken_BH: Indexes, item_BK: Indexes) -> tuple[Indexes, NDArray[np.float64]]: ...


def evidence_of(lists: DataFrame, load_explainer: Callable[[], Explainer], count: int) -> DataFrame:
    """A row for each of the `count` largest contributions above 0 of each item: user_id, item_idx, `rank` from 1,
    taken_idx, contribution, rounded to 6 decimals; the lower index first at equal ones.

    `lists` has user_id, `asked`, `taken` (item indexes; may be null) and item_idx, a list.
    """

    def explain(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        explainer = load_explainer()
        for batch in batches:
            for block in _blocks(batch, explainer):
                yield _explained(block, explainer, count)

    return lists.select(c.USER_ID, ASKED, TAKEN, c.ITEM_IDX).mapInArrow(explain, _SCHEMA)


def _blocks(batch: pa.RecordBatch, explainer: Explainer) -> Iterator[pa.RecordBatch]:
    taken_B = explainer.num_taken(asked_of(batch.column(ASKED)), padded(batch.column(TAKEN)))
    width = int(lengths(batch.column(c.ITEM_IDX)).max(initial=0))
    for first, last in runs_of(taken_B * width, _BLOCK_CONTRIBUTIONS):
        yield batch.slice(first, last - first)


def runs_of(size_B: Indexes, most: int) -> Iterator[tuple[int, int]]:
    """First, and behind the last, of users one after the other who together, all as large as the largest of them, stay
    within `most`; who is larger stands alone."""
    first = largest_yet = 0
    for place, size in enumerate(size_B.tolist()):
        largest_yet = max(largest_yet, size)
        if place > first and largest_yet * (place - first + 1) > most:
            yield first, place
            first, largest_yet = place, size
    if len(size_B):
        yield first, len(size_B)


def _explained(block: pa.RecordBatch, explainer: Explainer, count: int) -> pa.RecordBatch:
    item_BK = padded(block.column(c.ITEM_IDX))
    taken_BH, contribution_BKH = explainer.evidence(asked_of(block.column(ASKED)), padded(block.column(TAKEN)), item_BK)
    row_T, place_T, at_T, rank_T = largest(taken_BH, np.round(contribution_BKH, SCORE_DECIMALS), count)
    columns = [
        block.column(c.USER_ID).take(pa.array(row_T)),
        pa.array(item_BK[row_T, place_T].astype(np.int32)),
        pa.array(rank_T.astype(np.int32)),
        pa.array(taken_BH[row_T, at_T].astype(np.int32)),
        pa.array(np.round(contribution_BKH[row_T, place_T, at_T], SCORE_DECIMALS)),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[c.USER_ID, c.ITEM_IDX, c.RANK, TAKEN_IDX, c.CONTRIBUTION])


def largest(
    taken_BH: Indexes, contribution_BKH: NDArray[np.float64], count: int
) -> tuple[Indexes, Indexes, Indexes, Indexes]:
    """(T,) each: user, place in the list, taken item and rank of the `count` largest contributions above 0."""
    row_P, place_P, at_P = np.nonzero(contribution_BKH > 0)
    order = np.lexsort((taken_BH[row_P, at_P], -contribution_BKH[row_P, place_P, at_P], place_P, row_P))
    row_P, place_P, at_P = row_P[order], place_P[order], at_P[order]
    group_P = row_P * contribution_BKH.shape[1] + place_P
    rank_P = np.arange(len(group_P)) - np.searchsorted(group_P, group_P) + 1
    kept = rank_P <= count
    return row_P[kept], place_P[kept], at_P[kept], rank_P[kept]


def padded(lists: pa.Array) -> Indexes:
    """(B, longest), filled up with -1."""
    length_B = lengths(lists)
    rows = np.full((len(lists), int(length_B.max(initial=0))), _NONE, dtype=np.int64)
    rows[np.arange(rows.shape[1]) < length_B[:, None]] = lists.flatten().to_numpy(zero_copy_only=False)
    return rows
