"""One pass over a worker's row groups as shuffled batches; the only module that knows Petastorm.

Shapes: B batch, I id inputs, F numeric inputs.
"""

import itertools
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from petastorm import make_batch_reader
from torch import Tensor

from recsys import columns as c
from recsys.catalog import ID_INPUTS, NUMERIC_INPUTS
from recsys.errors import InputError
from recsys.manifest import RowGroup

_ID_NAMES = tuple(i.name for i in ID_INPUTS)
_NUMERIC_NAMES = tuple(f.name for f in NUMERIC_INPUTS)
_PAIR_COLUMNS = (c.USER_IDX, c.ITEM_IDX)
# Row groups that wait decoded while the network works; Petastorm's own default of 50 costs memory.
_QUEUE_ROW_GROUPS = 2
END_IS_BELIEVED_AFTER_S = 10.0

Columns = dict[str, NDArray[Any]]
ColumnNames = tuple[Sequence[str], Sequence[str]]  # ids and numbers, see Inputs.columns


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Columns in the order of Inputs.columns."""

    ids_BI: Tensor
    numeric_BF: Tensor
    label_B: Tensor

    def __len__(self) -> int:
        return len(self.label_B)

    def to(self, device: torch.device) -> "Batch":
        """Copies to a GPU overlap with its work; on the CPU nothing is copied."""
        if device.type == "cpu":
            return self
        ids_BI, numeric_BF, label_B = (
            tensor.pin_memory().to(device, non_blocking=True) for tensor in (self.ids_BI, self.numeric_BF, self.label_B)
        )
        return Batch(ids_BI=ids_BI, numeric_BF=numeric_BF, label_B=label_B)


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """Who took what."""

    user_idx_B: Tensor
    item_idx_B: Tensor

    def __len__(self) -> int:
        return len(self.user_idx_B)

    def to(self, device: torch.device) -> "PairBatch":
        if device.type == "cpu":
            return self
        user_idx_B, item_idx_B = (
            tensor.pin_memory().to(device, non_blocking=True) for tensor in (self.user_idx_B, self.item_idx_B)
        )
        return PairBatch(user_idx_B=user_idx_B, item_idx_B=item_idx_B)


@dataclass(frozen=True, kw_only=True)
class SequenceBatch:
    """What users took, oldest first, filled up at the end: see recsys/models/sequences.py. S: length of a row."""

    item_idx_BS: Tensor

    def __len__(self) -> int:
        return len(self.item_idx_BS)

    def to(self, device: torch.device) -> "SequenceBatch":
        if device.type == "cpu":
            return self
        return SequenceBatch(item_idx_BS=self.item_idx_BS.pin_memory().to(device, non_blocking=True))


@dataclass(frozen=True, kw_only=True)
class ItemBatch:
    """Items with their words, text vectors and how many train rows they have.

    W: words of an item; T: numbers of its vector, 0 where the files hold none.
    """

    item_idx_B: Tensor
    words_BW: Tensor
    text_BT: Tensor
    rows_B: Tensor

    def __len__(self) -> int:
        return len(self.item_idx_B)


@dataclass(frozen=True, kw_only=True)
class NodeBatch:
    """Users or items with their numbers and category, -1 for none. F: numbers."""

    idx_B: Tensor
    number_BF: Tensor
    category_B: Tensor

    def __len__(self) -> int:
        return len(self.idx_B)


@dataclass(frozen=True, kw_only=True)
class WeightedPairs:
    """Who took what, each pair with a number of its own."""

    user_idx_P: Tensor
    item_idx_P: Tensor
    weight_P: Tensor

    def __len__(self) -> int:
        return len(self.weight_P)


Rows = TypeVar("Rows", Batch, PairBatch, SequenceBatch, ItemBatch, NodeBatch, WeightedPairs)


def shuffled_batches(
    folder: str,
    row_groups: Sequence[RowGroup],
    *,
    batch_size: int,
    buffer_rows: int,
    seed: Sequence[int],
    columns: ColumnNames = (_ID_NAMES, _NUMERIC_NAMES),
) -> Generator[Batch, None, None]:
    """Every row once, all batches full but the last, in an order that follows from the arguments alone.

    `columns`: the ids and the numbers to read. Memory: `buffer_rows`, one batch and a few row groups.
    """
    with closing(_examples(folder, row_groups, columns)) as reads:
        yield from _mixed(reads, batch_size, buffer_rows, seed)


def shuffled_pairs(
    folder: str, row_groups: Sequence[RowGroup], *, batch_size: int, buffer_rows: int, seed: Sequence[int]
) -> Generator[PairBatch, None, None]:
    """As shuffled_batches, of files that hold user_idx and item_idx alone; users are shuffled, each with its pairs.

    So most users of a batch come with several pairs, and what a loss makes of a user it makes once for all of them.
    """
    with closing(_row_groups(folder, row_groups, _PAIR_COLUMNS, _paired)) as reads:
        yield from _mixed(reads, batch_size, buffer_rows, seed, order_of=_users_together)


def all_pairs(folder: str, row_groups: Sequence[RowGroup]) -> PairBatch:
    """Every row, in the files' order."""
    none = torch.empty(0, dtype=torch.int64)
    with closing(_row_groups(folder, row_groups, _PAIR_COLUMNS, _paired)) as reads:
        return _joined([PairBatch(user_idx_B=none, item_idx_B=none), *reads])


