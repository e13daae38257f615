"""Example files of histories in rows of one length, written without Spark."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

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
    pq.write_table(pa.table({c.SEQUENCE: lists_of_one_length(item_idx_RS.astype(np.int32))}), folder / file)
    return RowGroup(file=file, rows=len(item_idx_RS))


def lists_of_one_length(values_RS: NDArray[Any]) -> pa.ListArray:
    """Petastorm reads them as a matrix; it does not know Arrow's own type for lists of one length."""
    rows, size = values_RS.shape
    starts = pa.array(np.arange(0, (rows + 1) * size, size, dtype=np.int32))
    return pa.ListArray.from_arrays(starts, pa.array(values_RS.ravel()))
