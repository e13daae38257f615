"""What the tables say of each user, as rows of one form: they meet on the executors by one shuffle, where joins of
lists that Spark has collected would sort and copy them over and over.

A row is of one of KINDS; what its numbers are is told there. Shapes: R rows, B users, C columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

# The user itself: text is its store; ints: user_idx, is_sampled and the ids of its neighbours; floats: what is said of
# users.
USER_KIND = 0
# An item of features.user_item: item_idx, place and recency of own_order; what is said of both.
OWN_KIND = 1
# A category of features.user_category, the text: purchases of 91 days; what is said of both.
CATEGORY_KIND = 2
# An item that must not be named: item_idx.
LEFT_OUT_KIND = 3
# What candidates.factors_model ranks first: item_idx, best first, and -1 behind the last.
FACTORS_KIND = 4
KINDS = (USER_KIND, OWN_KIND, CATEGORY_KIND, LEFT_OUT_KIND, FACTORS_KIND)

# 1: of this user all items are ranked, too, to tell what the candidates miss.
IS_SAMPLED = "is_sampled"
_KIND, _TEXT, _INTS, _FLOATS = "kind", "text", "ints", "floats"

Indexes = NDArray[np.int64]


def of_kind(
    rows: DataFrame, kind: int, ints: Column, floats: Column | None = None, text: str | None = None
) -> DataFrame:
    """`ints` and `floats`: lists, as long in each row of the kind."""
    texts = F.lit(None) if text is None else F.col(text)
    return rows.select(
        c.USER_ID,
        F.lit(kind).cast("tinyint").alias(_KIND),
        texts.cast("string").alias(_TEXT),
        ints.cast("array<int>").alias(_INTS),
        (F.array() if floats is None else floats).cast("array<float>").alias(_FLOATS),
    )


def by_user(rows: DataFrame, partitions: int) -> DataFrame:
    """A user's rows one after the other."""
    return rows.repartition(partitions, c.USER_ID).sortWithinPartitions(c.USER_ID)


def whole_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, none of a user's cut off from the others."""
    last: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        user_id = batch.column(c.USER_ID)
        border = pc.index(user_id, user_id[-1]).as_py()
        if border or (last and last[0].column(c.USER_ID)[0] != user_id[0]):
            yield _joined([*last, batch.slice(0, border)])
            last = []
        last.append(batch.slice(border))
    if last:
        yield _joined(last)


@dataclass(frozen=True, kw_only=True)
class OfKind:
    """Rows of one kind, and the place of each one's user among those of the block, in order."""

    row_R: Indexes
    text_R: pa.Array
    ints_RC: Indexes
    floats_RC: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.row_R)

    def slice_of(self, first: int, last: int) -> "OfKind":
        """Of the users from `first` to before `last`, who count from 0."""
        start, stop = np.searchsorted(self.row_R, (first, last))
        return OfKind(
            row_R=self.row_R[start:stop] - first,
            text_R=self.text_R[start:stop],
            ints_RC=self.ints_RC[start:stop],
            floats_RC=self.floats_RC[start:stop],
        )


@dataclass(frozen=True, kw_only=True)
class Users:
    """By kind what is told of users, (B,), who have a row of USER_KIND each."""

    user_id_B: pa.Array
    kinds: Sequence[OfKind]

    def __len__(self) -> int:
        return len(self.user_id_B)

    def blocks(self, size: int) -> Iterator["Users"]:
        for first in range(0, len(self), size):
            yield self.slice_of(first, first + size)

    def slice_of(self, first: int, last: int) -> "Users":
        """Those from `first` to before `last`."""
        kinds = [rows.slice_of(first, last) for rows in self.kinds]
        return Users(user_id_B=self.user_id_B[first:last], kinds=kinds)


def users_of(batch: pa.RecordBatch) -> Users:
    """Rows of whole users; those of users without a row of USER_KIND are left out."""
    user_id = batch.column(c.USER_ID)
    is_first_R = np.ones(batch.num_rows, dtype=np.bool_)
    is_first_R[1:] = pc.not_equal(user_id[1:], user_id[:-1]).to_numpy(zero_copy_only=False)
    user_R, kind_R = np.cumsum(is_first_R) - 1, batch.column(_KIND).to_numpy()
    is_user_R = kind_R == USER_KIND
    is_told = np.zeros(user_R[-1] + 1 if len(user_R) else 0, dtype=np.bool_)
    is_told[user_R[is_user_R]] = True
    row_R = (np.cumsum(is_told) - 1)[user_R]
    is_kept_R = is_told[user_R]
    kinds = [_rows_at(batch, row_R, np.flatnonzero((kind_R == kind) & is_kept_R)) for kind in KINDS]
    return Users(user_id_B=user_id.filter(pa.array(is_user_R)), kinds=kinds)


def _rows_at(batch: pa.RecordBatch, row_R: Indexes, at: Indexes) -> OfKind:
    return OfKind(
        row_R=row_R[at],
        text_R=batch.column(_TEXT).take(pa.array(at)),
        ints_RC=_listed(batch.column(_INTS), at).astype(np.int64),
        floats_RC=_listed(batch.column(_FLOATS), at),
    )


def _listed(lists: pa.ListArray, at: Indexes) -> NDArray[Any]:
    """(len(at), C), of lists that are of one length there."""
    offsets: NDArray[Any] = lists.offsets.to_numpy()
    width = int(offsets[at[0] + 1] - offsets[at[0]]) if len(at) else 0
    values: NDArray[Any] = lists.values.to_numpy(zero_copy_only=False)
    found: NDArray[Any] = values[offsets[at][:, None] + np.arange(width)]
    return found


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
