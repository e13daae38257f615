"""The training loop: same steps on every worker, the gradient of the whole global batch, progress and validation.

Shapes: B batch.
"""

import copy
import itertools
import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.families import FEATURES
from recsys.manifest import Manifest
from recsys.tables import EXAMPLES
from recsys.training.batches import Batch, shuffled_batches
from recsys.training.checkpoint import Checkpoints, random_state, seed_random_state, set_random_state
from recsys.training.losses import log_loss_sum
from recsys.training.objective import (
    LossSum,
    Objective,
    badness,
    require_objective,
)
from recsys.training.optimization import (
    build_optimizer,
    largest_gradient,
    learning_rate_at,
    mixed_precision,
    precision_for,
    refine_gradient,
    set_learning_rate,
    smoothed,
)
from recsys.training.plan import EpochPlan, plan_epoch
from recsys.training.position import EpochFigures, Position
from recsys.training.progress import Progress
from recsys.training.reading import batches_left, files_of_step
from recsys.training.row_gradients import packed, tables_by_rows, unpack
from recsys.training.row_validation import validate
from recsys.training.system import SystemFigures
from recsys.training.watch import ALLREDUCE, Clock, Watchdog, clock_for, percentages
from recsys.training.workers import Workers

logger = logging.getLogger(__name__)

_FIGURE_NAMES = {"auc": "AUC", "ndcg": "NDCG"}


def log_loss_of_rows(model: nn.Module, batch: Batch, config: TrainConfig, _: int) -> Tensor:
    logit_B = model(batch.ids_BI, batch.numeric_BF)
    return log_loss_sum(logit_B.float(), smoothed(batch.label_B, config.label_smoothing))


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """`state`: the parameters after `best_epoch`, by `train.best_by`; `seconds` of each phase on this worker."""

    state: dict[str, Any]
    best_epoch: int
    curve: tuple[EpochFigures, ...]
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What all steps of one training share."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    workers: Workers
    device: torch.device
    precision: torch.dtype = torch.float32
    clock: Clock = field(default_factory=Clock)
    loss_sum: LossSum = log_loss_of_rows

    @cached_property
    def tables_by_rows(self) -> list[Tensor]:
        return tables_by_rows(self.model, self.config.batch_size * self.config.batches_a_step)

    @cached_property
    def system(self) -> SystemFigures:
        return SystemFigures(self.device)


def rows_objective(folder: str, manifest: Manifest) -> Objective:
    """Labels of feature rows, told from their inputs."""
    return Objective(
        family=FEATURES,
        row_groups=manifest.train.row_groups,
        read=partial(shuffled_batches, folder, columns=manifest.inputs.columns),
        loss_sum=log_loss_of_rows,
        validate=partial(validate, folder=folder, manifest=manifest),
        values_from=EXAMPLES.name,
    )


def fit_to(
    objective: Objective, model: nn.Module, config: TrainConfig, workers: Workers, checkpoint_folder: str | None = None
) -> Fitted:
    """Trains in place, from the folder's newest checkpoint where there is one.

    Raises ConfigError where the loss is not finite or diverges, on all workers at the same step.
    """
    require_objective(objective.family, config)
    device = device_for(config.device, workers.local_index)
    model.to(device)
    shared = Fit(
        model=model,
        optimizer=build_optimizer(model.parameters(), config, workers=workers.count),
        config=config,
        workers=workers,
        device=device,
        precision=precision_for(config.precision, device),
        clock=clock_for(config, device),
        loss_sum=objective.loss_sum,
    )
    checkpoints = Checkpoints(checkpoint_folder) if checkpoint_folder is not None else None
    watchdog = Watchdog(
        shared.clock, index=workers.index, count=workers.count, timeout_s=config.step_timeout_s,
        folder=checkpoint_folder,
    )  # fmt: skip
    with watchdog:
        position = _resumed(shared, checkpoints)
        shared.clock.enter(ALLREDUCE)
        workers.start_alike(model)
        while not position.is_over(config):
            _epoch(shared, objective, position, checkpoints)
    model.load_state_dict(position.best_state)
    return Fitted(
        state=position.best_state,
        best_epoch=position.best_epoch,
        curve=tuple(position.curve),
        seconds=dict(shared.clock.seconds),
    )


def device_for(setting: str, local_index: int) -> torch.device:
    if setting == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device is cuda, but torch finds no GPU here. Cure: train.device=auto or cpu")
    if setting == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_index % torch.cuda.device_count())


