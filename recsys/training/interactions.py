"""Trains a model of interactions on files of taken pairs, in the loop of all others; a closed form is solved at once.

Shapes: U users, I items, P pairs, B pairs of a batch, N negatives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from recsys import columns as c
from recsys.config import TrainConfig
from recsys.families import CLOSED_FORM, FACTORS
from recsys.logs import configure_logging
from recsys.manifest import RowGroup
from recsys.models.factors import FactorNetwork
from recsys.models.interactions import (
    Indexes,
    Known,
    Matrix,
    Recommender,
    Scores,
    interaction_matrix,
    known_of,
    weighted_matrix,
)
from recsys.models.nodes import NO_CATEGORY, Graph, edges_alone, nodes_of
from recsys.models.rank_all import metric_sums
from recsys.models.registry import Spec
from recsys.training.batches import (
    PairBatch,
    all_nodes,
    all_pairs,
    all_weighted_pairs,
    files_of_pairs,
    shuffled_pairs,
)
from recsys.training.loop import Fit
from recsys.training.objective import VALIDATION_NDCG, VALIDATION_RECALL, LossSum, Objective
from recsys.training.requirements import require_memory
from recsys.training.run import Trained, built, leaders_result, require_row_groups, require_slots, trained_from
from recsys.training.transfer import Start, started
from recsys.training.watch import ALLREDUCE
from recsys.training.workers import HorovodWorkers, Workers

_VALIDATION_METRICS = ("recall", "ndcg")
_VALIDATION_K = 20
_VALIDATION_USERS = 512


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
    checkpoints: str | None = None
    start: Start | None = None


@dataclass(frozen=True, kw_only=True)
class PairTrained(Trained):
    """`scores`: of the best epoch, from the leader alone. A closed form has no epochs: best is 0, the curve empty."""

    scores: Recommender | None
    known: Known


def train_pairs_on_spark(task: PairTask, *, slots: int) -> PairTrained:
    """On `config.workers` of the Spark session's `slots`. Refuses what cannot work before anything starts."""
    require_slots(task.config, slots)
    require_row_groups(task.config, len(task.row_groups))
    if task.spec.family == FACTORS:
        sizes = {c.USER_IDX: task.users, c.ITEM_IDX: task.items, c.CATEGORY_IDX: task.categories}
        require_memory(task.spec, None, sizes, task.config)
    return leaders_result(work_on_pairs, task, task.config)


def work_on_pairs(task: PairTask) -> PairTrained:
    """Runs in every worker process."""
    configure_logging()
    return train_on_pairs(task, HorovodWorkers(task.config.step_timeout_s))


def train_on_pairs(task: PairTask, workers: Workers) -> PairTrained:
    """The same seed gives the same vectors; on CPUs to the bit."""
    torch.set_num_threads(task.config.threads_per_worker)
    seen_UI = _matrix(task, task.row_groups)
    return _solved(task, seen_UI, workers) if task.spec.family == CLOSED_FORM else _fitted(task, seen_UI, workers)


def _solved(task: PairTask, seen_UI: Matrix, workers: Workers) -> PairTrained:
    scores = task.spec.build(learned_from(task, seen_UI)) if workers.is_leader else None
    return PairTrained(scores=scores, known=known_of(seen_UI), state=b"", best_epoch=0, curve=(), seconds={})


def _fitted(task: PairTask, seen_UI: Matrix, workers: Workers) -> PairTrained:
    network = built(partial(network_of, task, seen_UI), task.config, workers)
    objective = objective_of(task, seen_UI)
    trained = trained_from(network, objective, task.config, workers, checkpoints=task.checkpoints)
    return PairTrained(
        **vars(trained), scores=network.eval().fitted() if workers.is_leader else None, known=known_of(seen_UI)
    )


def network_of(task: PairTask, seen_UI: Matrix) -> FactorNetwork:
    network: FactorNetwork = task.spec.build(learned_from(task, seen_UI))
    started(task.start, network)
    return network


def objective_of(task: PairTask, seen_UI: Matrix) -> Objective:
    return Objective(
        family=FACTORS,
        row_groups=task.row_groups,
        read=partial(shuffled_pairs, task.folder),
        loss_sum=loss_sum_of(task),
        validate=partial(validate, seen_UI, _matrix(task, task.held_out)),
        files_of=partial(files_of_pairs, task.folder),
    )


