"""Trains two towers on example rows and a table of items, and embeds users and items with them.

Shapes: B rows, I items, D width, W words of an item, T numbers of its text vector.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys import columns as c
from recsys.catalog import ID_INPUTS
from recsys.config import TrainConfig
from recsys.logs import configure_logging
from recsys.manifest import RowGroup
from recsys.models.interactions import Scores
from recsys.models.text_encoder import DIMENSIONS
from recsys.models.two_tower import TwoTower
from recsys.training.batches import Batch, all_items
from recsys.training.export import load_network
from recsys.training.in_blocks import in_blocks
from recsys.training.loop import rows_objective
from recsys.training.objective import LossSum
from recsys.training.run import Trained, TrainingTask, leaders_result, require_ready, trained_on
from recsys.training.transfer import started
from recsys.training.workers import HorovodWorkers, Workers

Columns = Mapping[str, NDArray[Any]]
Embed = Callable[[Columns], Scores]

_ID_NAMES = [i.name for i in ID_INPUTS]
# As the files give them, joined, and by index.
_TEXT_COPIES = 3


@dataclass(frozen=True, kw_only=True)
class TowerTask:
    """All a worker needs; `items`: row groups in `items_folder` that hold each item's words, train rows and, where the
    model reads it, text vector."""

    rows: TrainingTask
    items_folder: str
    items: tuple[RowGroup, ...]

    @property
    def config(self) -> TrainConfig:
        return self.rows.config


def train_towers_on_spark(task: TowerTask, *, slots: int) -> Trained:
    """On `config.workers` of the Spark session's `slots`. Refuses what cannot work before anything starts."""
    require_ready(task.rows, slots=slots, tables_mb=text_mb(task))
    return leaders_result(work_on_towers, task, task.config)


def work_on_towers(task: TowerTask) -> Trained:
    """Runs in every worker process."""
    configure_logging()
    return train_on_towers(task, HorovodWorkers(task.config.step_timeout_s))


def train_on_towers(task: TowerTask, workers: Workers) -> Trained:
    """The same seed gives the same weights; on CPUs to the bit."""
    rows = task.rows
    table = all_items(task.items_folder, task.items, with_text=rows.spec.config.text_vectors)
    size = int(table.item_idx_B.max()) + 1 if len(table) else 0
    words_IW = torch.zeros(size, rows.spec.config.words, dtype=torch.int32)
    text_IT, rows_I = torch.zeros(size, table.text_BT.shape[1]), torch.zeros(size)
    words_IW[table.item_idx_B], rows_I[table.item_idx_B] = table.words_BW, table.rows_B
    text_IT[table.item_idx_B] = table.text_BT

    def build() -> nn.Module:
        network: TwoTower = rows.spec.build(rows.manifest.inputs)
        network.take_words(words_IW)
        network.take_text(text_IT)
        return started(rows.start, network)

    train = rows.manifest.train
    loss_sum = tower_loss(log_shares(rows_I, train.rows), rows_a_positive=train.rows / max(train.positives, 1))
    objective = replace(rows_objective(rows.folder, rows.manifest), loss_sum=loss_sum)
    return trained_on(objective, build, rows.config, workers, checkpoints=rows.checkpoints)


def text_mb(task: TowerTask) -> float:
    """Of the text vectors in one worker, while it makes a table of what it has read; 0 where the model reads none."""
    items = sum(group.rows for group in task.items) if task.rows.spec.config.text_vectors else 0
    return items * DIMENSIONS * torch.float32.itemsize * _TEXT_COPIES / (1 << 20)


def log_shares(rows_I: Tensor, rows: int) -> Tensor:
    """(I + 1,): logarithm of each item's share of the train rows, behind it that of rows without a known item.

    Where there are none, that of one row: nothing is infinite.
    """
    unknown = torch.tensor([max(rows - float(rows_I.sum()), 1.0)])
    return torch.log(torch.cat([rows_I.clamp_min(1.0), unknown]) / max(rows, 1))


