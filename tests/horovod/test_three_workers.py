"""Three real processes, started once and without Spark, whose session has two slots."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from horovod.runner import run as run_processes
from torch import Tensor

from recsys.training import loop
from recsys.training.batches import Batch, ordered_batches, shuffled_batches
from recsys.training.plan import plan_epoch
from recsys.training.run import TrainingTask, train_with
from recsys.training.workers import HorovodWorkers, OneWorker, Workers
from tests.example_sets import write_random_set
from tests.horovod.test_workers import gradients_of, losses_of, task_of, users_of

pytestmark = pytest.mark.long

ROWS = 101


class BrokenOffError(Exception):
    pass


class BreakingWorker(OneWorker):
    """Breaks off in the fifth step; the calls are start, step, step, checkpoint, step, step, checkpoint, step."""

    calls = 0

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        self.calls += 1
        if self.calls == 8:
            raise BrokenOffError
        return super().add_up(tensors, gathered)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """`users_by_step`: whose rows this worker used in each step after the checkpoint."""

    first_batch_users: list[int]
    gradients: list[Tensor]
    users_by_step: list[list[int]]
    losses: list[tuple[float, float, float]]


def watched_training(task: TrainingTask, workers: Workers) -> tuple[list[list[int]], list[tuple[float, float, float]]]:
    """The users of each step's rows, and the losses."""
    users: list[list[int]] = []
    real = loop.take_accumulated_step

    def watched(shared: loop.Fit, batches: Any, rows: int, number: int) -> Tensor:
        given = list(batches)
        users.append(users_of(given))
        return real(shared, given, rows, number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "take_accumulated_step", watched)
        with suppress(BrokenOffError):
            return users, losses_of(train_with(task, workers))
    return users, []


def see(task: TrainingTask, two_groups: TrainingTask) -> Seen:
    workers = HorovodWorkers()
    plan = plan_epoch(two_groups.manifest.train.row_groups, epoch=1, seed=7, workers=3, batch_size=16)
    own = plan.row_groups[workers.index]
    batches = list(shuffled_batches(two_groups.folder, own, batch_size=16, buffer_rows=64, seed=[workers.index]))
    first = batches[0] if batches else None
    gradients = gradients_of(two_groups, workers, first, plan.step_rows[0])
    users_by_step, losses = watched_training(task, workers)
    return Seen(
        first_batch_users=users_of(batches[:1]), gradients=gradients, users_by_step=users_by_step, losses=losses
    )


def test_three_workers_one_without_rows_and_all_of_them_on_a_single_workers_checkpoint(tmp_path: Path) -> None:
    task = task_of(tmp_path / "four", write_random_set(tmp_path / "four", [40, 30, 20, 11], [25, 14]), workers=3)
    config = replace(task.config, checkpoint_steps=2)
    task = replace(task, config=config, checkpoints=str(tmp_path / "checkpoints"))
    two_groups = task_of(tmp_path / "two", write_random_set(tmp_path / "two", [17, 5]), workers=3)
    before, _ = watched_training(task, BreakingWorker())
    seen: list[Seen] = run_processes(see, (task, two_groups), np=3, use_gloo=True)
    require_gradient_of_one_process(seen, two_groups)
    require_rows_used_once(seen, used_before=[user for step in before[:4] for user in step])
    assert seen[0].losses == seen[1].losses == seen[2].losses


def require_gradient_of_one_process(seen: list[Seen], task: TrainingTask) -> None:
    assert sorted(len(worker.first_batch_users) for worker in seen) == [0, 5, 16]
    (whole,) = ordered_batches(task.folder, task.manifest.train.row_groups[:1], batch_size=17)
    (rest,) = ordered_batches(task.folder, task.manifest.train.row_groups[1:], batch_size=5)
    rows = torch.tensor([user for worker in seen for user in worker.first_batch_users])
    batch = Batch(
        ids_BI=torch.cat([whole.ids_BI, rest.ids_BI])[rows],
        numeric_BF=torch.cat([whole.numeric_BF, rest.numeric_BF])[rows],
        label_B=torch.cat([whole.label_B, rest.label_B])[rows],
    )
    expected = gradients_of(task, OneWorker(), batch, 21)
    for worker in seen:
        for actual, gradient in zip(worker.gradients, expected, strict=True):
            assert torch.allclose(actual, gradient, rtol=0, atol=1e-6)
    assert float(expected[-1]) > 0.1


def require_rows_used_once(seen: list[Seen], used_before: list[int]) -> None:
    """Four of seven batches are used; three workers take one each of the rest, then the next epoch as usual."""
    assert len(used_before) == 64
    assert len({len(worker.users_by_step) for worker in seen}) == 1, "as many steps on each"
    rest = [user for worker in seen for user in worker.users_by_step[0]]
    assert sorted(used_before + rest) == list(range(ROWS))
    second_epoch = [user for worker in seen for step in worker.users_by_step[1:] for user in step]
    assert sorted(second_epoch) == list(range(ROWS))
