"""A training that is broken off anywhere and started again; real processes are in tests/horovod."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.config import load_config
from recsys.manifest import Manifest
from recsys.models.registry import model_spec
from recsys.training import loop
from recsys.training.batches import Batch
from recsys.training.checkpoint import Checkpoints
from recsys.training.plan import EpochPlan, plan_epoch
from recsys.training.position import Position
from recsys.training.reading import share_batches
from recsys.training.run import Trained, TrainingTask, train_with
from recsys.training.workers import OneWorker
from tests.example_sets import write_random_set
from tests.mortal_worker import KilledError, MortalWorker

# Dropout and hidden ids draw random numbers in each step: their state must go on too.
SPEC = model_spec("mlp", {"id_dim": 2, "category_dim": 2, "hidden": [8], "dropout": 0.2, "hidden_ids": 0.3})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return write_random_set(folder, [40, 30, 11], [20])


def task_of(folder: Path, manifest: Manifest, checkpoints: Path | None = None, **changes: Any) -> TrainingTask:
    settings = {
        "batch_size": 16, "epochs": 3, "learning_rate": 0.02, "shuffle_buffer_rows": 32, "device": "cpu",
        "checkpoint_steps": 2, "decay": "cosine", "warmup_share": 0.1, **changes,
    }  # fmt: skip
    return TrainingTask(
        spec=SPEC,
        config=replace(load_config([]).train, **settings),
        folder=str(folder),
        manifest=manifest,
        checkpoints=str(checkpoints) if checkpoints else None,
    )


def losses_of(trained: Trained) -> list[tuple[float, ...]]:
    return [(e.epoch, e.train_loss, e.validation_loss, e.validation_auc) for e in trained.curve]


def test_killed_at_any_call_and_started_again_equals_the_unbroken_run(
    folder: Path, manifest: Manifest, tmp_path: Path
) -> None:
    whole = MortalWorker(dies_at=0)
    unbroken = train_with(task_of(folder, manifest, tmp_path / "unbroken"), whole)
    assert train_with(task_of(folder, manifest), OneWorker()).state == unbroken.state
    # Six steps an epoch, two checkpoints within it, one after it, the validation; and the start.
    assert whole.calls == 1 + 3 * (6 + 2 + 1 + 1)
    for dies_at in range(1, whole.calls + 1):
        task = task_of(folder, manifest, tmp_path / str(dies_at))
        with pytest.raises(KilledError):
            train_with(task, MortalWorker(dies_at))
        again = train_with(task, OneWorker())
        assert again.state == unbroken.state, dies_at
        assert losses_of(again) == losses_of(unbroken), dies_at
        assert again.best_epoch == unbroken.best_epoch


def test_a_training_that_was_done_is_not_trained_again(folder: Path, manifest: Manifest, tmp_path: Path) -> None:
    task = task_of(folder, manifest, tmp_path)
    first, worker = train_with(task, OneWorker()), MortalWorker(dies_at=0)
    assert train_with(task, worker).state == first.state
    assert worker.calls == 1


def steps_of(folder: Path, plan: EpochPlan, task: TrainingTask, position: Position) -> list[list[int]]:
    """The users of each step's rows of all workers; a row's user is its number."""
    size = plan.batches_a_step
    own = [
        [batch.ids_BI[:, 0].tolist() for batch in share_batches(str(folder), plan, task.config, position, worker=w)]
        for w in range(len(plan.shares))
    ]
    steps = range(len(plan.step_rows) - position.steps)
    return [[user for batches in own for batch in batches[s * size : (s + 1) * size] for user in batch] for s in steps]


@pytest.mark.parametrize("workers", [(1, 2), (2, 1), (3, 2), (2, 4), (4, 3, 1, 2), (2, 2)])
@pytest.mark.parametrize("batches_a_step", [1, 2])
def test_other_numbers_of_workers_use_each_remaining_row_once(
    folder: Path, manifest: Manifest, workers: Sequence[int], batches_a_step: int
) -> None:
    task = task_of(folder, manifest, batch_size=7, batches_a_step=batches_a_step)
    position, used = Position(streams=workers[0]), list[int]()
    for number, count in enumerate(workers):
        whole = plan_epoch(
            manifest.train.row_groups, epoch=1, seed=7, workers=workers[0], batch_size=7, batches_a_step=batches_a_step
        )
        plan = position.share_out(whole, workers=count)
        steps = steps_of(folder, plan, task, position)
        assert [len(step) for step in steps] == list(plan.step_rows[position.steps :])
        is_last = number == len(workers) - 1
        for step in steps if is_last else steps[:1]:
            used += step
            position.step_taken(len(step), 0.5)
    assert sorted(used) == list(range(81))
    assert position.rows == 81


def test_another_number_of_workers_goes_on_from_the_checkpoint(
    folder: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two workers' checkpoint: the first's as it is, the second's random state and share beside it."""
    task = task_of(folder, manifest, tmp_path)
    with pytest.raises(KilledError):
        train_with(task, MortalWorker(dies_at=1 + 4 + 1))
    store = Checkpoints(str(tmp_path))
    saved = store.load(store.newest())
    two = plan_epoch(manifest.train.row_groups, epoch=1, seed=7, workers=2, batch_size=16)
    plain = Position(streams=2, steps=2, taken=2, shares=two.shares, rows=64, loss_sum=40.0).to_plain()
    store.save(3, {**saved, "position": plain, "random": saved["random"].repeat(2, 1)})
    used: list[int] = []
    real = loop.take_accumulated_step

    def watched(shared: loop.Fit, batches: Any, rows: int, number: int) -> Tensor:
        batches = list(batches)
        used.extend(user for batch in batches for user in batch.ids_BI[:, 0].tolist())
        return real(shared, batches, rows, number)

    monkeypatch.setattr(loop, "take_accumulated_step", watched)
    resumed = train_with(task, OneWorker())
    before = Position(streams=2)
    first_two = steps_of(folder, two, task, before)[:2]
    rest_of_epoch_1 = used[: 81 - 64]
    assert sorted(rest_of_epoch_1 + [user for step in first_two for user in step]) == list(range(81))
    assert sorted(used[81 - 64 : 2 * 81 - 64]) == list(range(81))
    assert [figures.epoch for figures in resumed.curve] == [1, 2, 3]


