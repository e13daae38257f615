from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys import columns as c
from recsys.catalog import ID_INPUTS, NEIGHBOUR_INPUTS, NUMERIC_INPUTS
from recsys.errors import InputError
from recsys.manifest import Manifest, RowGroup
from recsys.training import batches as batches_module
from recsys.training.batches import Batch, file_urls, files_of_batch, ordered_batches, shuffled_batches
from tests.example_sets import columns_of, inputs_of, neighbour_lists, write_random_set, write_split

IDS = tuple(i.name for i in ID_INPUTS)


@pytest.fixture
def random_set(tmp_path: Path) -> Manifest:
    return write_random_set(tmp_path, train_sizes=[30, 5, 41])


def users_of(batches: list[Batch]) -> list[int]:
    """In write_random_set a row's user_idx is its number."""
    return [int(user) for batch in batches for user in batch.ids_BI[:, 0]]


def shuffled(folder: Path, manifest: Manifest, *, buffer_rows: int = 40, seed: int = 1) -> list[Batch]:
    groups = manifest.train.row_groups
    return list(shuffled_batches(str(folder), groups, batch_size=8, buffer_rows=buffer_rows, seed=[seed]))


@pytest.mark.parametrize("buffer_rows", [1, 40, 1000])
def test_shuffled_batches_hold_every_row_once_and_only_the_last_is_short(
    tmp_path: Path, random_set: Manifest, buffer_rows: int
) -> None:
    batches = shuffled(tmp_path, random_set, buffer_rows=buffer_rows)
    assert sorted(users_of(batches)) == list(range(76))
    assert [len(batch) for batch in batches] == [8] * 9 + [4]


@pytest.mark.parametrize("buffer_rows", [1, 40, 1000])
def test_files_of_a_batch_are_those_of_its_rows(tmp_path: Path, random_set: Manifest, buffer_rows: int) -> None:
    groups = random_set.train.row_groups
    file_of = [group.file for group in groups for _ in range(group.rows)]
    for number, batch in enumerate(shuffled(tmp_path, random_set, buffer_rows=buffer_rows)):
        expected = sorted({file_of[user] for user in users_of([batch])})
        assert files_of_batch(groups, number, batch_size=8, buffer_rows=buffer_rows, seed=[1]) == expected


