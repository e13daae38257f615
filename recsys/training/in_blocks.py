"""Rows go through a network in blocks of one size. Shapes: B rows, D width."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.models.interactions import Scores

# Padded to just this many rows, so that no row's numbers depend on its company.
_BLOCK_ROWS = 512


def in_blocks(rows: NDArray[Any], vectors_of: Callable[[NDArray[Any]], Scores]) -> Scores:
    """(B, D) of `rows`, made block by block; at least one row."""
    blocks = (rows[first : first + _BLOCK_ROWS] for first in range(0, len(rows), _BLOCK_ROWS))
    return np.concatenate([vectors_of(_padded(block))[: len(block)] for block in blocks])


def _padded(rows: NDArray[Any]) -> NDArray[Any]:
    """With zeros up to a whole number of blocks."""
    missing = -len(rows) % _BLOCK_ROWS
    return np.pad(rows, ((0, missing), *((0, 0) for _ in rows.shape[1:])))
