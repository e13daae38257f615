"""Trains a network of histories in the loop of all others, judged by the rank of each user's held-out next item.

Shapes: B rows, L places of a history, S = L + 1, I items, K length of the lists, N negatives.
"""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys import columns as c
from recsys.config import TrainConfig
from recsys.errors import InputError
from recsys.families import HISTORIES
from recsys.logs import configure_logging
from recsys.manifest import RowGroup
from recsys.metrics import per_user
from recsys.models.registry import Spec
from recsys.models.sequences import NO_ITEM, SequenceNetwork
from recsys.training.batches import SequenceBatch, ordered_sequences, shuffled_sequences
from recsys.training.loop import Fit
from recsys.training.objective import VALIDATION_HIT_RATE, VALIDATION_NDCG, LossSum, Objective
from recsys.training.plan import plan_epoch
from recsys.training.requirements import require_memory
from recsys.training.run import Trained, leaders_result, require_row_groups, require_slots, trained_on
from recsys.training.transfer import Start, started
from recsys.training.workers import HorovodWorkers, Workers

_K = 10
_METRICS = ("hit_rate", "ndcg")
_VALIDATION_BATCH_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class SequenceTask:
    """All a worker needs. Rows of both kinds have history + 1 places; the last item of a validation row is held out.

    `targets`: items of the train rows but each row's first. `may_repeat`: items of the history take part in the
    validation's ranking, as they do in lists that may name what a user took before.
    """

    spec: Spec
    config: TrainConfig
    folder: str
    train: tuple[RowGroup, ...]
    validation: tuple[RowGroup, ...]
    items: int
    targets: int
    may_repeat: bool = False
    checkpoints: str | None = None
    start: Start | None = None


def train_sequences_on_spark(task: SequenceTask, *, slots: int) -> Trained:
    """On `config.workers` of the Spark session's `slots`. Refuses what cannot work before anything starts."""
    require_slots(task.config, slots)
    require_row_groups(task.config, len(task.train))
    require_memory(task.spec, task.items, {c.ITEM_IDX: task.items}, task.config)
    return leaders_result(work_on_sequences, task, task.config)


def work_on_sequences(task: SequenceTask) -> Trained:
    """Runs in every worker process."""
    configure_logging()
    return train_on_sequences(task, HorovodWorkers(task.config.step_timeout_s))


def train_on_sequences(task: SequenceTask, workers: Workers) -> Trained:
    """The same seed gives the same weights. Raises InputError without anything to learn."""
    if not task.targets:
        raise InputError(f"the {len(task.train)} train files hold no row of two items: nothing comes next in any")
    return trained_on(
        objective_of(task), partial(_network_of, task), task.config, workers, checkpoints=task.checkpoints
    )


def _network_of(task: SequenceTask) -> nn.Module:
    return started(task.start, task.spec.build(task.items))


def objective_of(task: SequenceTask) -> Objective:
    return Objective(
        family=HISTORIES,
        row_groups=task.train,
        read=partial(shuffled_sequences, task.folder),
        loss_sum=loss_sum_of(task),
        validate=partial(validate, task),
    )


def loss_sum_of(task: SequenceTask) -> LossSum:
    """So scaled that its mean over the rows of an epoch is the mean over the targets.

    All workers draw a step's negatives alike, so that the gradient is that of one process.
    """
    targets_a_row = task.targets / sum(group.rows for group in task.train)

    def loss_sum(network: nn.Module, batch: SequenceBatch, config: TrainConfig, step: int) -> Tensor:
        assert isinstance(network, SequenceNetwork)
        drawn = np.random.default_rng([config.seed, step]).integers(1, task.items + 1, task.spec.config.negatives)
        negative_idx_N = torch.from_numpy(drawn).to(batch.item_idx_BS.device)
        return network.loss_sum(batch.item_idx_BS, negative_idx_N) / targets_a_row

    return loss_sum


@torch.no_grad()
def validate(task: SequenceTask, shared: Fit) -> dict[str, float]:
    """Mean hit rate and NDCG of lists of 10 from all items, without those of the row where nothing may repeat; nan
    without validation rows."""
    shared.model.eval()
    rows = sum(group.rows for group in task.validation)
    sums = torch.zeros(len(_METRICS), dtype=torch.float64)
    if rows:
        sums = _own_sums(task, shared)
        shared.workers.add_up([sums])
    values = (float(value) / rows if rows else float("nan") for value in sums)
    return dict(zip((VALIDATION_HIT_RATE, VALIDATION_NDCG), values, strict=True))


def _own_sums(task: SequenceTask, shared: Fit) -> Tensor:
    workers = shared.workers
    plan = plan_epoch(task.validation, epoch=0, seed=0, workers=workers.count, batch_size=_VALIDATION_BATCH_ROWS)
    sums = np.zeros(len(_METRICS))
    own = plan.row_groups[workers.index]
    with closing(ordered_sequences(task.folder, own, batch_size=_VALIDATION_BATCH_ROWS)) as batches:
        for batch in batches:
            shared.clock.enter("validation")
            item_idx_BS = batch.to(shared.device).item_idx_BS
            sums += _sums_of_batch(shared.model, item_idx_BS, may_repeat=task.may_repeat)
    return torch.from_numpy(sums)


def _sums_of_batch(network: Any, item_idx_BS: Tensor, *, may_repeat: bool) -> NDArray[np.float64]:
    history_BL, target_B = split_last(item_idx_BS)
    hidden_BL = torch.full_like(history_BL, NO_ITEM) if may_repeat else history_BL
    return sums_of_ranks(target_ranks(network.scores(history_BL), hidden_BL, target_B))


def sums_of_ranks(rank_B: Tensor) -> NDArray[np.float64]:
    """Hit rate and NDCG of lists of 10, summed over the rows."""
    hits_BK = rank_B.cpu().numpy()[:, None] == np.arange(_K)
    return np.array([per_user(name, hits_BK, np.ones(len(hits_BK), dtype=np.int64)).sum() for name in _METRICS])


def split_last(item_idx_BS: Tensor) -> tuple[Tensor, Tensor]:
    """Each row without its last item, one place shorter, and that item."""
    last_B1 = (item_idx_BS != NO_ITEM).sum(dim=1, keepdim=True) - 1
    target_B1 = item_idx_BS.gather(1, last_B1)
    return item_idx_BS.scatter(1, last_B1, NO_ITEM)[:, :-1], target_B1[:, 0]


def target_ranks(score_BI: Tensor, history_BL: Tensor, target_B: Tensor) -> Tensor:
    """How many items not in the history stand before the target; equal scores stand in the items' order.

    A target that is in the history stands behind all. Overwrites the scores: they are the largest tensor by far.
    """
    target_B1 = target_B[:, None] - 1
    own_B1 = score_BI.gather(1, target_B1)
    # The target takes no part in the count, so it may stand where the history is filled up.
    hidden_BL = torch.where(history_BL == NO_ITEM, target_B1, history_BL - 1)
    score_BI.scatter_(1, torch.cat([hidden_BL, target_B1], dim=1), float("-inf"))
    items = score_BI.shape[1]
    is_earlier_BI = torch.arange(items, device=score_BI.device) < target_B1
    rank_B = ((score_BI > own_B1) | ((score_BI == own_B1) & is_earlier_BI)).sum(dim=1)
    return rank_B.where((history_BL != target_B[:, None]).all(dim=1), items)
