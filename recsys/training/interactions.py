"""Trains a model of interactions on files of taken pairs: same steps, same negatives on every worker.

Shapes: U users, I items, P pairs, B pairs of a step, N negatives.
"""

import copy
import itertools
import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.families import CLOSED_FORM
from recsys.logs import configure_logging
from recsys.manifest import RowGroup
from recsys.models.factors import FactorNetwork
from recsys.models.interactions import Indexes, Known, Matrix, Recommender, Scores, interaction_matrix, known_of
from recsys.models.nodes import NO_CATEGORY, Graph, edges_alone, nodes_of
from recsys.models.rank_all import metric_sums
from recsys.models.registry import Spec
from recsys.training.batches import PairBatch, all_nodes, all_pairs, shuffled_pairs
from recsys.training.export import state_bytes
from recsys.training.loop import device_for
from recsys.training.optimization import build_optimizer, learning_rate_at, refine_gradient, set_learning_rate
from recsys.training.plan import EpochPlan, plan_epoch
from recsys.training.run import leaders_result, require_row_groups, require_slots
from recsys.training.transfer import Start, started
from recsys.training.workers import HorovodWorkers, Workers

logger = logging.getLogger(__name__)

_VALIDATION_METRICS = ("recall", "ndcg")
_VALIDATION_K = 20


@dataclass(frozen=True, kw_only=True)
class PairTask:
    """All a worker needs; `held_out`: row groups of validation pairs, none for no validation.

    `user_nodes`, `item_nodes`, with the number of `categories`: what a model of node features reads of them; without,
    it has the graph's edges alone.
    """

    spec: Spec
    config: TrainConfig
    folder: str
    row_groups: tuple[RowGroup, ...]
    users: int
    items: int
    held_out: tuple[RowGroup, ...] = ()
    categories: int = 0
    user_nodes: tuple[RowGroup, ...] = ()
    item_nodes: tuple[RowGroup, ...] = ()
    start: Start | None = None


@dataclass(frozen=True, kw_only=True)
class PairEpoch:
    """Mean loss a pair; validation metrics of lists of 20, nan without held-out pairs."""

    epoch: int
    train_loss: float
    recall: float
    ndcg: float
    rows_per_s: float


@dataclass(kw_only=True)
class _Best:
    """The epoch with the highest validation NDCG; without one, the last."""

    epoch: int = 0
    ndcg: float = float("nan")
    state: dict[str, Any] = field(default_factory=dict)

    def look_at(self, figures: PairEpoch, network: FactorNetwork) -> None:
        # nan is never "worse": without held-out pairs the last epoch wins.
        if not figures.ndcg <= self.ndcg:
            self.epoch, self.ndcg, self.state = figures.epoch, figures.ndcg, copy.deepcopy(network.state_dict())


@dataclass(frozen=True, kw_only=True)
class PairTrained:
    """`scores`: of the epoch with the best validation NDCG (the last without one), from the leader only.

    `state`: the network's own, see state_bytes, to start from. A closed form has no epochs: `best_epoch` is 0 and the
    curve empty.
    """

    scores: Recommender | None
    known: Known
    best_epoch: int
    curve: tuple[PairEpoch, ...]
    state: bytes = b""


@dataclass(frozen=True, kw_only=True)
class PairFit:
    """What all steps of one training share."""

    network: FactorNetwork
    optimizer: torch.optim.Optimizer
    task: PairTask
    workers: Workers
    device: torch.device
    negatives: int
    seen_UI: Matrix
    held_out_UI: Matrix


def train_pairs_on_spark(task: PairTask, *, slots: int) -> PairTrained:
    """On `config.workers` of the Spark session's `slots`. Refuses what cannot work before anything starts."""
    require_slots(task.config, slots)
    require_row_groups(task.config, len(task.row_groups))
    return leaders_result(work_on_pairs, task, task.config)