def test_the_order_follows_from_the_seed(tmp_path: Path, random_set: Manifest) -> None:
    first, again, other = (users_of(shuffled(tmp_path, random_set, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != sorted(first)


def test_ordered_batches_keep_the_order_of_the_given_row_groups(tmp_path: Path, random_set: Manifest) -> None:
    third, first = random_set.train.row_groups[2], random_set.train.row_groups[0]
    batches = list(ordered_batches(str(tmp_path), [third, first], batch_size=25))
    assert users_of(batches) == [*range(35, 76), *range(30)]
    assert [len(batch) for batch in batches] == [25, 16, 25, 5]


def test_columns_come_in_catalogue_order(tmp_path: Path) -> None:
    numeric = {feature.name: [float(position)] for position, feature in enumerate(NUMERIC_INPUTS)}
    columns = columns_of(1, {**numeric, c.USER_IDX: [100], c.ITEM_IDX: [101], c.CATEGORY_IDX: [-1]})
    split = write_split(tmp_path, c.TRAIN, columns, np.array([1.0]), [1])
    (batch,) = ordered_batches(str(tmp_path), split.row_groups, batch_size=8)
    assert batch.ids_BI.tolist() == [[100, 101, -1]]
    assert batch.numeric_BF.tolist() == [[float(position) for position in range(len(NUMERIC_INPUTS))]]
    assert batch.label_B.tolist() == [1.0]
    assert batch.ids_BI.dtype == torch.int64
    assert batch.numeric_BF.dtype == torch.float32


def test_only_the_inputs_that_are_asked_for_are_read_in_their_order(tmp_path: Path) -> None:
    columns = columns_of(1, {c.USER_HEAT_28D: [3.0], c.ITEM_VIEWS_7D: [5.0]})
    split = write_split(tmp_path, c.TRAIN, columns, np.array([1.0]), [1])
    names = (c.ITEM_VIEWS_7D, c.USER_HEAT_28D)
    (ordered,) = ordered_batches(str(tmp_path), split.row_groups, batch_size=8, columns=(IDS, names))
    (mixed,) = shuffled_batches(
        str(tmp_path), split.row_groups, batch_size=8, buffer_rows=8, seed=[1], columns=(IDS, names)
    )
    assert ordered.numeric_BF.tolist() == mixed.numeric_BF.tolist() == [[5.0, 3.0]]


def test_lists_of_neighbours_stand_behind_the_ids_and_the_numbers(tmp_path: Path) -> None:
    columns = columns_of(2, {c.USER_IDX: [4, 5]}) | neighbour_lists([[1, 2], [3, -1]], [[7, 8], [-1, -1]])
    split = write_split(tmp_path, c.TRAIN, columns, np.array([1.0, 0.0]), [2])
    names = inputs_of(9, 9, 1, neighbours=2).columns
    (batch,) = ordered_batches(str(tmp_path), split.row_groups, batch_size=8, columns=names)
    assert batch.ids_BI.tolist() == [[4, 0, 0, 1, 2, 0, 0, 7, 8], [5, 0, 0, 3, -1, 0, -1, -1, -1]]
    assert batch.numeric_BF[:, -4:].tolist() == [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    assert set(names[0] + names[1]) >= set(NEIGHBOUR_INPUTS)


def test_no_row_groups_make_no_batches() -> None:
    assert list(shuffled_batches("/nowhere", [], batch_size=8, buffer_rows=8, seed=[1])) == []


def test_breaking_off_early_stops_the_reader(tmp_path: Path, random_set: Manifest) -> None:
    batches = shuffled_batches(str(tmp_path), random_set.train.row_groups, batch_size=8, buffer_rows=8, seed=[1])
    next(batches)
    batches.close()
    assert list(batches) == []


@pytest.mark.parametrize("planned", [31, 29])
def test_files_that_do_not_hold_the_planned_rows_are_refused(
    tmp_path: Path, random_set: Manifest, planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "END_IS_BELIEVED_AFTER_S", 0.0)
    group = replace(random_set.train.row_groups[0], rows=planned)
    with pytest.raises(InputError, match=rf"gave 30 rows where the manifest plans {planned}. Cure: run build_examples"):
        list(ordered_batches(str(tmp_path), [group], batch_size=8))


class EndsTooEarly:
    """Says "end" once before each row group, as Petastorm's pool may where its threads get no time."""

    def __init__(self, reader: Any) -> None:
        self.reader, self.calls = reader, 0

    def __next__(self) -> Any:
        self.calls += 1
        if self.calls % 2 == 1:
            raise StopIteration
        return next(self.reader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)


def test_a_reader_that_says_end_too_early_loses_no_row(
    tmp_path: Path, random_set: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches_module.make_batch_reader
    monkeypatch.setattr(batches_module, "make_batch_reader", lambda *a, **k: EndsTooEarly(real(*a, **k)))
    batches = list(ordered_batches(str(tmp_path), random_set.train.row_groups, batch_size=100))
    assert users_of(batches) == list(range(76))


@pytest.mark.parametrize(
    ("folder", "url"),
    [
        ("/lake/files", "file:///lake/files/train/00000.parquet"),
        ("file:/lake/files", "file:///lake/files/train/00000.parquet"),
        ("file:///lake/files", "file:///lake/files/train/00000.parquet"),
        ("s3a://shop/lake", "s3a://shop/lake/train/00000.parquet"),
    ],
)
def test_files_are_named_as_urls_on_any_filesystem(folder: str, url: str) -> None:
    assert file_urls(folder, [RowGroup(file="train/00000.parquet", rows=1)]) == [url]
