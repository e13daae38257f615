from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from recsys import columns as c
from recsys.config import load_config
from recsys.errors import ConfigError, InputError
from recsys.models.histories import newest, windows, without_last
from recsys.models.registry import model_spec
from recsys.models.sequences import NO_ITEM
from recsys.training import loop, sequences
from recsys.training.batches import SequenceBatch, ordered_sequences, shuffled_sequences
from recsys.training.sequence_files import write_sequence_files
from recsys.training.sequences import SequenceTask, split_last, target_ranks, train_on_sequences
from recsys.training.workers import OneWorker
from tests.last_worker import LastWorker
from tests.mortal_worker import KilledError, MortalWorker
from tests.planted_cycle import ITEMS, USERS, walks

GRU = {"dim": 8, "history": 8, "dropout": 0.1, "negatives": 6, "hidden": 8, "layers": 1}


def task_of(folder: Path, checkpoints: Path | None = None, **changes: Any) -> SequenceTask:
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "device": "cpu", "best_by": "validation_ndcg"}
    train_RS = windows(without_last(walks()), 9)
    return SequenceTask(
        spec=model_spec("gru", GRU),
        config=replace(load_config([]).train, **{**settings, **changes}),
        folder=str(folder),
        train=write_sequence_files(folder, c.TRAIN, train_RS, row_groups=3, seed=1),
        validation=write_sequence_files(folder, c.VALIDATION, newest(walks(), 9), row_groups=2, seed=1),
        items=ITEMS,
        targets=int((train_RS[:, 1:] != NO_ITEM).sum()),
        checkpoints=str(checkpoints) if checkpoints else None,
    )


def test_files_hold_every_row_once_in_row_groups_of_like_size(tmp_path: Path) -> None:
    rows = windows(walks(), 9)
    row_groups = write_sequence_files(tmp_path, c.TRAIN, rows, row_groups=3, seed=1)
    assert [group.rows for group in row_groups] == [8, 8, 8]
    assert pq.read_table(tmp_path / row_groups[0].file).column_names == [c.SEQUENCE]
    read = [batch.item_idx_BS for batch in ordered_sequences(str(tmp_path), row_groups, batch_size=5)]
    assert [len(part) for part in read] == [5, 3] * 3
    assert sorted(torch.cat(read).tolist()) == sorted(rows.tolist())


def test_no_rows_make_no_file_and_no_batch(tmp_path: Path) -> None:
    row_groups = write_sequence_files(tmp_path, c.TRAIN, np.zeros((0, 9), dtype=np.int64), row_groups=3, seed=1)
    assert row_groups == ()
    assert list(shuffled_sequences(str(tmp_path), [], batch_size=5, buffer_rows=9, seed=[1])) == []


def test_rows_come_shuffled_by_the_seed_each_once(tmp_path: Path) -> None:
    row_groups = write_sequence_files(tmp_path, c.TRAIN, windows(walks(), 9), row_groups=3, seed=1)

    def rows(seed: int) -> list[list[int]]:
        batches = list(shuffled_sequences(str(tmp_path), row_groups, batch_size=10, buffer_rows=12, seed=[seed]))
        assert [len(batch) for batch in batches] == [10, 10, 4]
        return [row for batch in batches for row in batch.item_idx_BS.tolist()]

    assert rows(1) == rows(1) != rows(2)
    assert sorted(rows(1)) == sorted(rows(2))


def test_the_last_item_is_parted_from_the_row() -> None:
    history_BL, target_B = split_last(torch.tensor([[3, 1, 4, 2], [5, 6, 0, 0]]))
    assert history_BL.tolist() == [[3, 1, 4], [5, 0, 0]]
    assert target_B.tolist() == [2, 6]


def test_a_target_is_ranked_among_items_that_are_not_in_the_history() -> None:
    score_BI = torch.tensor([[9.0, 5.0, 7.0, 5.0], [1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]])
    history_BL = torch.tensor([[1, 0], [0, 0], [4, 3], [2, 2]])
    # Item 1 is seen; of items 2 and 4 with equal scores the first stands first. The last row's target 2 is seen.
    assert target_ranks(score_BI.clone(), history_BL, torch.tensor([4, 3, 2, 2])).tolist() == [2, 2, 0, 4]
    assert target_ranks(score_BI.clone(), history_BL, torch.tensor([2, 1, 1, 3])).tolist() == [1, 0, 1, 1]


