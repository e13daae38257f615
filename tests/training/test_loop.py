import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys import columns as c
from recsys.catalog import NUMERIC_INPUTS
from recsys.config import TrainConfig, load_config
from recsys.errors import ConfigError, InputError, WorkerFailedError
from recsys.manifest import Manifest, RowGroup, SplitFiles
from recsys.models.registry import Spec, model_spec
from recsys.training import loop, progress
from recsys.training import run as training_run
from recsys.training.batches import Batch, ordered_batches
from recsys.training.run import (
    Trained,
    TrainingTask,
    require_row_groups,
    require_slots,
    require_trainable,
    train,
    train_with,
)
from recsys.training.workers import OneWorker
from tests.example_sets import columns_of, inputs_of, write_random_set, write_split
from tests.last_worker import LastWorker

TINY = {"id_dim": 2, "category_dim": 2, "hidden": [8], "dropout": 0.0, "hidden_ids": 0.0}


def train_config(**changes: Any) -> TrainConfig:
    settings = {"batch_size": 16, "epochs": 2, "learning_rate": 0.01, "shuffle_buffer_rows": 64, "device": "cpu"}
    return replace(load_config([]).train, **{**settings, **changes})


def task_of(folder: Path, manifest: Manifest, spec: Spec | None = None, **changes: Any) -> TrainingTask:
    return TrainingTask(
        spec=spec or model_spec("mlp", TINY), config=train_config(**changes), folder=str(folder), manifest=manifest
    )


def trained(folder: Path, manifest: Manifest, **changes: Any) -> Trained:
    return train_with(task_of(folder, manifest, **changes), OneWorker())


def test_loss_falls_on_eight_examples(tmp_path: Path) -> None:
    columns = columns_of(8, {NUMERIC_INPUTS[0].name: [0, 9, 0, 9, 0, 9, 0, 9]})
    label = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    split = write_split(tmp_path, c.TRAIN, columns, label, [8])
    manifest = Manifest(
        run_date="2017-12-18",
        inputs=inputs_of(1, 1, 1),
        train=split,
        validation=SplitFiles(row_groups=(), positives=0),
        versions={},
    )
    curve = trained(tmp_path, manifest, epochs=80, learning_rate=0.05).curve
    assert curve[-1].train_loss < 0.1 < 0.5 < curve[0].train_loss


def test_same_seed_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    manifest = write_random_set(tmp_path, [30, 26], [20])
    first, again, other = (trained(tmp_path, manifest, seed=seed) for seed in (1, 1, 2))
    assert first.state == again.state
    assert [e.train_loss for e in first.curve] == [e.train_loss for e in again.curve]
    assert first.state != other.state


def figures_of(loss: float, auc: float, ndcg: float = float("nan")) -> dict[str, float]:
    return {"validation_loss": loss, "validation_auc": auc, "validation_ndcg": ndcg}


def test_the_epoch_with_the_lowest_validation_loss_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_random_set(tmp_path, [32], [20])
    losses = iter([0.5, 0.3, 0.4])
    monkeypatch.setattr(loop, "validate", lambda *_, **__: figures_of(next(losses), 0.5))
    three = trained(tmp_path, manifest, epochs=3, best_by="validation_loss")
    two = trained_for_two_epochs(tmp_path, manifest, monkeypatch)
    assert three.best_epoch == 2
    assert three.best.validation_loss == 0.3
    assert three.state == two.state


def trained_for_two_epochs(folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.setattr(loop, "validate", lambda *_, **__: figures_of(float("nan"), float("nan")))
    return trained(folder, manifest, epochs=2)


VALIDATION = [(0.5, 0.6, 0.1), (0.3, 0.7, 0.2), (0.4, 0.9, 0.3), (0.35, 0.8, 0.4), (0.2, 0.5, 0.3)]


@pytest.mark.parametrize(
    ("changes", "epochs", "best_epoch"),
    [
        ({"best_by": "validation_loss", "patience": 0}, 5, 5),
        ({"best_by": "validation_loss", "patience": 1}, 3, 2),  # the third is not better than the second
        ({"best_by": "validation_loss", "patience": 2}, 4, 2),
        ({"best_by": "validation_loss", "patience": 3}, 5, 5),  # the fifth is better in time
        ({"best_by": "validation_auc"}, 5, 3),
        ({"best_by": "validation_auc", "patience": 1}, 4, 3),
        ({"best_by": "validation_ndcg", "patience": 0}, 5, 4),
    ],
)
def test_training_ends_after_epochs_of_patience_without_a_better_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], epochs: int, best_epoch: int
) -> None:
    figures = iter(VALIDATION)
    monkeypatch.setattr(loop, "validate", lambda *_, **__: figures_of(*next(figures)))
    result = trained(tmp_path, write_random_set(tmp_path, [16]), epochs=5, **changes)
    assert (len(result.curve), result.best_epoch) == (epochs, best_epoch)