def work_on_pairs(task: PairTask) -> PairTrained:
    """Runs in every worker process."""
    configure_logging()
    return train_on_pairs(task, HorovodWorkers(task.config.step_timeout_s))


def train_on_pairs(task: PairTask, workers: Workers) -> PairTrained:
    """The same seed gives the same vectors. Raises ConfigError where the loss is not finite or diverges."""
    torch.set_num_threads(task.config.threads_per_worker)
    seen_UI = _matrix(task, task.row_groups)
    if task.spec.family == CLOSED_FORM:
        fitted = task.spec.build(seen_UI) if workers.is_leader else None
        return PairTrained(scores=fitted, known=known_of(seen_UI), best_epoch=0, curve=())
    shared, best = _started(task, seen_UI, workers), _Best()
    curve: list[PairEpoch] = []
    for epoch in range(1, task.config.epochs + 1):
        curve.append(_epoch(shared, epoch))
        best.look_at(curve[-1], shared.network)
        if 0 < task.config.patience <= epoch - best.epoch:
            break
    shared.network.load_state_dict(best.state)
    return PairTrained(
        scores=shared.network.fitted() if workers.is_leader else None,
        known=known_of(seen_UI),
        best_epoch=best.epoch,
        curve=tuple(curve),
        state=state_bytes(shared.network) if workers.is_leader else b"",
    )


def _matrix(task: PairTask, row_groups: Sequence[RowGroup]) -> Matrix:
    pairs = all_pairs(task.folder, row_groups)
    return interaction_matrix(pairs.user_idx_B.numpy(), pairs.item_idx_B.numpy(), users=task.users, items=task.items)


def learned_from(task: PairTask, seen_UI: Matrix) -> Matrix | Graph:
    if not task.spec.reads_nodes:
        return seen_UI
    if not (task.user_nodes and task.item_nodes):
        return edges_alone(seen_UI)
    user_UF, _ = _node_table(task, task.user_nodes, task.users)
    item_IF, category_I = _node_table(task, task.item_nodes, task.items)
    return Graph(matrix_UI=seen_UI, nodes=nodes_of(seen_UI, user_UF, item_IF, category_I, task.categories))


def _node_table(task: PairTask, row_groups: Sequence[RowGroup], size: int) -> tuple[Scores, Indexes]:
    """By index the numbers, 0 where no row says them, and the category, -1 where none does."""
    nodes = all_nodes(task.folder, row_groups)
    idx = nodes.idx_B.numpy()
    number_XF = np.zeros((size, nodes.number_BF.shape[1]), dtype=np.float32)
    category_X = np.full(size, NO_CATEGORY)
    number_XF[idx], category_X[idx] = nodes.number_BF.numpy(), nodes.category_B.numpy()
    return number_XF, category_X


def _started(task: PairTask, seen_UI: Matrix, workers: Workers) -> PairFit:
    torch.manual_seed(task.config.seed)
    device = device_for(task.config.device, workers.local_index)
    network: FactorNetwork = task.spec.build(learned_from(task, seen_UI))
    started(task.start, network)
    network.to(device)
    workers.start_alike(network)
    return PairFit(
        network=network,
        optimizer=build_optimizer(network.parameters(), task.config, workers=workers.count),
        task=task,
        workers=workers,
        device=device,
        negatives=task.spec.config.negatives,
        seen_UI=seen_UI,
        held_out_UI=_matrix(task, task.held_out),
    )


