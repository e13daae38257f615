import logging
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
from recsys.errors import ConfigError, InputError, SchemaError
from recsys.models.interactions import known_of
from recsys.models.popular import Popular
from recsys.models.registry import model_spec
from recsys.training import interactions, loop
from recsys.training.batches import PairBatch, all_pairs, files_of_pairs, shuffled_pairs
from recsys.training.interactions import PairTask, PairTrained, train_on_pairs, train_pairs_on_spark
from recsys.training.pair_files import write_pair_files
from recsys.training.recommenders import DESCRIPTION, load_recommender, save_recommender
from recsys.training.workers import OneWorker
from tests.last_worker import LastWorker
from tests.mortal_worker import KilledError, MortalWorker
from tests.planted_tastes import ITEMS, USERS, held_out, taken_matrix, taken_pairs

NOBODY = np.empty(0, dtype=np.int64)
HELD_OUT_P = (np.arange(USERS), np.array([held_out(user) for user in range(USERS)]))
LOSS = {"name": "bpr", "is_cosine": False, "temperature": 1.0, "margin": 0.0, "negative_weight": 1.0}
MF = {"dim": 2, "initial": "random", "negatives": 6, "l2": 0.01, "loss": LOSS}


def task_of(
    folder: Path, *, held_out_P: Any = (NOBODY, NOBODY), checkpoints: Path | None = None, **changes: Any
) -> PairTask:
    settings = {"epochs": 2, "batch_size": 64, "learning_rate": 0.05, "device": "cpu", "best_by": "validation_ndcg"}
    return PairTask(
        spec=model_spec("mf", MF),
        config=replace(load_config([]).train, **{**settings, **changes}),
        folder=str(folder),
        row_groups=write_pair_files(folder, *taken_pairs(), row_groups=3, seed=1),
        users=USERS,
        items=ITEMS,
        held_out=write_pair_files(folder, *held_out_P, row_groups=1, seed=1, split=c.VALIDATION),
        checkpoints=str(checkpoints) if checkpoints else None,
    )


def trained(folder: Path, **changes: Any) -> PairTrained:
    return train_on_pairs(task_of(folder, **changes), OneWorker())


def test_files_hold_every_pair_once_in_row_groups_of_like_size(tmp_path: Path) -> None:
    row_groups = write_pair_files(tmp_path, *taken_pairs(), row_groups=3, seed=1)
    assert [group.rows for group in row_groups] == [60, 60, 60]
    read = all_pairs(str(tmp_path), row_groups)
    found = sorted(zip(read.user_idx_B.tolist(), read.item_idx_B.tolist(), strict=True))
    assert found == sorted(zip(*(indexes.tolist() for indexes in taken_pairs()), strict=True))
    assert pq.read_table(tmp_path / row_groups[0].file).column_names == [c.USER_IDX, c.ITEM_IDX]


def test_fewer_pairs_than_row_groups_leave_no_empty_file(tmp_path: Path) -> None:
    row_groups = write_pair_files(tmp_path, np.array([0, 1]), np.array([1, 0]), row_groups=5, seed=1)
    assert [group.rows for group in row_groups] == [1, 1]


def test_pairs_come_shuffled_by_the_seed_each_once(tmp_path: Path) -> None:
    row_groups = write_pair_files(tmp_path, *taken_pairs(), row_groups=3, seed=1)

    def pairs(seed: int) -> list[tuple[int, int]]:
        batches = list(shuffled_pairs(str(tmp_path), row_groups, batch_size=50, buffer_rows=90, seed=[seed]))
        assert [len(batch) for batch in batches] == [50, 50, 50, 30]
        return [(int(u), int(i)) for b in batches for u, i in zip(b.user_idx_B, b.item_idx_B, strict=True)]

    assert pairs(1) == pairs(1) != pairs(2)
    assert sorted(pairs(1)) == sorted(pairs(2))
    assert len(set(pairs(1))) == 180


def test_the_pairs_of_a_user_come_side_by_side(tmp_path: Path) -> None:
    row_groups = write_pair_files(tmp_path, *taken_pairs(), row_groups=2, seed=1)
    (batch,) = shuffled_pairs(str(tmp_path), row_groups, batch_size=180, buffer_rows=180, seed=[1])
    users = batch.user_idx_B.unique_consecutive().tolist()
    assert sorted(users) == list(range(USERS)) != users
    assert batch.item_idx_B[batch.user_idx_B == 0].tolist() != sorted(batch.item_idx_B[batch.user_idx_B == 0].tolist())


