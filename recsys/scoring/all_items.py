"""The best of all items for each user, exactly: user × item on the executors, by a ranker that is loaded there.

A ranker is asked with what its model knows users by, the column `asked`: their index, or a row of numbers.
Shapes: B users of a block, L numbers of a user, I items, K list length, P pairs.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StructField, StructType

from recsys import columns as c
from recsys.scoring.arrow_lists import lengths, places, rectangular
from recsys.scoring.pairs import SCORE_DECIMALS

ASKED = "asked"
LEFT_OUT = "left_out"
IS_KNOWN = "is_known"

_BITS = 32768
_LISTS_SCHEMA = f"{c.USER_ID} string, {c.ITEM_IDX} array<int>, {c.SCORE} array<double>, {c.NUM_ITEMS} bigint"
_SCHEMA = f"{c.USER_ID} string, {c.RANK} int, {c.ITEM_IDX} int, {c.SCORE} double, {c.NUM_ITEMS} bigint"

Flags = NDArray[np.bool_]
Indexes = NDArray[np.int64]
Asked = NDArray[Any]  # (B,) or (B, L)


class Top(Protocol):
    """(B, K) item indexes, best first, and their scores, of known and allowed items; -inf beyond the last of them.

    `left_out`: rows of the B and item indexes that must not stand in their lists. Equal scores: lower index first.
    """

    def __call__(
        self, asked_B: Asked, left_out: tuple[Indexes, Indexes], k: int
    ) -> tuple[Indexes, NDArray[np.floating[Any]]]: ...


class Ranker(Protocol):
    """What the executors load; recsys.training has one for each family of models.

    `block_users`: as many are ranked at once. `among`: what ranks the allowed items, made once a task.
    """

    @property
    def block_users(self) -> int: ...

    def knows(self, asked_B: Asked) -> Flags: ...

    def knows_item(self, item_idx_P: Indexes) -> Flags: ...

    def among(self, allowed_I: Flags) -> Top: ...


def best_of_all(
    users: DataFrame, load_ranker: Callable[[], Ranker], load_allowed: Callable[[], Flags], n: int
) -> DataFrame:
    """`rank` from 1, `item_idx` and `score`, rounded to 6 decimals, of at most `n` items a user that the model knows.

    `users` has user_id, `asked` and `left_out`, the indexes of items that must not be named (null: none). Users whom
    the model does not know get no row. `num_items` says how many items were ranked. At equal scores the lower index
    comes first. `load_allowed` runs in every task, as `load_ranker`: what grows with the catalogue is in no task.
    """
    return _best(users, load_ranker, load_allowed, n, (_as_rows, _SCHEMA))


def lists_of_all(
    users: DataFrame, load_ranker: Callable[[], Ranker], load_allowed: Callable[[], Flags], n: int
) -> DataFrame:
    """As `best_of_all`, a row a user: `item_idx` and `score` are lists, best first."""
    return _best(users, load_ranker, load_allowed, n, (_as_lists, _LISTS_SCHEMA))


def _best(
    users: DataFrame,
    load_ranker: Callable[[], Ranker],
    load_allowed: Callable[[], Flags],
    n: int,
    result: tuple["_Form", str],
) -> DataFrame:
    form, schema = result

    def rank(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ranker, allowed_I = load_ranker(), load_allowed()
        top, num_items = ranker.among(allowed_I), int(allowed_I.sum())
        for batch in batches:
            known = batch.filter(pa.array(ranker.knows(asked_of(batch.column(ASKED)))))
            for first in range(0, known.num_rows, ranker.block_users):
                block = known.slice(first, ranker.block_users)
                item_BK, score_BK = top(asked_of(block.column(ASKED)), _left_out(block.column(LEFT_OUT)), n)
                yield form(block.column(c.USER_ID), item_BK, score_BK, num_items)

    return users.select(c.USER_ID, ASKED, LEFT_OUT).mapInArrow(rank, schema)


def keep_known(pairs: DataFrame, load_ranker: Callable[[], Ranker]) -> DataFrame:
    """Pairs of `asked` and item_idx that the model could name: it knows both. Other columns stay."""

    def kept(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ranker = load_ranker()
        for batch in batches:
            is_known_P = ranker.knows(asked_of(batch.column(ASKED)))
            yield batch.filter(pa.array(is_known_P & ranker.knows_item(_indexes(batch.column(c.ITEM_IDX)))))

    return pairs.mapInArrow(kept, pairs.schema)


def known_users(users: DataFrame, load_ranker: Callable[[], Ranker]) -> DataFrame:
    """user_id of those of `users`, which has `asked`, whom the model knows."""

    def kept(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ranker = load_ranker()
        for batch in batches:
            yield batch.filter(pa.array(ranker.knows(asked_of(batch.column(ASKED))))).select([c.USER_ID])

    return users.select(c.USER_ID, ASKED).mapInArrow(kept, f"{c.USER_ID} string")


def with_is_known(items: DataFrame, load_ranker: Callable[[], Ranker]) -> DataFrame:
    """Rows with item_idx, and whether the model knows the item, `is_known`."""

    def marked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ranker = load_ranker()
        for batch in batches:
            is_known = pa.array(ranker.knows_item(_indexes(batch.column(c.ITEM_IDX))))
            yield pa.RecordBatch.from_arrays([*batch.columns, is_known], names=[*batch.schema.names, IS_KNOWN])

    return items.mapInArrow(marked, StructType([*items.schema.fields, StructField(IS_KNOWN, BooleanType())]))


def item_flags(item_idx: DataFrame) -> Flags:
    """By item index, whether it is among the rows' `item_idx`. Comes to the driver as one bit an item."""
    number = F.col(c.ITEM_IDX).cast("bigint") + 1
    buckets = item_idx.groupBy(F.bitmap_bucket_number(number).alias("bucket")).agg(
        F.bitmap_construct_agg(F.bitmap_bit_position(number)).alias("bits")
    )
    found = {row["bucket"]: row["bits"] for row in buckets.collect()}
    flags = np.zeros(max(found, default=0) * _BITS, dtype=np.bool_)
    for bucket, bits in found.items():
        of_bucket = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little")
        flags[(bucket - 1) * _BITS : bucket * _BITS] = of_bucket.astype(np.bool_)
    return flags


