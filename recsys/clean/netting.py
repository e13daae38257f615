"""Cancellations netted against what they cancel: earlier purchases of the same item by the same customer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

CANCELLATION = "cancellation"
UNMATCHED_CANCELLATION = "unmatched_cancellation"
CANCELLED_PURCHASE = "cancelled_purchase"

_PARTS_OF_A_UNIT = 10_000  # quantities have four decimals; whole numbers of parts add up exactly
_IS_CANCELLATION = "_is_cancellation"
_KEY = (c.USER_ID, c.ITEM_ID)
_LINE = (*_KEY, c.QUANTITY, c.AMOUNT_CENTS, c.SOURCE_FILE, c.SOURCE_ROW)
_NETTED = pa.schema(
    [
        (c.SOURCE_FILE, pa.string()), (c.SOURCE_ROW, pa.int64()), (c.REASONS, pa.list_(pa.string())),
        (c.CANCELLED_QUANTITY, pa.float64()), (c.CANCELLED_CENTS, pa.int64()),
    ]
)  # fmt: skip
_NETTED_TYPES = (
    f"{c.SOURCE_FILE} string, {c.SOURCE_ROW} bigint, {c.REASONS} array<string>, {c.CANCELLED_QUANTITY} double, "
    f"{c.CANCELLED_CENTS} bigint"
)


@dataclass(frozen=True)
class Netted:
    """What becomes of a line; a purchase without a reason keeps what is left of it. Null cents: it had no amount."""

    line: int
    reason: str | None
    cancelled_quantity: float
    cancelled_cents: int | None


def net(quantities: Sequence[float], amounts: Sequence[int | None]) -> list[Netted]:
    """Of the lines of one customer and item in order of time; a cancellation has a quantity below zero.

    It takes back units of the latest purchases before it that still have some; where these hold too few, it is
    unmatched and takes none. Lines that nothing happened to are left out.
    """
    parts = [round(quantity * _PARTS_OF_A_UNIT) for quantity in quantities]
    left = [max(of_line, 0) for of_line in parts]
    netted: list[Netted] = []
    for line, of_line in enumerate(parts):
        if of_line < 0:
            is_matched = _take_back(left, line, -of_line)
            netted.append(Netted(line, CANCELLATION if is_matched else UNMATCHED_CANCELLATION, 0.0, 0))
    for line, of_line in enumerate(parts):
        if 0 <= left[line] < of_line:
            netted.append(_cancelled(line, of_line, left[line], amounts[line]))
    return netted


def _take_back(left: list[int], line: int, wanted: int) -> bool:
    if sum(left[:line]) < wanted:
        return False
    for earlier in range(line - 1, -1, -1):
        taken = min(left[earlier], wanted)
        left[earlier] -= taken
        wanted -= taken
    return True


def _cancelled(line: int, bought: int, left: int, amount: int | None) -> Netted:
    reason = CANCELLED_PURCHASE if left == 0 else None
    cents = None if amount is None else amount - (2 * amount * left + bought) // (2 * bought)
    return Netted(line, reason, (bought - left) / _PARTS_OF_A_UNIT, cents)


def netted(purchases: DataFrame) -> DataFrame:
    """Purchase lines that are cancellations or were cancelled: place, reasons (none for a line of which units are
    left), cancelled_quantity and cancelled_cents. At one time purchases come before cancellations."""
    is_cancellation = F.col(c.QUANTITY) < 0
    cancelled = purchases.where(is_cancellation).select(*_KEY).distinct()
    lines = purchases.join(cancelled, on=list(_KEY), how="left_semi").withColumn(_IS_CANCELLATION, is_cancellation)
    in_order = lines.repartition(*_KEY).sortWithinPartitions(
        *_KEY, c.EVENT_TS, _IS_CANCELLATION, c.SOURCE_FILE, c.SOURCE_ROW
    )
    return in_order.select(*_LINE).mapInArrow(_net_batches, _NETTED_TYPES)


def _net_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row at a time: a customer's lines may lie in two batches."""
    lines = (line for batch in batches for line in batch.to_pylist())
    for _, of_key in groupby(lines, key=itemgetter(*_KEY)):
        rows = _net_lines(list(of_key))
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=_NETTED)


def _net_lines(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = net([line[c.QUANTITY] for line in lines], [line[c.AMOUNT_CENTS] for line in lines])
    return [
        {
            c.SOURCE_FILE: lines[entry.line][c.SOURCE_FILE],
            c.SOURCE_ROW: lines[entry.line][c.SOURCE_ROW],
            c.REASONS: [entry.reason] if entry.reason else [],
            c.CANCELLED_QUANTITY: entry.cancelled_quantity,
            c.CANCELLED_CENTS: entry.cancelled_cents,
        }
        for entry in found
    ]