def all_weighted_pairs(folder: str, row_groups: Sequence[RowGroup], weight: str) -> WeightedPairs:
    """Every row, in the files' order; at least one. `weight`: the column with the pair's number."""
    with closing(_row_groups(folder, row_groups, (*_PAIR_COLUMNS, weight), partial(_weighted, weight))) as reads:
        return _joined(list(reads))


def all_items(folder: str, row_groups: Sequence[RowGroup], *, with_text: bool) -> ItemBatch:
    """Every row, in the files' order; at least one."""
    names = (c.ITEM_IDX, c.ITEM_WORDS, c.ROWS, *([c.ITEM_VECTOR] if with_text else []))
    with closing(_row_groups(folder, row_groups, names, _items)) as reads:
        return _joined(list(reads))


def all_nodes(folder: str, row_groups: Sequence[RowGroup]) -> NodeBatch:
    """Every row, in the files' order; at least one."""
    with closing(_row_groups(folder, row_groups, (c.IDX, c.NODE_NUMBERS, c.CATEGORY_IDX), _nodes)) as reads:
        return _joined(list(reads))


def shuffled_sequences(
    folder: str, row_groups: Sequence[RowGroup], *, batch_size: int, buffer_rows: int, seed: Sequence[int]
) -> Generator[SequenceBatch, None, None]:
    """As shuffled_batches, of files that hold sequences alone, all of one length."""
    with closing(_row_groups(folder, row_groups, (c.SEQUENCE,), _sequences)) as reads:
        yield from _mixed(reads, batch_size, buffer_rows, seed)


def ordered_sequences(
    folder: str, row_groups: Sequence[RowGroup], *, batch_size: int
) -> Generator[SequenceBatch, None, None]:
    """As ordered_batches."""
    with closing(_row_groups(folder, row_groups, (c.SEQUENCE,), _sequences)) as reads:
        for read in reads:
            yield from _cut(read, 0, len(read), batch_size)


def files_of_batch(
    row_groups: Sequence[RowGroup], number: int, *, batch_size: int, buffer_rows: int, seed: Sequence[int]
) -> list[str]:
    """Whose rows are in that batch of shuffled_batches; found by mixing numbers of row groups in place of rows."""
    reads = (_marked(group, marker) for marker, group in enumerate(row_groups))
    batch = next(itertools.islice(_mixed(reads, batch_size, buffer_rows, seed), number, None))
    return [row_groups[marker].file for marker in np.unique(batch.ids_BI.numpy())]


def files_of_pairs(
    folder: str, row_groups: Sequence[RowGroup], number: int, *, batch_size: int, buffer_rows: int, seed: Sequence[int]
) -> list[str]:
    """The same of shuffled_pairs; the users are read, since the order follows from them."""
    reads = (_marked_pairs(folder, group, marker) for marker, group in enumerate(row_groups))
    mixed = _mixed(reads, batch_size, buffer_rows, seed, order_of=_users_together)
    batch = next(itertools.islice(mixed, number, None))
    return [row_groups[marker].file for marker in np.unique(batch.item_idx_B.numpy())]


