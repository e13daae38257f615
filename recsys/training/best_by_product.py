"""The best of all items by the product of vectors, items in tiles: memory does not grow with their number.

Shapes: B users, I items, D width, T items of a tile, K list length.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.models.interactions import Indexes, Scores
from recsys.models.rank_all import top_items
from recsys.models.spectral import product

Flags = NDArray[np.bool_]

# Vectors are made and multiplied in blocks of just this many rows, padded, so that none depends on its company.
BLOCK_ROWS = 512
# A block by a tile in 32-bit numbers: 64 MiB.
_TILE_ITEMS = 1 << 15


def best_by_product(
    asked_BD: Scores, item_ID: Scores, allowed_I: Flags, left_out: tuple[Indexes, Indexes], k: int
) -> tuple[Indexes, Scores]:
    """(B, K) item indexes, best first, and their scores; -inf beyond the last allowed item.

    `left_out`: rows of the B and item indexes that must not stand in their lists. Equal scores: lower index first.
    """
    tiles = list(_best_of_tiles(_padded(asked_BD), item_ID, allowed_I, left_out, k))
    item_BX, score_BX = (np.concatenate(parts, axis=1) for parts in zip(*tiles, strict=True))
    place_BK = top_items(score_BX, k)
    best = (np.take_along_axis(found_BX, place_BK, axis=1)[: len(asked_BD)] for found_BX in (item_BX, score_BX))
    item_BK, score_BK = best
    return item_BK, score_BK


def in_blocks(rows: NDArray[Any], vectors_of: Callable[[NDArray[Any]], Scores]) -> Scores:
    """(B, D) of `rows`, made block by block; at least one row."""
    blocks = (rows[first : first + BLOCK_ROWS] for first in range(0, len(rows), BLOCK_ROWS))
    return np.concatenate([vectors_of(_padded(block))[: len(block)] for block in blocks])


def _best_of_tiles(
    asked_BD: Scores, item_ID: Scores, allowed_I: Flags, left_out: tuple[Indexes, Indexes], k: int
) -> Iterator[tuple[Indexes, Scores]]:
    row, item_idx = left_out
    for first in range(0, len(item_ID), _TILE_ITEMS):
        tile = slice(first, min(first + _TILE_ITEMS, len(item_ID)))
        score_BT = product(asked_BD, item_ID[tile].T)
        score_BT[:, ~allowed_I[tile]] = -np.inf
        is_here = (item_idx >= tile.start) & (item_idx < tile.stop)
        score_BT[row[is_here], item_idx[is_here] - first] = -np.inf
        top_BK = top_items(score_BT, k)
        yield top_BK + first, np.take_along_axis(score_BT, top_BK, axis=1)


def _padded(rows: NDArray[Any]) -> NDArray[Any]:
    """With zeros up to a whole number of blocks."""
    missing = -len(rows) % BLOCK_ROWS
    return np.pad(rows, ((0, missing), *((0, 0) for _ in rows.shape[1:])))