def loss_sum_of(task: PairTask) -> LossSum:
    """All workers draw a step's negatives alike, so that the gradient is that of one process."""

    def loss_sum(network: nn.Module, batch: PairBatch, config: TrainConfig, step: int) -> Tensor:
        assert isinstance(network, FactorNetwork)
        drawn = task.spec.config.negatives_of(task.items, [config.seed, step])
        negative_idx_N = torch.from_numpy(drawn).to(batch.item_idx_B.device)
        return network.loss_sum(batch.user_idx_B, batch.item_idx_B, negative_idx_N)

    return loss_sum


def _matrix(task: PairTask, row_groups: Sequence[RowGroup]) -> Matrix:
    pairs = all_pairs(task.folder, row_groups)
    return interaction_matrix(pairs.user_idx_B.numpy(), pairs.item_idx_B.numpy(), users=task.users, items=task.items)


def learned_from(task: PairTask, seen_UI: Matrix) -> Matrix | Graph:
    if task.spec.weight is not None:
        return _weighted(task, task.spec.weight)
    if not task.spec.reads_nodes:
        return seen_UI
    if not (task.user_nodes and task.item_nodes):
        return edges_alone(seen_UI)
    user_UF, _ = _node_table(task, task.user_nodes, task.users)
    item_IF, category_I = _node_table(task, task.item_nodes, task.items)
    return Graph(matrix_UI=seen_UI, nodes=nodes_of(seen_UI, user_UF, item_IF, category_I, task.categories))


def _weighted(task: PairTask, weight: str) -> Matrix:
    pairs = all_weighted_pairs(task.folder, task.row_groups, weight)
    user_P, item_P, weight_P = pairs.user_idx_P.numpy(), pairs.item_idx_P.numpy(), pairs.weight_P.numpy()
    return weighted_matrix(user_P, item_P, weight_P, users=task.users, items=task.items)


def _node_table(task: PairTask, row_groups: Sequence[RowGroup], size: int) -> tuple[Scores, Indexes]:
    """By index the numbers, 0 where no row says them, and the category, -1 where none does."""
    nodes = all_nodes(task.folder, row_groups)
    idx = nodes.idx_B.numpy()
    number_XF = np.zeros((size, nodes.number_BF.shape[1]), dtype=np.float32)
    category_X = np.full(size, NO_CATEGORY)
    number_XF[idx], category_X[idx] = nodes.number_BF.numpy(), nodes.category_B.numpy()
    return number_XF, category_X


def validate(seen_UI: Matrix, held_out_UI: Matrix, shared: Fit) -> dict[str, float]:
    """Mean recall and NDCG of lists of 20 over the users with held-out pairs, each worker counting its share of them;
    nan without such pairs."""
    users = np.flatnonzero(np.diff(held_out_UI.indptr))
    sums = torch.zeros(len(_VALIDATION_METRICS), dtype=torch.float64)
    if len(users):
        sums += _own_sums(seen_UI, held_out_UI, users[shared.workers.index :: shared.workers.count], shared)
        shared.clock.enter(ALLREDUCE)
        shared.workers.add_up([sums])
        shared.clock.enter("validation")
    values = (float(value) / len(users) if len(users) else float("nan") for value in sums)
    return dict(zip((VALIDATION_RECALL, VALIDATION_NDCG), values, strict=True))


def _own_sums(seen_UI: Matrix, held_out_UI: Matrix, users: Indexes, shared: Fit) -> Tensor:
    assert isinstance(shared.model, FactorNetwork)
    shared.clock.enter("validation")
    fitted: Recommender = shared.model.eval().fitted()
    sums = np.zeros(len(_VALIDATION_METRICS))
    for first in range(0, len(users), _VALIDATION_USERS):
        shared.clock.enter("validation")  # again, block by block: so the watchdog sees that it goes on
        block = users[first : first + _VALIDATION_USERS]
        sums += metric_sums(fitted, seen_UI, held_out_UI, block, k=_VALIDATION_K, metrics=_VALIDATION_METRICS)
    return torch.from_numpy(sums)
