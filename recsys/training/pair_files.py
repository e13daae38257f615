"""Example files of taken pairs, user_idx and item_idx alone, written without Spark."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import columns as c
from recsys.manifest import RowGroup
from recsys.models.interactions import Indexes


def write_pair_files(
    folder: Path, user_idx_P: Indexes, item_idx_P: Indexes, *, row_groups: int, seed: int, split: str = c.TRAIN
) -> tuple[RowGroup, ...]:
    """One row group a file, users dealt to them at random by the seed, each with its pairs; no empty one.

    Files have pairs alike in number: a user at their border is in both.
    """
    (folder / split).mkdir(parents=True)
    users, user_P = np.unique(user_idx_P, return_inverse=True)
    order_P = np.argsort(np.random.default_rng(seed).permutation(len(users))[user_P], kind="stable")
    shares = np.array_split(order_P, max(min(row_groups, len(order_P)), 1))
    return tuple(
        _write(folder, f"{split}/{number:05d}.parquet", user_idx_P[share], item_idx_P[share])
        for number, share in enumerate(shares)
        if len(share)
    )


def _write(folder: Path, file: str, user_idx_P: Indexes, item_idx_P: Indexes) -> RowGroup:
    columns = {c.USER_IDX: user_idx_P.astype(np.int32), c.ITEM_IDX: item_idx_P.astype(np.int32)}
    pq.write_table(pa.table(columns), folder / file)
    return RowGroup(file=file, rows=len(user_idx_P))