@pytest.mark.parametrize("buffer_rows", [1, 70, 1000])
def test_files_of_a_batch_of_pairs_are_those_of_its_pairs(tmp_path: Path, buffer_rows: int) -> None:
    groups = write_pair_files(tmp_path, *taken_pairs(), row_groups=3, seed=1)
    file_of = {
        (int(user), int(item)): group.file
        for group in groups
        for pairs in [all_pairs(str(tmp_path), [group])]
        for user, item in zip(pairs.user_idx_B, pairs.item_idx_B, strict=True)
    }
    how: dict[str, Any] = {"batch_size": 25, "buffer_rows": buffer_rows, "seed": [1]}
    for number, batch in enumerate(shuffled_pairs(str(tmp_path), groups, **how)):
        pairs = zip(batch.user_idx_B.tolist(), batch.item_idx_B.tolist(), strict=True)
        assert files_of_pairs(str(tmp_path), groups, number, **how) == sorted({file_of[pair] for pair in pairs})


def test_a_users_pairs_lie_in_one_file_but_for_those_at_its_border(tmp_path: Path) -> None:
    row_groups = write_pair_files(tmp_path, *taken_pairs(), row_groups=3, seed=1)
    in_file = [set(all_pairs(str(tmp_path), [group]).user_idx_B.tolist()) for group in row_groups]
    assert sum(map(len, in_file)) == USERS + 2  # 60 pairs a file, 9 a user: both borders cut a user


def test_the_loss_falls(tmp_path: Path) -> None:
    curve = trained(tmp_path, epochs=12, batch_size=12).curve
    assert curve[-1].train_loss < 0.45 < 0.6 < curve[0].train_loss


def figures_of(recall: float, ndcg: float) -> dict[str, float]:
    return {"validation_recall": recall, "validation_ndcg": ndcg}


def test_the_epoch_with_the_best_validation_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.1, 0.3, 0.2])
    monkeypatch.setattr(interactions, "validate", lambda *_: figures_of(0.5, next(values)))
    three = trained(tmp_path / "3", epochs=3, decay="none")
    monkeypatch.setattr(interactions, "validate", lambda *_: figures_of(float("nan"), float("nan")))
    two = trained(tmp_path / "2", epochs=2, decay="none")
    assert (three.best_epoch, two.best_epoch) == (2, 2)
    assert three.scores is not None
    assert two.scores is not None
    assert np.array_equal(three.scores.user_UD, two.scores.user_UD)


def test_patience_ends_training_that_gets_no_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.3, 0.1, 0.2, 0.9])
    monkeypatch.setattr(interactions, "validate", lambda *_: figures_of(0.5, next(values)))
    curve = trained(tmp_path, epochs=9, patience=2).curve
    assert [epoch.validation["validation_ndcg"] for epoch in curve] == [0.3, 0.1, 0.2]


def test_validation_ranks_what_was_held_out(tmp_path: Path) -> None:
    curve = trained(tmp_path, epochs=12, batch_size=12, held_out_P=HELD_OUT_P).curve
    # The held-out item is the only one that a user likes and did not take.
    assert curve[-1].validation == pytest.approx(figures_of(1.0, 1.0))
    assert curve[0].validation["validation_ndcg"] < 0.9


def test_a_loss_that_diverges_stops_with_the_step_its_files_and_a_cure(tmp_path: Path) -> None:
    message = (
        r"the loss became 0\.\d+ in epoch 1, step 1 of 3 \(train.max_loss is 0.1\). Largest gradient: -?\d\S* in "
        r"(user_UD|item_ID)\. Row groups of the step's rows by worker: \{0: \['train/00000.parquet', .*'\]\}\. "
        r"Cure: a smaller train.learning_rate \(it is multiplied by train.workers\) or a train.clip_norm$"
    )
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, max_loss=0.1)