def _resumed(shared: Fit, checkpoints: Checkpoints | None) -> Position:
    """The leader says which checkpoint; without one all begin at the start."""
    workers = shared.workers
    newest = torch.tensor([checkpoints.newest() if checkpoints is not None and workers.is_leader else 0])
    _add_up(shared, [newest])
    shared.clock.enter("checkpoint")
    if checkpoints is None or int(newest) == 0:
        return Position(streams=workers.count)
    saved = checkpoints.load(int(newest))
    shared.model.load_state_dict(saved["model"])
    shared.optimizer.load_state_dict(saved["optimizer"])
    position = Position.from_plain(saved["position"])
    if position.shares is None:  # between two epochs
        position.streams = workers.count
    if len(saved["random"]) == workers.count:
        set_random_state(saved["random"][workers.index], shared.device)
    else:
        seed_random_state((shared.config.seed, position.taken, workers.count, workers.index))
    if workers.is_leader:
        logger.info("going on from the checkpoint after step %d of epoch %d", position.steps, position.epoch)
    return position


def _save(shared: Fit, checkpoints: Checkpoints | None, position: Position) -> None:
    """A collective: the leader writes all workers' random states."""
    if checkpoints is None:
        return
    own = random_state(shared.device)
    random = torch.zeros(shared.workers.count, len(own), dtype=torch.int32)
    random[shared.workers.index] = own
    _add_up(shared, [random])
    shared.clock.enter("checkpoint")
    if shared.workers.is_leader:
        contents = {
            "position": position.to_plain(),
            "model": shared.model.state_dict(),
            "optimizer": shared.optimizer.state_dict(),
            "random": random.to(torch.uint8),
        }
        checkpoints.save(position.taken, contents)
    shared.workers.let_others_join()


def _epoch(shared: Fit, objective: Objective, position: Position, checkpoints: Checkpoints | None) -> None:
    config, workers = shared.config, shared.workers
    started, rows_before = time.monotonic(), position.rows
    shared.system.taken()  # counts from here
    plan = plan_epoch(
        objective.row_groups,
        epoch=position.epoch, seed=config.seed, workers=position.streams, batch_size=config.batch_size,
        batches_a_step=config.batches_a_step,
    )  # fmt: skip
    plan = position.share_out(plan, workers=workers.count)
    # Closed at once when a step fails: a reader left open keeps its threads.
    with closing(batches_left(objective.read, plan, config, position, worker=workers.index)) as batches:
        _train_steps(shared, objective, plan, batches, position, checkpoints)
    rows_per_s = (position.rows - rows_before) / (time.monotonic() - started)
    validation = objective.validate(shared)
    figures = EpochFigures(
        epoch=position.epoch,
        train_loss=position.loss_sum / objective.rows,
        validation=validation,
        rows_per_s=rows_per_s,
        system=shared.system.taken(),
    )
    _log_epoch(shared, figures)
    value = badness(validation, config.best_by)
    if workers.is_leader and math.isnan(value) and figures.epoch == 1:
        logger.warning(
            "%s cannot be measured, for the validation window holds nothing to judge by: the last epoch is kept",
            config.best_by,
        )
    position.epoch_done(figures, value, copy.deepcopy(shared.model.state_dict()), workers=workers.count)
    _save(shared, checkpoints, position)


def _train_steps(
    shared: Fit,
    objective: Objective,
    plan: EpochPlan,
    batches: Iterator[Any],
    position: Position,
    checkpoints: Checkpoints | None,
) -> None:
    config = shared.config
    shared.model.train()
    progress = Progress(plan, position, config.epochs, is_shown=shared.workers.is_leader)
    rows_of_epoch, every = sum(group.rows for stream in plan.row_groups for group in stream), config.checkpoint_steps
    for step in range(position.steps, len(plan.step_rows)):
        rows = plan.step_rows[step]
        used = (position.epoch - 1) * rows_of_epoch + position.rows
        rate = learning_rate_at(used / (config.epochs * rows_of_epoch), config, workers=shared.workers.count)
        set_learning_rate(shared.optimizer, rate)
        shared.clock.place = f"epoch {position.epoch}, step {step + 1} of {len(plan.step_rows)}"
        loss = float(
            take_accumulated_step(shared, itertools.islice(batches, plan.batches_a_step), rows, position.taken)
        )
        _require_sound(loss, shared, objective, plan, position)
        position.step_taken(rows, loss)
        progress.show(step, loss)
        if every and position.taken % every == 0 and step + 1 < len(plan.step_rows):
            _save(shared, checkpoints, position)


