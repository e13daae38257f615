"""Small sets of example files, written without Spark: planted tastes and random rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import columns as c
from recsys.catalog import ID_INPUTS, MODEL_INPUTS, NEIGHBOUR_INPUTS, NUMERIC_INPUTS
from recsys.manifest import Inputs, Manifest, NumericInput, RowGroup, SplitFiles, Vocabulary


def inputs_of(users: int, items: int, categories: int, neighbours: int = 0) -> Inputs:
    sizes = {c.USER_IDX: users, c.ITEM_IDX: items, c.CATEGORY_IDX: categories}
    return Inputs(
        ids=tuple(Vocabulary(name=i.name, size=sizes[i.name]) for i in ID_INPUTS),
        numeric=tuple(NumericInput(name=f.name, transform=f.transform, mean=0.0, std=1.0) for f in NUMERIC_INPUTS),
        neighbours=neighbours,
    )


def neighbour_lists(items_BK: Sequence[Sequence[int]], users_BK: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """Of rows whose users have these items and whose items these users, each of weight 1; -1: none."""
    item_idx, user_idx = np.array(items_BK, dtype=np.int32), np.array(users_BK, dtype=np.int32)
    lists = (item_idx, np.minimum(item_idx, 0), user_idx, 1.0 * (item_idx >= 0), 1.0 * (user_idx >= 0))
    return dict(zip(NEIGHBOUR_INPUTS, lists, strict=True))


def columns_of(rows: int, given: Mapping[str, Sequence[float]] | None = None) -> dict[str, np.ndarray]:
    """Every model input: as given, else 0."""
    known = given or {}
    kinds = {i.name: np.int32 for i in ID_INPUTS}
    return {
        i.name: np.asarray(known.get(i.name, np.zeros(rows)), dtype=kinds.get(i.name, np.float32)) for i in MODEL_INPUTS
    }


def random_columns(rows: int, seed: int = 0, users: int = 50, items: int = 40) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    numeric = {f.name: generator.exponential(3.0, rows) for f in NUMERIC_INPUTS}
    ids = {
        c.USER_IDX: generator.integers(0, users, rows),
        c.ITEM_IDX: generator.integers(0, items, rows),
        c.CATEGORY_IDX: generator.integers(0, 3, rows),
    }
    return columns_of(rows, {**numeric, **ids})


def write_split(
    folder: Path, split: str, columns: Mapping[str, np.ndarray], label: np.ndarray, sizes: Sequence[int]
) -> SplitFiles:
    """Row groups of the given sizes, one a file, in the rows' order."""
    (folder / split).mkdir(parents=True)
    lists = {name: pa.array(list(column)) for name, column in columns.items() if column.ndim == 2}
    table = pa.table({**columns, **lists, c.LABEL: label.astype(np.float32)})
    groups, start = [], 0
    for number, rows in enumerate(sizes):
        file = f"{split}/{number:05d}.parquet"
        pq.write_table(table.slice(start, rows), folder / file)
        groups.append(RowGroup(file=file, rows=rows))
        start += rows
    return SplitFiles(row_groups=tuple(groups), positives=int(label.sum()))


def write_random_set(
    folder: Path, train_sizes: Sequence[int], validation_sizes: Sequence[int] = (), seed: int = 0
) -> Manifest:
    """Labels follow the first numeric input, so that there is something to learn. user_idx numbers the train rows."""
    splits = {}
    for number, (split, sizes) in enumerate({c.TRAIN: train_sizes, c.VALIDATION: validation_sizes}.items()):
        rows = sum(sizes)
        columns = random_columns(rows, seed + number)
        columns[c.USER_IDX] = np.arange(rows, dtype=np.int32)
        splits[split] = write_split(folder, split, columns, columns[NUMERIC_INPUTS[0].name] > 3.0, sizes)
    users = max(sum(train_sizes), sum(validation_sizes))
    return Manifest(run_date="2017-12-18", inputs=inputs_of(users, 40, 3), versions={"examples.pairs": 0}, **splits)