def _marked_pairs(folder: str, group: RowGroup, marker: int) -> PairBatch:
    user_idx_B = all_pairs(folder, [group]).user_idx_B
    return PairBatch(user_idx_B=user_idx_B, item_idx_B=torch.full_like(user_idx_B, marker))


def _marked(group: RowGroup, marker: int) -> Batch:
    label_B = torch.zeros(group.rows)
    return Batch(ids_BI=torch.full((group.rows, 1), marker), numeric_BF=label_B[:, None], label_B=label_B)


def _any_order(rows: Rows, generator: np.random.Generator) -> NDArray[np.int64]:
    return generator.permutation(len(rows))


def _users_together(pairs: PairBatch, generator: np.random.Generator) -> NDArray[np.int64]:
    """Users in random order, the pairs of each side by side in a random one."""
    in_any_order = generator.permutation(len(pairs))
    users, user_B = np.unique(pairs.user_idx_B.numpy()[in_any_order], return_inverse=True)
    place_B = generator.permutation(len(users))[user_B]
    return in_any_order[np.argsort(place_B, kind="stable")]


def _mixed(
    reads: Iterable[Rows],
    batch_size: int,
    buffer_rows: int,
    seed: Sequence[int],
    order_of: Callable[[Rows, np.random.Generator], NDArray[np.int64]] = _any_order,
) -> Iterator[Rows]:
    generator = np.random.default_rng(list(seed))
    waiting: list[Rows] = []
    for read in reads:
        waiting.append(read)
        if sum(map(len, waiting)) >= max(buffer_rows, batch_size):
            mixed = _shuffled(waiting, order_of, generator)
            full = len(mixed) // batch_size * batch_size
            yield from _cut(mixed, 0, full, batch_size)
            waiting = [_rows(mixed, slice(full, None))]
    if waiting:
        mixed = _shuffled(waiting, order_of, generator)
        yield from _cut(mixed, 0, len(mixed), batch_size)


def ordered_batches(
    folder: str,
    row_groups: Sequence[RowGroup],
    *,
    batch_size: int,
    columns: ColumnNames = (_ID_NAMES, _NUMERIC_NAMES),
) -> Generator[Batch, None, None]:
    """Every row once, in the files' order; a row group's last batch may be short."""
    with closing(_examples(folder, row_groups, columns)) as reads:
        for read in reads:
            yield from _cut(read, 0, len(read), batch_size)


def _examples(folder: str, row_groups: Sequence[RowGroup], columns: ColumnNames) -> Generator[Batch, None, None]:
    ids, numeric = columns
    return _row_groups(folder, row_groups, (*ids, *numeric, c.LABEL), partial(_stacked, columns))


def file_urls(folder: str, row_groups: Sequence[RowGroup]) -> list[str]:
    root = folder if "://" in folder else f"file://{folder.removeprefix('file:')}"
    return [f"{root}/{group.file}" for group in row_groups]


def _row_groups(
    folder: str, row_groups: Sequence[RowGroup], names: Sequence[str], made: Callable[[Columns], Rows]
) -> Generator[Rows, None, None]:
    """In the given order: one reading thread, nothing shuffled by Petastorm, one pass."""
    if not row_groups:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Petastorm calls Parquet interfaces that pyarrow 14 deprecates
        reader = make_batch_reader(
            file_urls(folder, row_groups),
            schema_fields=[f"^{name}$" for name in names],
            reader_pool_type="thread",
            workers_count=1,
            results_queue_size=_QUEUE_ROW_GROUPS,
            shuffle_row_groups=False,
            num_epochs=1,
        )
    # Not as a context manager: that prints a line a pass.
    try:
        yield from _planned_rows(map(made, _columns(reader)), sum(group.rows for group in row_groups), folder)
    finally:
        reader.stop()
        reader.join()


