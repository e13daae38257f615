"""Columns of Arrow as arrays of numbers.

Shapes: B lists, P entries of all of them.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def rectangular(column: pa.Array) -> NDArray[Any]:
    """A row a list, of lists of one length."""
    is_list = pa.types.is_list(column.type)
    flat: NDArray[Any] = (column.flatten() if is_list else column).to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1 if len(column) else 1) if is_list else flat


def lengths(lists: pa.ListArray) -> NDArray[np.int64]:
    """(B,): 0 for null."""
    length_B: NDArray[Any] = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return length_B.astype(np.int64)


def places(length_B: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and place, each (P,), of each entry of lists of these lengths."""
    row_P = np.repeat(np.arange(len(length_B)), length_B)
    start_B = np.cumsum(length_B) - length_B
    return row_P, np.arange(len(row_P)) - start_B[row_P]


def whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