def _epoch(shared: PairFit, epoch: int) -> PairEpoch:
    config, workers = shared.task.config, shared.workers
    started = time.monotonic()
    plan = plan_epoch(
        shared.task.row_groups,
        epoch=epoch, seed=config.seed, workers=workers.count, batch_size=config.batch_size,
        batches_a_step=config.batches_a_step,
    )  # fmt: skip
    batches = shuffled_pairs(
        shared.task.folder,
        plan.row_groups[workers.index],
        batch_size=config.batch_size,
        buffer_rows=config.shuffle_buffer_rows,
        seed=(config.seed, epoch, workers.index),
    )
    # Closed at once when a step fails: a reader left open keeps its threads.
    with closing(batches):
        train_loss = _steps(shared, plan, batches, epoch)
    rows_per_s = sum(plan.step_rows) / (time.monotonic() - started)
    recall, ndcg = validate(shared)
    if workers.is_leader:
        logger.info(
            "epoch %d/%d: train loss %.5f, validation recall@20 %.5f, ndcg@20 %.5f, %d rows/s",
            epoch, config.epochs, train_loss, recall, ndcg, rows_per_s,
        )  # fmt: skip
    return PairEpoch(epoch=epoch, train_loss=train_loss, recall=recall, ndcg=ndcg, rows_per_s=rows_per_s)


def _steps(shared: PairFit, plan: EpochPlan, batches: Iterator[PairBatch], epoch: int) -> float:
    shared.network.train()
    config, task, steps = shared.task.config, shared.task, len(plan.step_rows)
    # The negatives are the same on every worker, so that the gradient is that of one process.
    generator = np.random.default_rng([config.seed, epoch])
    loss_sum = 0.0
    for step, rows in enumerate(plan.step_rows):
        share = (epoch - 1 + step / steps) / config.epochs
        set_learning_rate(shared.optimizer, learning_rate_at(share, config, workers=shared.workers.count))
        negative_idx_N = torch.from_numpy(generator.integers(0, task.items, shared.negatives))
        own = itertools.islice(batches, plan.batches_a_step)
        loss = float(take_pair_step(shared, own, negative_idx_N, rows))
        if not (math.isfinite(loss) and loss <= config.max_loss):
            raise ConfigError(
                f"training stopped: the loss became {loss:g} in epoch {epoch}, step {step + 1} of {steps} "
                f"(train.max_loss is {config.max_loss:g}). Cure: a smaller train.learning_rate (it is multiplied by "
                "train.workers) or a train.clip_norm"
            )
        loss_sum += loss * rows
    return loss_sum / sum(plan.step_rows)


def take_pair_step(shared: PairFit, batches: Iterable[PairBatch], negative_idx_N: Tensor, global_rows: int) -> Tensor:
    """One update from all workers' pairs; returns their mean loss. A worker without pairs adds zeros."""
    loss = torch.zeros((), device=shared.device)
    compute_pair_gradient(shared, batches, negative_idx_N, global_rows, loss)
    refine_gradient(shared.network.parameters(), shared.task.config)
    shared.optimizer.step()
    return loss


def compute_pair_gradient(
    shared: PairFit, batches: Iterable[PairBatch], negative_idx_N: Tensor, global_rows: int, loss: Tensor
) -> None:
    """Leaves the gradient of the mean loss over all workers' pairs in the parameters, and that loss in `loss`."""
    shared.optimizer.zero_grad(set_to_none=True)
    for batch in batches:
        indexes = (tensor.to(shared.device) for tensor in (batch.user_idx_B, batch.item_idx_B, negative_idx_N))
        own_loss = shared.network.loss_sum(*indexes) / global_rows
        own_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        loss += own_loss.detach()
    gradients = [_gradient(parameter) for parameter in shared.network.parameters()]
    shared.workers.add_up([*gradients, loss])


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def validate(shared: PairFit) -> tuple[float, float]:
    """Mean recall and NDCG over the users with held-out pairs, each worker counting its share of them."""
    workers, truth_UI = shared.workers, shared.held_out_UI
    users = np.flatnonzero(np.diff(truth_UI.indptr))
    if not len(users):
        return float("nan"), float("nan")
    sums = metric_sums(
        shared.network.eval().fitted(), shared.seen_UI, truth_UI, users[workers.index :: workers.count],
        k=_VALIDATION_K, metrics=_VALIDATION_METRICS,
    )  # fmt: skip
    total = torch.from_numpy(sums)
    workers.add_up([total])
    recall, ndcg = (float(value) / len(users) for value in total)
    return recall, ndcg