def _planned_rows(reads: Iterator[Rows], planned: int, folder: str) -> Iterator[Rows]:
    """As many rows as the manifest promises. Raises InputError where the files hold fewer or more."""
    rows = 0
    while rows < planned and (read := next(reads, None)) is not None:
        rows += len(read)
        yield read
    if rows != planned:
        raise InputError(
            f"the example files in {folder} gave {rows} rows where the manifest plans {planned}. Cure: run "
            "build_examples again"
        )


def _columns(reader: Iterator[Any]) -> Iterator[Columns]:
    while (columns := _next_columns(reader)) is not None:
        yield columns._asdict()


def _next_columns(reader: Iterator[Any]) -> Any | None:
    """None at the end.

    Petastorm's pool looks first whether all it handed out is done, then whether all is handed out: where the last row
    group is handed out between the two, it says "end" too early, and on a busy machine that happens. Asked again, it
    goes on.
    """
    deadline = time.monotonic() + END_IS_BELIEVED_AFTER_S
    while True:
        try:
            return next(reader)
        except StopIteration:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.01)


def _paired(columns: Columns) -> PairBatch:
    user_idx, item_idx = (torch.from_numpy(columns[name].astype(np.int64)) for name in _PAIR_COLUMNS)
    return PairBatch(user_idx_B=user_idx, item_idx_B=item_idx)


def _weighted(weight: str, columns: Columns) -> WeightedPairs:
    pairs, weight_P = _paired(columns), torch.from_numpy(columns[weight].astype(np.float32))
    return WeightedPairs(user_idx_P=pairs.user_idx_B, item_idx_P=pairs.item_idx_B, weight_P=weight_P)


def _items(columns: Columns) -> ItemBatch:
    item_idx, words, rows = (
        torch.from_numpy(columns[name].astype(kind))
        for name, kind in ((c.ITEM_IDX, np.int64), (c.ITEM_WORDS, np.int32), (c.ROWS, np.float32))
    )
    text = torch.from_numpy(columns.get(c.ITEM_VECTOR, np.empty((len(rows), 0))).astype(np.float32))
    return ItemBatch(item_idx_B=item_idx, words_BW=words, text_BT=text, rows_B=rows)


def _nodes(columns: Columns) -> NodeBatch:
    idx, numbers, category = (
        torch.from_numpy(columns[name].astype(kind))
        for name, kind in ((c.IDX, np.int64), (c.NODE_NUMBERS, np.float32), (c.CATEGORY_IDX, np.int64))
    )
    return NodeBatch(idx_B=idx, number_BF=numbers, category_B=category)


def _sequences(columns: Columns) -> SequenceBatch:
    return SequenceBatch(item_idx_BS=torch.from_numpy(columns[c.SEQUENCE].astype(np.int64)))


def _stacked(names: ColumnNames, columns: Columns) -> Batch:
    ids, numeric = (np.column_stack([columns[name] for name in of_kind]) for of_kind in names)
    label = columns[c.LABEL].astype(np.float32)
    return Batch(
        ids_BI=torch.from_numpy(ids.astype(np.int64)),
        numeric_BF=torch.from_numpy(numeric.astype(np.float32)),
        label_B=torch.from_numpy(label),
    )


def _shuffled(
    parts: Sequence[Rows],
    order_of: Callable[[Rows, np.random.Generator], NDArray[np.int64]],
    generator: np.random.Generator,
) -> Rows:
    whole = _joined(parts)
    return _rows(whole, torch.from_numpy(order_of(whole, generator)))


def _joined(parts: Sequence[Rows]) -> Rows:
    kind = type(parts[0])
    return kind(**{field.name: torch.cat([getattr(part, field.name) for part in parts]) for field in fields(kind)})


def _rows(batch: Rows, which: slice | Tensor) -> Rows:
    kind = type(batch)
    return kind(**{field.name: getattr(batch, field.name)[which] for field in fields(kind)})


def _cut(batch: Rows, start: int, stop: int, batch_size: int) -> Iterator[Rows]:
    for first in range(start, stop, batch_size):
        yield _rows(batch, slice(first, min(first + batch_size, stop)))