def test_killed_and_started_again_equals_the_unbroken_run(tmp_path: Path) -> None:
    unbroken = train_on_pairs(task_of(tmp_path / "whole", held_out_P=HELD_OUT_P), OneWorker())
    # The calls are: start, step, checkpoint, step, checkpoint, step, validation, checkpoint; then the second epoch's.
    for dies_at in (2, 5, 7, 8, 10, 14):
        folder = tmp_path / str(dies_at)
        task = task_of(folder, held_out_P=HELD_OUT_P, checkpoints=folder / "checkpoints", checkpoint_steps=1)
        with pytest.raises(KilledError):
            train_on_pairs(task, MortalWorker(dies_at))
        again = train_on_pairs(task, OneWorker())
        assert again.state == unbroken.state, dies_at
        assert [e.train_loss for e in again.curve] == [e.train_loss for e in unbroken.curve], dies_at
        assert again.scores is not None
        assert unbroken.scores is not None
        assert np.array_equal(again.scores.user_UD, unbroken.scores.user_UD), dies_at


def test_a_training_that_was_done_is_not_trained_again(tmp_path: Path) -> None:
    task = task_of(tmp_path, held_out_P=HELD_OUT_P, checkpoints=tmp_path / "checkpoints")
    first, worker = train_on_pairs(task, OneWorker()), MortalWorker(dies_at=0)
    again = train_on_pairs(task, worker)
    assert (again.state, again.best_epoch, worker.calls) == (first.state, first.best_epoch, 1)


def test_the_profile_says_where_the_time_went(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        seconds = trained(tmp_path, held_out_P=HELD_OUT_P, profile=True).seconds
    assert {"reading", "forward", "backward", "allreduce", "update", "validation"} <= set(seconds)
    assert "profile of the leader so far: " in caplog.text


def test_a_figure_that_pairs_do_not_have_is_refused(tmp_path: Path) -> None:
    message = r"train.best_by is validation_auc, .*Cure: one of \['validation_recall', 'validation_ndcg'\]"
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, best_by="validation_auc")


def test_labels_that_pairs_do_not_have_are_not_smoothed_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train.label_smoothing is 0.1, but only models of features .*leave it at 0"):
        trained(tmp_path, label_smoothing=0.1)


def test_vectors_too_large_for_memory_are_refused_before_the_start(tmp_path: Path) -> None:
    task = task_of(tmp_path, workers=1, worker_memory_mb=700)
    # 20 million users and items of two numbers: 153 MiB of weights; in all five times that.
    message = r"of mf take 153 MiB \(.*user_idx 10,000,000.*needs 763 MiB.*may need 700 MiB"
    with pytest.raises(ConfigError, match=message):
        train_pairs_on_spark(replace(task, users=10_000_000, items=10_000_000), slots=1)


def gradients_of(start: loop.Fit, batches: list[PairBatch], rows: int, workers: OneWorker) -> list[Tensor]:
    loss = torch.zeros(())
    loop._compute_gradient(replace(start, workers=workers), batches, rows, loss, 5)
    return [*(p.grad.clone() for p in start.model.parameters() if p.grad is not None), loss]


def test_gradients_of_uneven_shares_add_up_to_the_gradient_of_all_pairs(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    torch.manual_seed(1)
    network = interactions.network_of(task, taken_matrix())
    start = loop.Fit(
        model=network, optimizer=torch.optim.SGD(network.parameters()), config=task.config, workers=OneWorker(),
        device=torch.device("cpu"), loss_sum=interactions.loss_sum_of(task),
    )  # fmt: skip
    whole = all_pairs(task.folder, task.row_groups)
    expected = gradients_of(start, [whole], 180, OneWorker())
    parts = [
        [PairBatch(user_idx_B=whole.user_idx_B[part], item_idx_B=whole.item_idx_B[part])]
        for part in (slice(0, 100), slice(100, 180))
    ]
    last = LastWorker()
    for part in [*parts, []]:
        summed = gradients_of(start, part, 180, last)
    for actual, gradient in zip(summed, expected, strict=True):
        assert torch.allclose(actual, gradient, rtol=0, atol=1e-6)
    assert float(expected[-1]) > 0.1


def test_a_folder_without_a_recommender_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recommender in .*recommender.json is missing"):
        load_recommender(tmp_path)


def test_a_recommender_of_another_format_is_refused(tmp_path: Path) -> None:
    save_recommender(tmp_path, "popular", Popular(degree_I=np.ones(2, dtype=np.float32)), known_of(taken_matrix()))
    (tmp_path / DESCRIPTION).write_text('{"format": 9, "model": "popular"}')
    with pytest.raises(SchemaError, match=r"has format 9, expected 1\. Cure: fit the model again"):
        load_recommender(tmp_path)
