"""A network of histories, trained on what each user took before the held-out item, as a recommender."""

import io
import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.splits import Split
from benchmarks.training_processes import trained_by
from recsys import columns as c
from recsys.config import TrainConfig
from recsys.models.histories import Histories, histories_of, newest, windows, without_last
from recsys.models.interactions import Indexes, Scores
from recsys.models.registry import Spec
from recsys.models.sequences import NO_ITEM, SequenceNetwork
from recsys.training.sequence_files import write_sequence_files
from recsys.training.sequences import SequenceTask, train_on_sequences, work_on_sequences

logger = logging.getLogger(__name__)

ROW_GROUPS = 16


@dataclass(frozen=True, kw_only=True)
class HistoryScores:
    """Scores of what comes after each user's whole history; `validation`: figures of the epoch that was kept."""

    network: SequenceNetwork
    history_UL: Indexes
    validation: dict[str, float]

    def scores(self, user_idx_B: Indexes) -> Scores:
        scores: Scores = self.network.scores(torch.from_numpy(self.history_UL[user_idx_B])).numpy()
        return scores


def sequence_recommender(spec: Spec, config: TrainConfig, split: Split, seed: int) -> HistoryScores:
    """The epoch with the best figure on each user's last train item is kept; only those before it are trained on."""
    taken = histories_of(*split.train, users=split.users)
    with tempfile.TemporaryDirectory() as folder:
        task = task_of(spec, replace(config, seed=seed), taken, split.items, Path(folder))
        trained = trained_by(train_on_sequences, work_on_sequences, task)
    best = trained.curve[trained.best_epoch - 1]
    logger.info("epoch %d of %d is kept", best.epoch, len(trained.curve))
    network: SequenceNetwork = spec.build(split.items)
    network.load_state_dict(torch.load(io.BytesIO(trained.state), weights_only=True))
    history_UL = newest(taken, spec.config.history)
    return HistoryScores(network=network.eval(), history_UL=history_UL, validation=best.validation)


def task_of(spec: Spec, config: TrainConfig, taken: Histories, items: int, folder: Path) -> SequenceTask:
    size = spec.config.history + 1
    train_RS = windows(without_last(taken), size)
    validation_US = newest(taken, size)[np.diff(taken.start_U) > 1]
    return SequenceTask(
        spec=spec,
        config=config,
        folder=str(folder),
        train=write_sequence_files(folder, c.TRAIN, train_RS, row_groups=ROW_GROUPS, seed=config.seed),
        validation=write_sequence_files(folder, c.VALIDATION, validation_US, row_groups=ROW_GROUPS, seed=config.seed),
        items=items,
        targets=int((train_RS[:, 1:] != NO_ITEM).sum()),
    )