def test_two_small_batches_a_step_train_like_one_large(tmp_path: Path) -> None:
    # The same order of rows: the batches are cut from one shuffled buffer.
    manifest = write_random_set(tmp_path, [64], [20])
    large = trained(tmp_path, manifest, batch_size=32)
    two = trained(tmp_path, manifest, batch_size=16, batches_a_step=2)
    for a, b in zip(large.curve, two.curve, strict=True):
        assert (a.train_loss, a.validation_loss) == pytest.approx((b.train_loss, b.validation_loss), rel=1e-5)
    assert two.curve[0].train_loss != trained(tmp_path, manifest, batch_size=16).curve[0].train_loss


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd"},
        {"optimizer": "adam"},
        {"l1": 0.01},
        {"label_smoothing": 0.2},
        {"clip_norm": 0.01},
        {"warmup_share": 0.5},
        {"decay": "linear"},
        {"precision": "bfloat16"},
    ],
)
def test_each_option_changes_the_training_and_still_learns(tmp_path: Path, changes: dict[str, Any]) -> None:
    manifest = write_random_set(tmp_path, [64], [20])
    plain, other = trained(tmp_path, manifest), trained(tmp_path, manifest, epochs=4, **changes)
    assert other.curve[1].train_loss != plain.curve[1].train_loss
    assert other.curve[-1].train_loss < other.curve[0].train_loss
    assert all(torch.isfinite(torch.tensor(figures.validation_loss)) for figures in other.curve)


def test_the_profile_says_where_the_time_went(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = write_random_set(tmp_path, [64], [20])
    with caplog.at_level(logging.INFO):
        seconds = trained(tmp_path, manifest, profile=True).seconds
    assert {"reading", "forward", "backward", "allreduce", "update", "validation"} <= set(seconds)
    assert all(value >= 0 for value in seconds.values())
    assert seconds["reading"] > 0 < seconds["forward"]
    assert "profile of the leader so far: " in caplog.text


def test_dead_workers_are_started_again_as_often_as_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    starts: list[int] = []

    def dies_twice(_: Any, arguments: Sequence[TrainingTask], **settings: int) -> list[Trained]:
        starts.append(settings["workers"])
        if len(starts) < 3:
            raise WorkerFailedError(f"worker {len(starts)} was killed")
        return [train_with(arguments[0], OneWorker())]

    monkeypatch.setattr(training_run, "run_on_spark", dies_twice)
    task = task_of(tmp_path, write_random_set(tmp_path, [20], [10]), workers=1, max_restarts=2)
    assert train(task, slots=2).state == train_with(task, OneWorker()).state
    assert starts == [1, 1, 1]
    assert "worker 1 was killed. Starting all workers again (train.max_restarts: 2 left)" in caplog.text
    starts.clear()
    once = replace(task, config=replace(task.config, max_restarts=1))
    with pytest.raises(WorkerFailedError, match="worker 2 was killed"):
        train(once, slots=2)


def test_without_validation_rows_the_last_epoch_is_kept_and_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = write_random_set(tmp_path, [32])
    assert trained(tmp_path, manifest, epochs=3).best_epoch == 3
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == [
        "validation_loss cannot be measured, for the validation window holds nothing to judge by: "
        "the last epoch is kept"
    ]


def test_a_loss_that_is_not_finite_stops_with_the_step_and_a_cure(tmp_path: Path) -> None:
    columns = columns_of(20, {NUMERIC_INPUTS[0].name: [1.0] * 19 + [float("inf")]})
    split = write_split(tmp_path, c.TRAIN, columns, np.ones(20), [20])
    manifest = replace(write_random_set(tmp_path / "other", [8]), train=split)
    message = (
        r"became nan in epoch 1, step \d of 2 .*Largest gradient: nan in \w+.*"
        r"by worker: \{0: \['train/00000.parquet'\]\}.*smaller train.learning_rate"
    )
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, manifest)


