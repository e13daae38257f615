"""Example files of histories in rows of one length, written without Spark."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import columns as c
from recsys.manifest import RowGroup
from recsys.models.interactions import Indexes


def write_sequence_files(
    folder: Path, split: str, item_idx_RS: Indexes, *, row_groups: int, seed: int
) -> tuple[RowGroup, ...]:
    """One row group a file under `split`, the rows dealt to them at random by the seed; no empty one."""
    (folder / split).mkdir(parents=True)
    order_R = np.random.default_rng(seed).permutation(len(item_idx_RS))
    shares = np.array_split(order_R, min(row_groups, len(order_R))) if len(order_R) else []
    return tuple(
        _write(folder, f"{split}/{number:05d}.parquet", item_idx_RS[share]) for number, share in enumerate(shares)
    )


def _write(folder: Path, file: str, item_idx_RS: Indexes) -> RowGroup:
    rows, size = item_idx_RS.shape
    flat = pa.array(item_idx_RS.astype(np.int32).ravel())
    # Petastorm reads lists of one length as a matrix; it does not know Arrow's own type for them.
    lists = pa.ListArray.from_arrays(pa.array(np.arange(0, (rows + 1) * size, size, dtype=np.int32)), flat)
    pq.write_table(pa.table({c.SEQUENCE: lists}), folder / file)
    return RowGroup(file=file, rows=rows)
