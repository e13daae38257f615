"""One training from end to end: what the driver hands to its workers, and what comes back."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from recsys.config import TrainConfig
from recsys.errors import ConfigError, InputError, WorkerFailedError
from recsys.logs import configure_logging
from recsys.manifest import Manifest
from recsys.models.registry import Spec
from recsys.training.export import state_bytes
from recsys.training.loop import fit_to, rows_objective
from recsys.training.objective import Objective
from recsys.training.position import EpochFigures
from recsys.training.requirements import require_files, require_memory
from recsys.training.transfer import Start, started
from recsys.training.workers import Elastic, HorovodWorkers, Workers, run_on_spark

logger = logging.getLogger(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """All a worker needs; both folders must be reachable from every worker. Without `checkpoints` none are kept."""

    spec: Spec
    config: TrainConfig
    folder: str
    manifest: Manifest
    checkpoints: str | None = None
    start: Start | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """`state`: the network's state dict through torch.save, from the leader only; `seconds` by phase, see Clock."""

    state: bytes
    best_epoch: int
    curve: tuple[EpochFigures, ...]
    seconds: dict[str, float]

    @property
    def best(self) -> EpochFigures:
        return self.curve[self.best_epoch - 1]


def train(task: TrainingTask, *, slots: int) -> Trained:
    """Trains on `config.workers` of the Spark session's `slots`. Refuses what cannot work before anything starts."""
    require_ready(task, slots=slots)
    return leaders_result(work, task, task.config)


def require_ready(task: TrainingTask, *, slots: int, tables_mb: float = 0) -> None:
    """Raises a UserError where the training could not work. `tables_mb`: see require_memory."""
    require_trainable(task.manifest, task.folder)
    require_slots(task.config, slots)
    require_row_groups(task.config, len(task.manifest.train.row_groups))
    vocabularies = {vocabulary.name: vocabulary.size for vocabulary in task.manifest.inputs.ids}
    require_memory(task.spec, task.manifest.inputs, vocabularies, task.config, tables_mb)
    require_files(task.folder, task.manifest)


def leaders_result(work: Callable[[Task], Result], task: Task, config: TrainConfig) -> Result:
    """Calls `work(task)` in every worker, again where one of them died, `max_restarts` times."""
    for restarts_left in range(config.max_restarts, -1, -1):
        try:
            return run_on_spark(
                work, [task], workers=config.workers, start_timeout_s=config.start_timeout_s, elastic=_elastic(config)
            )[0]
        except WorkerFailedError as error:
            if not restarts_left:
                raise
            logger.warning("%s. Starting all workers again (train.max_restarts: %d left)", error, restarts_left)
    raise AssertionError("the last attempt returns or raises")


def _elastic(config: TrainConfig) -> Elastic | None:
    if not config.elastic:
        return None
    return Elastic(min_workers=config.min_workers, max_resets=config.max_resets)


def require_trainable(manifest: Manifest, folder: str) -> None:
    rows, positives = manifest.train.rows, manifest.train.positives
    if rows == 0 or positives == 0:
        raise InputError(
            f"the examples in {folder} have {rows} train rows with {positives} positives; training needs some of both. "
            "Cure: a run date with more events before it, more examples.train_windows or larger candidates quotas"
        )


def require_slots(config: TrainConfig, slots: int) -> None:
    if config.workers > slots:
        raise ConfigError(
            f"train.workers is {config.workers}, but the Spark session has {slots} task slots. Cure: "
            f"train.workers={slots} or fewer, or more slots (spark.master=local[{config.workers}], more executors)"
        )


def require_retries(config: TrainConfig, failures: int) -> None:
    """`failures` of a task after which Spark gives the whole job up."""
    if config.elastic and failures < 2:
        raise ConfigError(
            f"train.elastic is true, but this Spark session gives a job up at failure {failures} of a task, so that no "
            f"dead worker would come back. Cure: spark.master=local[{config.workers},8], or on a cluster "
            "spark.task.maxFailures of 4 or more, or train.elastic=false"
        )


def require_row_groups(config: TrainConfig, row_groups: int) -> None:
    if config.workers > row_groups:
        raise ConfigError(
            f"train.workers is {config.workers}, but the train examples lie in {row_groups} row groups, and each "
            f"worker needs one. Cure: fewer train.workers, or build_examples with more examples.row_groups"
        )


def work(task: TrainingTask) -> Trained:
    """Runs in every worker process."""
    configure_logging()
    return train_with(task, HorovodWorkers(task.config.step_timeout_s))


def train_with(task: TrainingTask, workers: Workers) -> Trained:
    objective = rows_objective(task.folder, task.manifest)

    def build() -> nn.Module:
        return started(task.start, task.spec.build(task.manifest.inputs))

    return trained_on(objective, build, task.config, workers, checkpoints=task.checkpoints)


def trained_on(
    objective: Objective,
    build: Callable[[], nn.Module],
    config: TrainConfig,
    workers: Workers,
    *,
    checkpoints: str | None,
) -> Trained:
    """The same seed gives the same weights; on CPUs to the bit."""
    return trained_from(built(build, config, workers), objective, config, workers, checkpoints=checkpoints)


def built(build: Callable[[], Network], config: TrainConfig, workers: Workers) -> Network:
    """What `build` makes, alike on all workers; from then on each of them leaves out other units."""
    torch.set_num_threads(config.threads_per_worker)
    _choose_determinism()
    torch.manual_seed(config.seed)
    model = build()
    torch.manual_seed(config.seed + 1 + workers.index)
    return model


def trained_from(
    model: nn.Module, objective: Objective, config: TrainConfig, workers: Workers, *, checkpoints: str | None
) -> Trained:
    """In place: `model` ends as the best epoch left it."""
    fitted = fit_to(objective, model, config, workers, checkpoints)
    state = state_bytes(model) if workers.is_leader else b""
    return Trained(state=state, best_epoch=fitted.best_epoch, curve=fitted.curve, seconds=fitted.seconds)


def _choose_determinism() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    # Only a help to find reads of uninitialised memory; filling it costs a seventh of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # torch sets it late
