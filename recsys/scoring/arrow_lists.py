"""Columns of Arrow as arrays of numbers."""

from typing import Any

import pyarrow as pa
from numpy.typing import NDArray


def rectangular(column: pa.Array) -> NDArray[Any]:
    """A row a list, of lists of one length."""
    is_list = pa.types.is_list(column.type)
    flat: NDArray[Any] = (column.flatten() if is_list else column).to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1 if len(column) else 1) if is_list else flat
