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

POSITION = "position"

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


def leave_one_out(sequences: Path) -> Split:
    """Each user's item of the highest position is the test set, all before it the train set.

    Users with one item are only trained on. Raises InputError as read_split does.
    """
    user, item, position = _columns(sequences, (c.USER_ID, c.ITEM_ID, POSITION))
    users, user_idx = np.unique(user, return_inverse=True)
    items, item_idx = np.unique(item, return_inverse=True)
    order = np.lexsort((position, user_idx))
    user_idx, item_idx = user_idx[order], item_idx[order]
    is_last = np.append(user_idx[1:] != user_idx[:-1], [True])
    is_test = is_last & (np.bincount(user_idx)[user_idx] > 1)
    test = (user_idx[is_test], item_idx[is_test])
    return Split(users=len(users), items=len(items), train=(user_idx[~is_test], item_idx[~is_test]), others=(test,))


def _ids(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    user, item = _columns(path, (c.USER_ID, c.ITEM_ID))
    return user, item


def _columns(path: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    if not path.is_file():
        raise InputError(f"{path} does not exist. Cure: give the path of a Parquet file of {', '.join(names)}")
    table = pq.read_table(path)
    if not set(names) <= set(table.column_names) or not table.num_rows:
        raise InputError(f"{path} has {table.num_rows} rows of {table.column_names}; expected {', '.join(names)}")
    return [table[name].to_numpy() for name in names]