def sum_of_workers(task: TrainingTask, model: torch.nn.Module, batches: Sequence[Batch | None], rows: int) -> Any:
    """Each worker's gradient of its batch, added up."""
    total: list[Tensor] | None = None
    for batch in batches:
        own = gradient_of(task, copy.deepcopy(model), batch, rows)
        total = own if total is None else [a + b for a, b in zip(total, own, strict=True)]
    return total


def gradient_of(task: TrainingTask, model: torch.nn.Module, batch: Batch | None, rows: int) -> list[Tensor]:
    shared = loop.Fit(
        model=model.eval(), optimizer=torch.optim.SGD(model.parameters()), config=task.config, workers=OneWorker(),
        device=torch.device("cpu"),
    )  # fmt: skip
    loop.compute_gradient(shared, batch, rows, loss := torch.zeros(()))
    return [*(p.grad for p in model.parameters() if p.grad is not None), loss]


def joined(batches: Sequence[Batch | None]) -> Batch:
    given = [batch for batch in batches if batch is not None]
    return Batch(
        ids_BI=torch.cat([b.ids_BI for b in given]),
        numeric_BF=torch.cat([b.numeric_BF for b in given]),
        label_B=torch.cat([b.label_B for b in given]),
    )


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "sizes",
    [
        [40, 3, 20, 11],  # uneven
        [2, 1],  # fewer rows than four workers, an empty shard from three workers on
        [32, 32, 32, 32],  # only full batches
        [33, 32, 32, 32],  # a last batch of one row
    ],
)
def test_any_sharding_gives_the_gradient_of_one_process(tmp_path: Path, sizes: list[int], workers: int) -> None:
    manifest = write_random_set(tmp_path, sizes)
    task = task_of(tmp_path, manifest)
    torch.manual_seed(1)
    model = SPEC.build(manifest.inputs)
    plan = plan_epoch(manifest.train.row_groups, epoch=1, seed=7, workers=workers, batch_size=16)
    start = Position(streams=workers)
    own = [list(share_batches(str(tmp_path), plan, task.config, start, worker=w)) for w in range(workers)]
    users: list[int] = []
    for step, rows in enumerate(plan.step_rows):
        batches = [batches[step] if step < len(batches) else None for batches in own]
        whole = joined(batches)
        assert len(whole) == rows
        users += whole.ids_BI[:, 0].tolist()
        expected = gradient_of(task, copy.deepcopy(model), whole, rows)
        for actual, gradient in zip(sum_of_workers(task, model, batches, rows), expected, strict=True):
            assert torch.allclose(actual, gradient, rtol=0, atol=1e-6)
    assert sorted(users) == list(range(sum(sizes)))
    assert max(map(len, own)) == len(plan.step_rows)
