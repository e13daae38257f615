"""Real processes: each start costs some ten seconds, so one start answers several questions."""

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession
from torch import Tensor

from recsys.config import load_config
from recsys.errors import ConfigError, WorkerFailedError
from recsys.logs import configure_logging
from recsys.manifest import Manifest
from recsys.models.registry import model_spec
from recsys.training import run as training_run
from recsys.training.batches import Batch, ordered_batches, shuffled_batches
from recsys.training.loop import Fit, compute_gradient
from recsys.training.plan import EpochPlan, plan_epoch
from recsys.training.run import Trained, TrainingTask, train, train_with
from recsys.training.workers import HorovodWorkers, OneWorker, Workers, run_on_spark
from tests.example_sets import write_random_set
from tests.horovod.faulty_workers import FaultyWorkers

START_TIMEOUT_S = 300
TINY = {"id_dim": 2, "category_dim": 2, "hidden": [8], "dropout": 0.0, "hidden_ids": 0.0}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one worker read, computed and trained; `users` are the numbers of its train rows."""

    index: int
    users: list[int]
    first_batch_users: list[int]
    gradients: list[Tensor]
    trained: Trained


def task_of(folder: Path, manifest: Manifest, workers: int) -> TrainingTask:
    config = replace(
        load_config([]).train,
        workers=workers, batch_size=16, epochs=2, learning_rate=0.01, shuffle_buffer_rows=64, device="cpu",
    )  # fmt: skip
    return TrainingTask(spec=model_spec("mlp", TINY), config=config, folder=str(folder), manifest=manifest)


def first_plan(task: TrainingTask) -> EpochPlan:
    config = task.config
    return plan_epoch(
        task.manifest.train.row_groups,
        epoch=1, seed=config.seed, workers=config.workers, batch_size=config.batch_size,
    )  # fmt: skip


def users_of(batches: list[Batch]) -> list[int]:
    return [int(user) for batch in batches for user in batch.ids_BI[:, 0]]


def gradients_of(task: TrainingTask, workers: Workers, batch: Batch | None, global_rows: int) -> list[Tensor]:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = task.spec.build(task.manifest.inputs)
    optimizer = torch.optim.AdamW(model.parameters())
    shared = Fit(model=model, optimizer=optimizer, config=task.config, workers=workers, device=torch.device("cpu"))
    compute_gradient(shared, batch, global_rows, loss := torch.zeros(()))
    return [*(p.grad for p in model.parameters() if p.grad is not None), loss]


def see(task: TrainingTask) -> Seen:
    workers = HorovodWorkers()
    plan = first_plan(task)
    own = plan.row_groups[workers.index]
    batches = list(shuffled_batches(task.folder, own, batch_size=16, buffer_rows=64, seed=[workers.index]))
    return Seen(
        index=workers.index,
        users=users_of(batches),
        first_batch_users=users_of(batches[:1]),
        gradients=gradients_of(task, workers, batches[0], plan.step_rows[0]),
        trained=train_with(task, workers),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def task(folder: Path) -> TrainingTask:
    # Uneven on purpose: one worker runs out of rows before the other.
    return task_of(folder, write_random_set(folder, [40, 30, 20, 11], [25, 14]), workers=2)


@pytest.fixture(scope="module")
def seen(spark: SparkSession, task: TrainingTask) -> list[Seen]:
    assert spark.sparkContext.defaultParallelism == 2
    return run_on_spark(see, [task], workers=2, start_timeout_s=START_TIMEOUT_S)


def test_two_workers_see_disjoint_rows_that_are_together_all(seen: list[Seen]) -> None:
    assert [worker.index for worker in seen] == [0, 1]
    assert all(worker.users for worker in seen)
    assert sorted(seen[0].users + seen[1].users) == list(range(101))


def test_two_workers_gradient_equals_that_of_one_process(seen: list[Seen], task: TrainingTask) -> None:
    (whole,) = ordered_batches_of_all(task)
    rows = torch.tensor(seen[0].first_batch_users + seen[1].first_batch_users)
    batch = Batch(ids_BI=whole.ids_BI[rows], numeric_BF=whole.numeric_BF[rows], label_B=whole.label_B[rows])
    expected = gradients_of(task, OneWorker(), batch, len(batch))
    for worker in seen:
        for actual, gradient in zip(worker.gradients, expected, strict=True):
            assert torch.allclose(actual, gradient, rtol=0, atol=1e-6)
    assert float(expected[-1]) > 0.1


def ordered_batches_of_all(task: TrainingTask) -> list[Batch]:
    """In the rows' order: row number n is the row of user n."""
    batches = list(ordered_batches(task.folder, task.manifest.train.row_groups, batch_size=1000))
    return [
        Batch(
            ids_BI=torch.cat([b.ids_BI for b in batches]),
            numeric_BF=torch.cat([b.numeric_BF for b in batches]),
            label_B=torch.cat([b.label_B for b in batches]),
        )
    ]