class FixedScores(torch.nn.Module):
    def scores(self, item_idx_BL: Tensor) -> Tensor:
        return torch.arange(20.0, 0.0, -1.0).repeat(len(item_idx_BL), 1)


def test_validation_is_the_mean_over_all_rows_of_all_workers(tmp_path: Path) -> None:
    rows = np.array([[20, 1, 0], [1, 3, 0], [1, 2, 4], [20, 11, 0]])  # ranks 0, 1, 1 and 10
    task = replace(
        task_of(tmp_path / "walks"),
        folder=str(tmp_path),
        validation=write_sequence_files(tmp_path, c.VALIDATION, rows, row_groups=2, seed=1),
    )
    figures = sequences.validate(task, fit_of(FixedScores(), OneWorker()))
    assert figures["validation_hit_rate"] == 0.75
    assert figures["validation_ndcg"] == pytest.approx((1 + 2 / np.log2(3)) / 4)


def fit_of(model: Any, workers: OneWorker, task: SequenceTask | None = None) -> loop.Fit:
    config = load_config([]).train
    return loop.Fit(
        model=model,
        optimizer=torch.optim.SGD([*model.parameters(), torch.nn.Parameter(torch.zeros(1))]),
        config=config,
        workers=workers,
        device=torch.device("cpu"),
        loss_sum=loop.log_loss_of_rows if task is None else sequences.loss_sum_of(task),
    )


def test_the_loss_falls_and_is_a_mean_over_targets(tmp_path: Path) -> None:
    curve = train_on_sequences(task_of(tmp_path, epochs=15), OneWorker()).curve
    assert curve[0].train_loss == pytest.approx(np.log(ITEMS), abs=0.3)
    assert curve[-1].train_loss < 0.7 * curve[0].train_loss
    assert curve[-1].validation["validation_ndcg"] > curve[0].validation["validation_ndcg"]


def test_without_validation_rows_the_last_epoch_is_kept(tmp_path: Path) -> None:
    trained = train_on_sequences(replace(task_of(tmp_path, epochs=3), validation=()), OneWorker())
    assert trained.best_epoch == 3


def test_killed_and_started_again_equals_the_unbroken_run(tmp_path: Path) -> None:
    unbroken = train_on_sequences(task_of(tmp_path / "whole"), OneWorker())
    for dies_at in (2, 5, 8, 10):
        folder = tmp_path / str(dies_at)
        task = task_of(folder, checkpoints=folder / "checkpoints", checkpoint_steps=1)
        with pytest.raises(KilledError):
            train_on_sequences(task, MortalWorker(dies_at))
        again = train_on_sequences(task, OneWorker())
        assert again.state == unbroken.state, dies_at
        assert [e.train_loss for e in again.curve] == [e.train_loss for e in unbroken.curve], dies_at


def test_gradients_of_uneven_shares_add_up_to_the_gradient_of_all_rows(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    torch.manual_seed(1)
    network = task.spec.build(ITEMS).eval()
    (whole,) = shuffled_sequences(str(tmp_path), task.train, batch_size=USERS, buffer_rows=USERS, seed=[1])

    def gradients(part: slice, workers: OneWorker) -> list[Tensor]:
        loss = torch.zeros(())
        batch = SequenceBatch(item_idx_BS=whole.item_idx_BS[part])
        loop._compute_gradient(fit_of(network, workers, task), [batch] if len(batch) else [], USERS, loss, 5)
        return [*(p.grad.clone() for p in network.parameters() if p.grad is not None), loss]

    expected = gradients(slice(None), OneWorker())
    last = LastWorker()
    for part in (slice(0, 17), slice(17, None), slice(0, 0)):
        summed = gradients(part, last)
    for actual, gradient in zip(summed, expected, strict=True):
        assert torch.allclose(actual, gradient, rtol=0, atol=1e-6)
    assert float(expected[-1]) > 0.1


def test_rows_without_a_next_item_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the 3 train files hold no row of two items"):
        train_on_sequences(replace(task_of(tmp_path), targets=0), OneWorker())


def test_a_figure_that_sequences_do_not_have_is_refused(tmp_path: Path) -> None:
    message = r"train.best_by is validation_auc, .*Cure: one of \['validation_hit_rate', 'validation_ndcg'\]"
    with pytest.raises(ConfigError, match=message):
        train_on_sequences(task_of(tmp_path, best_by="validation_auc"), OneWorker())
