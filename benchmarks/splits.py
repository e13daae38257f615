"""Interaction files by path: a train and a test set of user_id and item_id, as indexes; and a train set cut for tuning.

Usage: python -m benchmarks.splits --train T.parquet --output FOLDER [--percent 10] [--seed 7 | --last]
writes FOLDER/tune_train.parquet and FOLDER/tune_valid.parquet: settings are chosen on these, never on the test set.
With --last each user's last rows are held out, as the file has them: right where the file goes on as the test set does.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys import columns as c
from recsys.errors import InputError, UserError
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


def every_nth_user(split: Split, n: int) -> Split:
    """With all their pairs; users and items are numbered anew, in their order."""
    kept = [(user[user % n == 0] // n, item[user % n == 0]) for user, item in (split.train, *split.others)]
    items, item_idx = np.unique(np.concatenate([item for _, item in kept]), return_inverse=True)
    of_files = np.split(item_idx, np.cumsum([len(user) for user, _ in kept])[:-1])
    pairs = [(user, item) for (user, _), item in zip(kept, of_files, strict=True)]
    return Split(users=-(-split.users // n), items=len(items), train=pairs[0], others=tuple(pairs[1:]))


def cut_for_tuning(train: Path, output: Path, *, percent: int, seed: int) -> tuple[int, int]:
    """Holds out the pairs whose hash says so, whatever their order; returns the rows of both parts.

    A user keeps at least one pair in training: the one with the largest hash.
    """
    pairs = _pairs(train)
    key = pd.util.hash_pandas_object(pairs, index=False, hash_key=f"{seed:016d}")
    return _written(pairs, (key % 100 >= percent) | (key == key.groupby(pairs[c.USER_ID]).transform("max")), output)


def cut_last_for_tuning(train: Path, output: Path, *, percent: int) -> tuple[int, int]:
    """Holds out so much of each user's rows, rounded up, from the end of the file; a user keeps at least one."""
    pairs = _pairs(train)
    of_user = pairs.groupby(c.USER_ID)[c.ITEM_ID]
    before, count = of_user.cumcount(), of_user.transform("size")
    return _written(pairs, (before == 0) | (before < count - np.ceil(count * percent / 100)), output)


def _pairs(train: Path) -> pd.DataFrame:
    user, item = _ids(train)
    return pd.DataFrame({c.USER_ID: user, c.ITEM_ID: item})


def _written(pairs: pd.DataFrame, is_kept: pd.Series, output: Path) -> tuple[int, int]:
    output.mkdir(parents=True, exist_ok=True)
    for name, part in (("tune_train", pairs[is_kept]), ("tune_valid", pairs[~is_kept])):
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), output / f"{name}.parquet")
    return int(is_kept.sum()), int((~is_kept).sum())


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


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--train", type=Path, required=True, metavar="T.parquet")
    made.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    made.add_argument("--percent", type=int, default=10, help="of the pairs, held out")
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--last", action="store_true", help="each user's last rows, in place of those a hash chooses")
    given = made.parse_args()
    try:
        if given.last:
            rows = cut_last_for_tuning(given.train, given.output, percent=given.percent)
        else:
            rows = cut_for_tuning(given.train, given.output, percent=given.percent, seed=given.seed)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{given.output}: {rows[0]} pairs to train, {rows[1]} to validate\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