def _require_sound(loss: float, shared: Fit, objective: Objective, plan: EpochPlan, position: Position) -> None:
    """Raises ConfigError on all workers alike: the loss is that of all of them."""
    if _is_sound(loss, shared.config):
        return
    config = shared.config
    every = range(shared.workers.count)
    files = {w: files_of_step(objective.files_of, plan, config, position, worker=w) for w in every}
    values = f", or look for values that are not finite in {objective.values_from}" if objective.values_from else ""
    raise ConfigError(
        f"training stopped: the loss became {loss:g} in {shared.clock.place} (train.max_loss is {config.max_loss:g}). "
        f"Largest gradient: {largest_gradient(shared.model)}. Row groups of the step's rows by worker: {files}. "
        f"Cure: a smaller train.learning_rate (it is multiplied by train.workers) or a train.clip_norm{values}"
    )


def take_step(shared: Fit, batch: Batch | None, global_rows: int) -> Tensor:
    """One update from all workers' batches; returns their mean loss a row. A worker without rows adds zeros."""
    return take_accumulated_step(shared, [] if batch is None else [batch], global_rows)


def take_accumulated_step(shared: Fit, batches: Iterable[Any], global_rows: int, number: int = 0) -> Tensor:
    """The same from any number of batches a worker, whose gradients are added up; `number`: steps taken before.

    Of a loss that ends the training the gradient stays as it came, before any clipping, for the message that tells it.
    """
    loss = torch.zeros((), device=shared.device)
    _compute_gradient(shared, batches, global_rows, loss, number)
    if _is_sound(float(loss), shared.config):
        refine_gradient(shared.model.parameters(), shared.config)
        shared.optimizer.step()
    return loss


def _is_sound(loss: float, config: TrainConfig) -> bool:
    return math.isfinite(loss) and loss <= config.max_loss


def compute_gradient(shared: Fit, batch: Batch | None, global_rows: int, loss: Tensor) -> None:
    """Leaves the gradient of the mean loss over all workers' rows in the parameters, and that loss in `loss`."""
    _compute_gradient(shared, [] if batch is None else [batch], global_rows, loss)


def _compute_gradient(shared: Fit, batches: Iterable[Any], global_rows: int, loss: Tensor, number: int = 0) -> None:
    clock = shared.clock
    shared.optimizer.zero_grad(set_to_none=True)
    tables = shared.tables_by_rows  # before they are looked up in
    clock.enter("reading")
    for batch in batches:
        clock.enter("forward")
        on_device = batch.to(shared.device)
        with mixed_precision(shared.precision, shared.device):
            own_loss = shared.loss_sum(shared.model, on_device, shared.config, number) / global_rows
        clock.enter("backward")
        own_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        loss += own_loss.detach()
        clock.enter("reading")
    clock.enter(ALLREDUCE)
    _add_up_gradients(shared, tables, loss)
    clock.enter("update")


def _add_up_gradients(shared: Fit, tables: Sequence[Tensor], loss: Tensor) -> None:
    """Those of the tables by the rows looked up; all end as dense gradients."""
    by_rows = {id(table) for table in tables}
    others = [_gradient(parameter) for parameter in shared.model.parameters() if id(parameter) not in by_rows]
    gathered = shared.workers.add_up([*others, loss], packed(tables) if tables else ())
    if tables:
        unpack(tables, *gathered)


def _add_up(shared: Fit, tensors: Sequence[Tensor]) -> None:
    shared.clock.enter(ALLREDUCE)
    shared.workers.add_up(tensors)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _log_epoch(shared: Fit, figures: EpochFigures) -> None:
    if not shared.workers.is_leader:
        return
    logger.info(
        "epoch %d/%d: train loss %.5f, %s, %d rows/s",
        figures.epoch, shared.config.epochs, figures.train_loss, _as_text(figures.validation), figures.rows_per_s,
    )  # fmt: skip
    if shared.config.profile:
        logger.info("profile of the leader so far: %s", percentages(shared.clock.seconds))


def _as_text(validation: dict[str, float]) -> str:
    """Of what could be measured."""
    texts = (f"{_figure_name(name)} {value:.5f}" for name, value in validation.items() if not math.isnan(value))
    return ", ".join(texts)


def _figure_name(name: str) -> str:
    return " ".join(_FIGURE_NAMES.get(word, word) for word in name.split("_"))
