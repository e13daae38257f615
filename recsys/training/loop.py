"""The training loop: same steps on every worker, the gradient of the whole global batch, progress and validation.

Shapes: B batch.
"""

import copy
import logging
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.logs import PROGRESS_EVERY_S
from recsys.manifest import Manifest
from recsys.training.batches import Batch, ordered_batches, shuffled_batches
from recsys.training.losses import ValidationSums, log_loss_sum, validation_figures
from recsys.training.plan import EpochPlan, plan_epoch
from recsys.training.workers import Workers

logger = logging.getLogger(__name__)

_VALIDATION_BATCH_ROWS = 8192


@dataclass(frozen=True, kw_only=True)
class EpochFigures:
    """Mean log-loss a row; the area under the ROC curve of the validation rows; nan without validation rows."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_auc: float
    rows_per_s: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """`state`: the parameters after `best_epoch`, the one with the lowest validation loss (the last without one)."""

    state: dict[str, Any]
    best_epoch: int
    curve: tuple[EpochFigures, ...]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What all steps of one training share."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    workers: Workers
    device: torch.device


def fit(model: nn.Module, folder: str, manifest: Manifest, config: TrainConfig, workers: Workers) -> Fitted:
    """Trains in place. Raises ConfigError where the loss is not finite, on all workers at the same step."""
    device = device_for(config.device, workers.local_index)
    model.to(device)
    workers.start_alike(model)
    learning_rate = config.learning_rate * workers.count
    # Fused: on a CPU ten times as fast, which shows on large embeddings.
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=config.weight_decay, fused=True)
    shared = Fit(model=model, optimizer=optimizer, config=config, workers=workers, device=device)
    curve: list[EpochFigures] = []
    best: tuple[float, int, dict[str, Any]] | None = None
    for epoch in range(1, config.epochs + 1):
        figures = _epoch(shared, folder, manifest, epoch)
        curve.append(figures)
        # Without validation rows the loss is nan, which is never "worse": the last epoch wins.
        if best is None or not figures.validation_loss >= best[0]:
            best = (figures.validation_loss, epoch, copy.deepcopy(model.state_dict()))
    assert best is not None, "the configuration asks for at least one epoch"
    model.load_state_dict(best[2])
    return Fitted(state=best[2], best_epoch=best[1], curve=tuple(curve))


def device_for(setting: str, local_index: int) -> torch.device:
    if setting == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device is cuda, but torch finds no GPU here. Cure: train.device=auto or cpu")
    if setting == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_index % torch.cuda.device_count())


def _epoch(shared: Fit, folder: str, manifest: Manifest, epoch: int) -> EpochFigures:
    config, workers = shared.config, shared.workers
    started = time.monotonic()
    plan = plan_epoch(
        manifest.train.row_groups,
        epoch=epoch, seed=config.seed, workers=workers.count, batch_size=config.batch_size,
    )  # fmt: skip
    batches = shuffled_batches(
        folder,
        plan.row_groups[workers.index],
        batch_size=config.batch_size,
        buffer_rows=config.shuffle_buffer_rows,
        seed=(config.seed, epoch, workers.index),
    )
    # Closed at once when a step fails: a reader left open keeps its threads.
    with closing(batches):
        train_loss = _train_steps(shared, plan, batches, epoch)
    rows_per_s = manifest.train.rows / (time.monotonic() - started)
    validation_loss, validation_auc = validate(shared, folder, manifest)
    if workers.is_leader:
        logger.info(
            "epoch %d/%d: train loss %.5f, validation loss %.5f, validation AUC %.5f, %d rows/s",
            epoch, config.epochs, train_loss, validation_loss, validation_auc, rows_per_s,
        )  # fmt: skip
    return EpochFigures(
        epoch=epoch,
        train_loss=train_loss,
        validation_loss=validation_loss,
        validation_auc=validation_auc,
        rows_per_s=rows_per_s,
    )


def _train_steps(shared: Fit, plan: EpochPlan, batches: Iterator[Batch], epoch: int) -> float:
    shared.model.train()
    progress = _Progress(plan, epoch, shared.config.epochs, is_shown=shared.workers.is_leader)
    loss_sum = 0.0
    for step, rows in enumerate(plan.step_rows):
        loss = float(take_step(shared, next(batches, None), rows))
        if not math.isfinite(loss):
            raise ConfigError(
                f"training stopped: the loss became {loss} in epoch {epoch}, step {step + 1} of {len(plan.step_rows)}. "
                "Cure: a smaller train.learning_rate (it is multiplied by train.workers), or look for values that are "
                "not finite in examples.pairs"
            )
        loss_sum += loss * rows
        progress.show(step, loss)
    return loss_sum / sum(plan.step_rows)


def take_step(shared: Fit, batch: Batch | None, global_rows: int) -> Tensor:
    """One update from all workers' batches; returns their mean loss a row. A worker without rows adds zeros."""
    compute_gradient(shared, batch, global_rows, loss := torch.zeros((), device=shared.device))
    shared.optimizer.step()
    return loss


def compute_gradient(shared: Fit, batch: Batch | None, global_rows: int, loss: Tensor) -> None:
    """Leaves the gradient of the mean loss over all workers' rows in the parameters, and that loss in `loss`."""
    shared.optimizer.zero_grad(set_to_none=True)
    if batch is not None:
        on_device = batch.to(shared.device)
        logit_B = shared.model(on_device.ids_BI, on_device.numeric_BF)
        own_loss = log_loss_sum(logit_B, on_device.label_B) / global_rows
        own_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        loss += own_loss.detach()
    gradients = [_gradient(parameter) for parameter in shared.model.parameters()]
    shared.workers.add_up([*gradients, loss])


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


@torch.no_grad()
def validate(shared: Fit, folder: str, manifest: Manifest) -> tuple[float, float]:
    """Mean log-loss and area under the ROC curve over all workers' rows."""
    shared.model.eval()
    plan = plan_epoch(
        manifest.validation.row_groups,
        epoch=0, seed=0, workers=shared.workers.count, batch_size=_VALIDATION_BATCH_ROWS,
    )  # fmt: skip
    sums = ValidationSums(shared.device)
    own = plan.row_groups[shared.workers.index]
    with closing(ordered_batches(folder, own, batch_size=_VALIDATION_BATCH_ROWS)) as batches:
        for batch in batches:
            on_device = batch.to(shared.device)
            sums.add(shared.model(on_device.ids_BI, on_device.numeric_BF), on_device.label_B)
    total = sums.vector()
    shared.workers.add_up([total])
    return validation_figures(total)


class _Progress:
    """A line every few seconds: where, how fast, how good, how long still."""

    def __init__(self, plan: EpochPlan, epoch: int, epochs: int, *, is_shown: bool) -> None:
        self._plan, self._epoch, self._epochs, self._is_shown = plan, epoch, epochs, is_shown
        self._started = self._last = time.monotonic()
        self._rows = 0

    def show(self, step: int, loss: float) -> None:
        self._rows += self._plan.step_rows[step]
        now = time.monotonic()
        if not self._is_shown or now - self._last < PROGRESS_EVERY_S:
            return
        self._last = now
        rows_per_s = self._rows / (now - self._started)
        epoch_rows = sum(self._plan.step_rows)
        rows_left = epoch_rows - self._rows + epoch_rows * (self._epochs - self._epoch)
        logger.info(
            "epoch %d/%d, step %d/%d: %d rows/s, loss %.4f, about %d s left",
            self._epoch, self._epochs, step + 1, len(self._plan.step_rows), rows_per_s, loss, rows_left / rows_per_s,
        )  # fmt: skip