def test_workers_agree_on_every_figure_and_only_the_leader_returns_weights(seen: list[Seen]) -> None:
    losses = [losses_of(worker.trained) for worker in seen]
    assert losses[0] == losses[1]
    assert losses[0][1][0] < losses[0][0][0]
    assert seen[0].trained.state
    assert not seen[1].trained.state


STEP_TIMEOUT_S = 8
# With a checkpoint each second step the calls are: start, step, step, checkpoint, step, step, validation, checkpoint.
FAULTS = ((5, signal.SIGKILL), (6, signal.SIGSTOP))


def work_with_faults(task: TrainingTask) -> Trained:
    configure_logging()
    return train_with(task, FaultyWorkers(Path(task.folder) / "lives", FAULTS, STEP_TIMEOUT_S))


@pytest.mark.long
def test_killed_and_hanging_workers_are_named_and_restarts_end_with_the_unbroken_weights(
    seen: list[Seen],
    task: TrainingTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = replace(task.config, checkpoint_steps=2, step_timeout_s=STEP_TIMEOUT_S, max_restarts=2)
    monkeypatch.setattr(training_run, "work", work_with_faults)
    restarted = train(replace(task, config=config, checkpoints=str(tmp_path / "checkpoints")), slots=2)
    first, second = (record.getMessage() for record in caplog.records if "all workers again" in record.getMessage())
    assert "training worker 1 of 2 was killed" in first
    assert "(train.max_restarts: 2 left)" in first
    assert "training worker 1 of 2 hangs: it gives no sign of life; the others wait for it in epoch 2, step 1" in second
    assert restarted.state == seen[0].trained.state
    assert losses_of(restarted) == losses_of(seen[0].trained)


def losses_of(trained: Trained) -> list[tuple[float, float, float]]:
    return [(e.train_loss, e.validation_loss, e.validation_auc) for e in trained.curve]


def kill_the_second(_: str) -> None:
    workers = HorovodWorkers()
    if workers.index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    # On a busy machine Horovod may else see first how the other one fails for want of its fellow.
    time.sleep(5)
    workers.add_up([torch.ones(1)])


def test_a_killed_worker_ends_the_run_with_its_number_and_a_cure(spark: SparkSession) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(WorkerFailedError, match=r"training worker 1 of 2 was killed.*starting the job again is safe"):
        run_on_spark(kill_the_second, [""], workers=2, start_timeout_s=START_TIMEOUT_S)
    assert signal.getsignal(signal.SIGTERM) is before
    assert spark.range(3).count() == 3, "the session goes on working"


def refuse(message: str) -> None:
    HorovodWorkers()
    raise ConfigError(message)


@pytest.mark.long
@pytest.mark.usefixtures("spark")
def test_an_own_error_of_all_workers_comes_back_as_it_is() -> None:
    with pytest.raises(ConfigError, match="smaller learning rate, please"):
        run_on_spark(refuse, ["smaller learning rate, please"], workers=2, start_timeout_s=START_TIMEOUT_S)
