"""Interaction files by path: a train and a test set of user_id and item_id, as indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys import columns as c
from recsys.errors import InputError
from recsys.models.interactions import Indexes

Pairs = tuple[Indexes, Indexes]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Pairs of user and item indexes; ids are numbered in their order over all the files together."""

    users: int
    items: int
    train: Pairs
    others: tuple[Pairs, ...]


def read_split(train: Path, others: Sequence[Path]) -> Split:
    """Raises InputError for a missing file, a missing column or a file without rows."""
    files = [_ids(path) for path in (train, *others)]
    users, user_idx = np.unique(np.concatenate([user for user, _ in files]), return_inverse=True)
    items, item_idx = np.unique(np.concatenate([item for _, item in files]), return_inverse=True)
    borders = np.cumsum([len(user) for user, _ in files])[:-1]
    pairs = list(zip(np.split(user_idx, borders), np.split(item_idx, borders), strict=True))
    return Split(users=len(users), items=len(items), train=pairs[0], others=tuple(pairs[1:]))


def _ids(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    if not path.is_file():
        raise InputError(f"{path} does not exist. Cure: give the path of a Parquet file of user_id and item_id")
    table = pq.read_table(path)
    missing = [name for name in (c.USER_ID, c.ITEM_ID) if name not in table.column_names]
    if missing or not table.num_rows:
        raise InputError(f"{path} has {table.num_rows} rows of {table.column_names}; expected user_id and item_id")
    return table[c.USER_ID].to_numpy(), table[c.ITEM_ID].to_numpy()
