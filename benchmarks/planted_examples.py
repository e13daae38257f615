"""Made-up example files of the real shape, from a seed: for benchmarks that need rows and no lake."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys import columns as c
from recsys.catalog import ID_INPUTS, NUMERIC_INPUTS
from recsys.manifest import Inputs, Manifest, NumericInput, RowGroup, SplitFiles, Vocabulary

VOCABULARY = {c.USER_IDX: 100_000, c.ITEM_IDX: 50_000, c.CATEGORY_IDX: 500}
_SHARE_POSITIVE = 0.1


def planted_inputs() -> Inputs:
    ids = tuple(Vocabulary(name=i.name, size=VOCABULARY[i.name]) for i in ID_INPUTS)
    numeric = tuple(NumericInput(name=f.name, transform=f.transform, mean=1.0, std=1.0) for f in NUMERIC_INPUTS)
    return Inputs(ids=ids, numeric=numeric)


def planted_columns(rows: int, seed: int) -> dict[str, "NDArray[Any]"]:
    """All model inputs and the label."""
    generator = np.random.default_rng(seed)
    ids = {name: generator.integers(0, size, rows).astype(np.int32) for name, size in VOCABULARY.items()}
    numeric = {f.name: generator.gamma(1.0, 3.0, rows).astype(np.float32) for f in NUMERIC_INPUTS}
    label = (generator.random(rows) < _SHARE_POSITIVE).astype(np.float32)
    return {**ids, **numeric, c.LABEL: label}


def write_planted_examples(folder: Path, *, rows: int, row_groups: int, seed: int) -> Manifest:
    """The train split only, one file a row group."""
    (folder / c.TRAIN).mkdir(parents=True)
    groups: list[RowGroup] = []
    positives = 0
    for number in range(row_groups):
        columns = planted_columns(rows // row_groups, seed + number)
        positives += int(columns[c.LABEL].sum())
        file = f"{c.TRAIN}/{number:05d}.parquet"
        pq.write_table(pa.table(columns), folder / file, row_group_size=rows)
        groups.append(RowGroup(file=file, rows=rows // row_groups))
    return Manifest(
        run_date="2024-05-08",
        inputs=planted_inputs(),
        train=SplitFiles(row_groups=tuple(groups), positives=positives),
        validation=SplitFiles(row_groups=(), positives=0),
        versions={},
    )
