"""Learning from a closed form: a user's best unseen items in its scores count as taken, with a share of the weight.

A filter knows of neighbours that few pairs show; vectors of a few numbers learn its ranking with the pairs at once
(ranking distillation, Tang and Wang 2018).

Shapes: see recsys/models/factors.py; K taught items a user, V users of a batch, T the batch's pairs with the taught.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.ease import EaseConfig, fit_ease
from recsys.models.graph_filter import GraphFilterConfig, fit_graph_filter
from recsys.models.interactions import Indexes, Matrix, Recommender, Scores
from recsys.models.rank_all import top_items

_BLOCK_USERS = 512


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """See conf/models/lightgcn.yaml for the meaning of each key."""

    weight: float
    items: int
    temperature: float
    graph_filter: GraphFilterConfig | None = None
    ease: EaseConfig | None = None

    def __post_init__(self) -> None:
        if (self.graph_filter is None) == (self.ease is None):
            raise ConfigError("teacher: give either graph_filter or ease, with its settings")
        if self.items < 1 or self.weight <= 0 or self.temperature <= 0:
            raise ConfigError(f"teacher: weight, items and temperature must be above 0, got {self}")


class Teacher(nn.Module):
    item_idx_UK: Tensor
    share_UK: Tensor

    def __init__(self, config: TeacherConfig, matrix_UI: Matrix) -> None:
        super().__init__()
        self.weight = config.weight
        item_idx_UK, score_UK = best_unseen(_fitted(config, matrix_UI), matrix_UI, config.items)
        self.register_buffer("item_idx_UK", torch.from_numpy(item_idx_UK), persistent=False)
        self.register_buffer("share_UK", torch.from_numpy(shares(score_UK, config.temperature)), persistent=False)

    def with_taught(self, user_idx_V: Tensor, row_B: Tensor, item_idx_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, items and weights of the batch's pairs and the taught ones.

        A user's taught items weigh `weight` together for each of its pairs in the batch, so that a pair's share in the
        loss does not depend on the batch's other pairs.
        """
        item_idx_VK, count_V = self.item_idx_UK[user_idx_V], torch.bincount(row_B, minlength=len(user_idx_V))
        weight_VK = self.share_UK[user_idx_V] * (self.weight * count_V[:, None])
        taught_row = torch.arange(len(user_idx_V), device=row_B.device).repeat_interleave(item_idx_VK.shape[1])
        weight_T = torch.cat([torch.ones_like(item_idx_B, dtype=weight_VK.dtype), weight_VK.flatten()])
        return torch.cat([row_B, taught_row]), torch.cat([item_idx_B, item_idx_VK.flatten()]), weight_T


def best_unseen(recommender: Recommender, matrix_UI: Matrix, count: int) -> tuple[Indexes, Scores]:
    """(U, K): the best items that a user did not take, and their scores; -inf where a user has fewer."""
    items, scores = [], []
    for first in range(0, matrix_UI.shape[0], _BLOCK_USERS):
        user_idx_B = np.arange(first, min(first + _BLOCK_USERS, matrix_UI.shape[0]))
        score_BI = recommender.scores(user_idx_B)
        score_BI[matrix_UI[user_idx_B].nonzero()] = -np.inf
        items.append(top_items(score_BI, count))
        scores.append(np.take_along_axis(score_BI, items[-1], axis=1))
    return np.concatenate(items), np.concatenate(scores)


def shares(score_UK: Scores, temperature: float) -> Scores:
    """Softmax of the scores, as parts of the user's best one, over the temperature; all 0 where none is above 0."""
    best_U1 = score_UK[:, :1]
    is_taught = np.isfinite(score_UK) & (best_U1 > 0)
    part_UK = np.where(is_taught, score_UK / np.where(best_U1 > 0, best_U1, 1), -np.inf)
    weight_UK = np.exp((part_UK - 1) / temperature)
    result: Scores = (weight_UK / np.maximum(weight_UK.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return result


def _fitted(config: TeacherConfig, matrix_UI: Matrix) -> Recommender:
    if config.graph_filter is not None:
        return fit_graph_filter(config.graph_filter, matrix_UI)
    assert config.ease is not None, "the configuration has one of the two"
    return fit_ease(config.ease, matrix_UI)