def tower_loss(log_share_X: Tensor, *, rows_a_positive: float) -> LossSum:
    """So scaled that its mean over the rows of an epoch is the mean over those with a label.

    A row's negatives are the other rows of its batch, and of no other worker's: the gradient is that of one process.
    """

    def loss_sum(network: nn.Module, batch: Batch, _: TrainConfig, __: int) -> Tensor:
        assert isinstance(network, TwoTower)
        item_idx_B, shares_X = batch.ids_BI[:, 1], log_share_X.to(batch.ids_BI.device)
        last = len(shares_X) - 1
        log_share_B = shares_X[item_idx_B.where((item_idx_B >= 0) & (item_idx_B < last), last)]
        sums = network.loss_sum(batch.ids_BI, batch.numeric_BF, batch.label_B, log_share_B)
        return sums * rows_a_positive

    return loss_sum


@dataclass(frozen=True, kw_only=True)
class _Towers:
    """A trained network and the numeric inputs that it takes, in their order."""

    network: TwoTower
    numeric: tuple[str, ...]

    def users(self, columns: Columns) -> Scores:
        return self._embedded(columns, lambda ids, numeric, *_: self.network.user_vectors(ids, numeric))

    def items(self, columns: Columns) -> Scores:
        return self._embedded(columns, self.network.item_vectors)

    @torch.no_grad()
    def _embedded(self, columns: Columns, vectors: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Scores:
        ids = np.stack([columns[name] for name in _ID_NAMES], axis=1).astype(np.float64)
        numeric = np.stack([columns[name] for name in self.numeric], axis=1).astype(np.float64)
        words = np.asarray(columns.get(c.ITEM_WORDS, np.zeros((len(ids), 1))))
        text = np.asarray(columns.get(c.ITEM_VECTOR, np.zeros((len(ids), 0))))
        parts = [ids, numeric, words, text]
        borders = np.cumsum([part.shape[1] for part in parts[:-1]])

        def of_block(block: NDArray[Any]) -> Scores:
            ids_B, numeric_B, words_B, text_B = (torch.from_numpy(part) for part in np.split(block, borders, axis=1))
            made: Scores = vectors(ids_B.long(), numeric_B.float(), words_B.long(), text_B.float()).numpy()
            return made

        return in_blocks(np.concatenate(parts, axis=1), of_block)


def load_user_tower(folder: str | Path) -> Embed:
    """From columns of catalog.MODEL_INPUTS to the user's vector, row for row; what is said of an item is not read."""
    return _loaded(folder).users


def load_item_tower(folder: str | Path) -> Embed:
    """From those columns, item_words and, where the model reads it, item_vector to the item's vector, row for row; what
    is said of a user is not read."""
    return _loaded(folder).items


class PyfuncTowers:
    """What MLflow's generic loader expects: predict on a pandas DataFrame of model inputs, item_words and perhaps
    item_vector."""

    def __init__(self, towers: _Towers) -> None:
        self._towers = towers

    def predict(self, model_input: Any, params: Any = None) -> NDArray[np.float64]:  # noqa: ARG002  # MLflow's signature
        lists = [name for name in (c.ITEM_WORDS, c.ITEM_VECTOR) if name in model_input]
        columns = {
            **{name: model_input[name].to_numpy() for name in (*_ID_NAMES, *self._towers.numeric)},
            **{name: np.stack([np.asarray(row) for row in model_input[name]]) for name in lists},
        }
        product_B: NDArray[np.float64] = (self._towers.users(columns) * self._towers.items(columns)).sum(
            axis=1, dtype=np.float64
        )
        return product_B


def _load_pyfunc(data_path: str) -> PyfuncTowers:
    return PyfuncTowers(_loaded(data_path))


def _loaded(folder: str | Path) -> _Towers:
    """Uses one thread of the CPU."""
    torch.set_num_threads(1)
    network, inputs = load_network(Path(folder))
    assert isinstance(network, TwoTower)
    return _Towers(network=network, numeric=tuple(inputs.numeric_names))