def test_a_loss_above_the_largest_allowed_has_diverged(tmp_path: Path) -> None:
    manifest = write_random_set(tmp_path, [32])
    message = r"became 0\.\d+ in epoch 1, step 1 of 2 \(train.max_loss is 0.1\). Largest gradient: -?0\.\d+ in"
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, manifest, max_loss=0.1, clip_norm=1e-9)  # it is told as it came, not clipped


def shared_fit(model: torch.nn.Module, workers: OneWorker) -> loop.Fit:
    optimizer = torch.optim.AdamW(model.parameters())
    return loop.Fit(
        model=model, optimizer=optimizer, config=train_config(), workers=workers, device=torch.device("cpu")
    )


def gradients_of(model: torch.nn.Module, batch: Batch | None, rows: int, workers: OneWorker) -> list[Tensor]:
    loss = torch.zeros(())
    loop.compute_gradient(shared_fit(model, workers), batch, rows, loss)
    return [*(p.grad.clone() for p in model.parameters() if p.grad is not None), loss]


def test_gradients_of_uneven_shares_add_up_to_the_gradient_of_all_rows(tmp_path: Path) -> None:
    manifest = write_random_set(tmp_path, [20])
    (whole,) = ordered_batches(str(tmp_path), manifest.train.row_groups, batch_size=20)
    model = model_spec("mlp", TINY).build(manifest.inputs)
    expected = gradients_of(model, whole, 20, OneWorker())
    parts, last = [slice_of(whole, slice(0, 13)), slice_of(whole, slice(13, 20)), None], LastWorker()
    for part in parts:
        summed = gradients_of(model, part, 20, last)
    for actual, gradient in zip(summed, expected, strict=True):
        assert torch.allclose(actual, gradient, atol=1e-7)


def slice_of(batch: Batch, rows: slice) -> Batch:
    return Batch(ids_BI=batch.ids_BI[rows], numeric_BF=batch.numeric_BF[rows], label_B=batch.label_B[rows])


def test_progress_says_where_how_fast_and_how_long_still(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO):
        trained(tmp_path, write_random_set(tmp_path, [20], [10]), epochs=1)
    assert "epoch 1/1, step 2/2: " in caplog.text
    assert "rows/s, loss 0." in caplog.text
    assert "about 0 s left" in caplog.text
    assert "validation AUC 0." in caplog.text


def test_more_workers_than_task_slots_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train.workers is 3, but the Spark session has 2 task slots.*local\[3\]"):
        require_slots(train_config(workers=3), slots=2)
    require_slots(train_config(workers=2), slots=2)


def test_more_workers_than_row_groups_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train.workers is 3, but .* lie in 2 row groups.*more examples.row_groups"):
        require_row_groups(train_config(workers=3), row_groups=2)


@pytest.mark.parametrize(("rows", "positives"), [((), 0), ((5,), 0)])
def test_examples_without_rows_or_positives_are_refused(rows: tuple[int, ...], positives: int) -> None:
    groups = tuple(RowGroup(file=f"train/{number}.parquet", rows=count) for number, count in enumerate(rows))
    split = SplitFiles(row_groups=groups, positives=positives)
    manifest = Manifest(run_date="2017-12-18", inputs=inputs_of(1, 1, 1), train=split, validation=split, versions={})
    with pytest.raises(InputError, match=rf"have {sum(rows)} train rows with 0 positives.*Cure: a run date with more"):
        require_trainable(manifest, "/lake/files")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_refused_and_auto_takes_the_cpu() -> None:
    with pytest.raises(ConfigError, match=r"train.device is cuda, but torch finds no GPU.*auto or cpu"):
        loop.device_for("cuda", 0)
    assert loop.device_for("auto", 0).type == "cpu"
