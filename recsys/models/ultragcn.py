"""UltraGCN (Mao et al. 2021): factors whose loss weighs pairs by degrees, and draws users to their items' neighbours.

Shapes: see recsys/models/factors.py; K item neighbours.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recsys.errors import ConfigError
from recsys.models.factors import FactorConfig, FactorNetwork
from recsys.models.interactions import Matrix, degrees
from recsys.models.neighbours import largest_of_each_row


@dataclass(frozen=True, kw_only=True)
class UltraGcnConfig(FactorConfig):
    """See conf/models/ultragcn.yaml for the meaning of each key."""

    degree_weight: float
    negative_weight: float
    item_neighbours: int
    item_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.item_neighbours < 1:
            raise ConfigError(f"ultragcn.item_neighbours must be at least 1, got {self.item_neighbours}")


class UltraGcn(FactorNetwork):
    user_weight_U: Tensor
    item_weight_I: Tensor
    neighbour_IK: Tensor
    closeness_IK: Tensor

    def __init__(self, config: UltraGcnConfig, matrix_UI: Matrix) -> None:
        super().__init__(config, matrix_UI)
        self.config: UltraGcnConfig = config
        user_U, item_I = degrees(matrix_UI)
        neighbour_IK, closeness_IK = close_items(matrix_UI, config.item_neighbours)
        # The product of the two is what a layer of smoothing would give the pair.
        self.register_buffer("user_weight_U", torch.from_numpy(np.sqrt(user_U + 1) / np.maximum(user_U, 1)))
        self.register_buffer("item_weight_I", torch.from_numpy(1 / np.sqrt(item_I + 1)))
        self.register_buffer("neighbour_IK", torch.from_numpy(neighbour_IK))
        self.register_buffer("closeness_IK", torch.from_numpy(closeness_IK))

    def vectors(self) -> tuple[Tensor, Tensor]:
        return self.user_UD, self.item_ID

    def loss_sum(self, user_idx_B: Tensor, item_idx_B: Tensor, negative_idx_N: Tensor) -> Tensor:
        user_BD, item_BD, negative_ND = self.user_UD[user_idx_B], self.item_ID[item_idx_B], self.item_ID[negative_idx_N]
        user_weight_B = self.user_weight_U[user_idx_B] * self.config.degree_weight
        positive_B = F.softplus(-(user_BD * item_BD).sum(dim=1)) * (1 + user_weight_B * self.item_weight_I[item_idx_B])
        negative_BN = F.softplus((user_BD @ negative_ND.T).float())
        weighted_B = (negative_BN @ self.item_weight_I[negative_idx_N]) * user_weight_B + negative_BN.sum(dim=1)
        negative_B = weighted_B * (self.config.negative_weight / len(negative_idx_N))
        penalty_B = user_BD.square().sum(dim=1) + item_BD.square().sum(dim=1) + negative_ND.square().sum(dim=1).mean()
        neighbours_B = self._neighbour_loss(user_BD, item_idx_B) * self.config.item_weight
        return (positive_B + negative_B + neighbours_B + self.config.l2 * penalty_B).sum()

    def _neighbour_loss(self, user_BD: Tensor, item_idx_B: Tensor) -> Tensor:
        """The user should also like what is close to the item taken."""
        neighbour_BKD = self.item_ID[self.neighbour_IK[item_idx_B]]
        score_BK = (neighbour_BKD @ user_BD[:, :, None])[:, :, 0]
        return (self.closeness_IK[item_idx_B] * F.softplus(-score_BK)).sum(dim=1)


def close_items(matrix_UI: Matrix, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(I, K): the items most often taken together with each, itself left out, and how close; 0 where there are fewer.

    Closeness of i and j is common(i, j) / others(i) * sqrt(all(i) / all(j)): `common` counts users, `all` sums it over
    j, `others` without i itself.
    """
    items = matrix_UI.shape[1]
    common = (matrix_UI.T @ matrix_UI).tocoo()
    all_I = np.bincount(common.row, weights=common.data, minlength=items)
    others_I = np.maximum(all_I - degrees(matrix_UI)[1], 1)
    other = common.row != common.col
    row, column = common.row[other], common.col[other]
    closeness = common.data[other] / others_I[row] * np.sqrt(all_I[row] / all_I[column])
    row, column, closeness = largest_of_each_row(row, column, closeness.astype(np.float32), count)
    place = np.arange(len(row)) - np.searchsorted(row, row)
    neighbour_IK, closeness_IK = np.zeros((items, count), np.int64), np.zeros((items, count), np.float32)
    neighbour_IK[row, place], closeness_IK[row, place] = column, closeness
    return neighbour_IK, closeness_IK