_Form = Callable[[pa.Array, Indexes, NDArray[np.floating[Any]], int], pa.RecordBatch]


def _as_rows(users: pa.Array, item_BK: Indexes, score_BK: NDArray[np.floating[Any]], num_items: int) -> pa.RecordBatch:
    row, place = np.nonzero(score_BK > -np.inf)
    columns = [
        users.take(pa.array(row)),
        pa.array((place + 1).astype(np.int32)),
        pa.array(item_BK[row, place].astype(np.int32)),
        pa.array(np.round(score_BK[row, place].astype(np.float64), SCORE_DECIMALS)),
        pa.array(np.full(len(row), num_items, dtype=np.int64)),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[c.USER_ID, c.RANK, c.ITEM_IDX, c.SCORE, c.NUM_ITEMS])


def _as_lists(users: pa.Array, item_BK: Indexes, score_BK: NDArray[np.floating[Any]], num_items: int) -> pa.RecordBatch:
    is_there_BK = score_BK > -np.inf
    offsets = np.concatenate([[0], np.cumsum(is_there_BK.sum(axis=1))]).astype(np.int32)
    scores = np.round(score_BK[is_there_BK].astype(np.float64), SCORE_DECIMALS)
    columns = [
        users,
        pa.ListArray.from_arrays(offsets, pa.array(item_BK[is_there_BK].astype(np.int32))),
        pa.ListArray.from_arrays(offsets, pa.array(scores)),
        pa.array(np.full(len(users), num_items, dtype=np.int64)),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[c.USER_ID, c.ITEM_IDX, c.SCORE, c.NUM_ITEMS])


def _left_out(lists: pa.ListArray) -> tuple[Indexes, Indexes]:
    row_P, _ = places(lengths(lists))
    return row_P, _indexes(lists.flatten())


def asked_of(column: pa.Array) -> Asked:
    return rectangular(column) if pa.types.is_list(column.type) else _indexes(column)


def _indexes(column: pa.Array) -> Indexes:
    """-1 for null: no one's index."""
    indexes: Indexes = column.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return indexes
