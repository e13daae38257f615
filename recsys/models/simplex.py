"""SimpleX (Mao et al. 2021): a user is a vector of its own and the mean of the items that the user took.

In training the taken item is left out of that mean, as it is where the model is used: the model has not seen what the
user will take. Shapes: see recsys/models/factors.py; P all taken pairs, H items taken by the users of a batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recsys.errors import ConfigError
from recsys.models.factors import FactorNetwork, RankedConfig, unit
from recsys.models.interactions import Matrix
from recsys.models.mf import ranking_loss_sum


@dataclass(frozen=True, kw_only=True)
class SimplexConfig(RankedConfig):
    """See conf/models/simplex.yaml for the meaning of each key."""

    own_share: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.own_share < 1:
            raise ConfigError(f"simplex.own_share must be from 0 to below 1 (mf has 1), got {self.own_share}")
        if self.teacher is not None or self.user_power or self.popularity:
            raise ConfigError(
                "simplex takes no teacher, no user_power and no popularity: lightgcn with one layer is near it and does"
            )


class Simplex(FactorNetwork):
    start_U: Tensor
    taken_U: Tensor
    item_idx_P: Tensor

    def __init__(self, config: SimplexConfig, matrix_UI: Matrix) -> None:
        super().__init__(config, matrix_UI)
        self.config: SimplexConfig = config
        start_U = torch.from_numpy(matrix_UI.indptr.astype(np.int64))
        self.register_buffer("start_U", start_U[:-1], persistent=False)
        self.register_buffer("taken_U", start_U.diff(), persistent=False)
        self.register_buffer("item_idx_P", torch.from_numpy(matrix_UI.indices.astype(np.int64)), persistent=False)

    def vectors(self) -> tuple[Tensor, Tensor]:
        every_U = torch.arange(len(self.start_U), device=self.start_U.device)
        mean_UD = self._sum(every_U) / self.taken_U.clamp_min(1)[:, None]
        user_UD = self._mixed(self.user_UD, mean_UD)
        return (unit(user_UD), unit(self.item_ID)) if self.config.loss.is_cosine else (user_UD, self.item_ID)

    def loss_sum(self, user_idx_B: Tensor, item_idx_B: Tensor, negative_idx_N: Tensor) -> Tensor:
        item_BD = self.item_ID[item_idx_B]
        others_B1 = (self.taken_U[user_idx_B] - 1).clamp_min(1)[:, None]
        mean_BD = (self._sum(user_idx_B) - item_BD) / others_B1
        user_BD = self._mixed(self.user_UD[user_idx_B], mean_BD)
        row_B = torch.arange(len(user_BD), device=user_BD.device)
        drawn = (user_BD, row_B, item_BD, self.item_ID[negative_idx_N])
        return ranking_loss_sum(self.config.loss, *drawn, l2=self.config.l2)

    def _mixed(self, own: Tensor, mean: Tensor) -> Tensor:
        return self.config.own_share * own + (1 - self.config.own_share) * mean

    def _sum(self, user_idx_B: Tensor) -> Tensor:
        """Of the vectors of all items that each user took."""
        taken_B = self.taken_U[user_idx_B]
        end_B = taken_B.cumsum(0)
        # Numbers of the users' pairs: each user's run from its own start.
        shift_B = self.start_U[user_idx_B] - (end_B - taken_B)
        pair_H = torch.arange(int(taken_B.sum()), device=taken_B.device) + shift_B.repeat_interleave(taken_B)
        item_idx_H = self.item_idx_P[pair_H]
        if self.item_ID.is_cuda:  # where embedding_bag's gradient has no fixed order, which a training refuses
            row_H = torch.arange(len(taken_B), device=taken_B.device).repeat_interleave(taken_B)
            sum_BD = torch.zeros(len(taken_B), self.item_ID.shape[1], device=taken_B.device)
            return sum_BD.index_add(0, row_H, self.item_ID[item_idx_H])
        return F.embedding_bag(item_idx_H, self.item_ID, end_B - taken_B, mode="sum")
