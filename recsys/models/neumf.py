"""NeuMF (He et al. 2017): a product of vectors beside a network over other vectors of the user and the item.

The network's first layer is the sum of a part of the user and a part of the item, so that all items of many users need
each part once. Shapes: see recsys/models/factors.py; H first and G second hidden layer, V users of a batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.factors import FactorNetwork, RankedConfig, users_once
from recsys.models.interactions import Indexes, Matrix, Scores
from recsys.models.spectral import product


@dataclass(frozen=True, kw_only=True)
class NeuMfConfig(RankedConfig):
    """See conf/models/neumf.yaml for the meaning of each key."""

    hidden: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.hidden) != 2 or min(self.hidden) < 1:
            raise ConfigError(f"neumf.hidden must be two widths of at least 1, got {list(self.hidden)}")
        if self.loss.is_cosine or self.teacher is not None or self.user_power or self.popularity:
            raise ConfigError(
                "neumf takes no loss.is_cosine and no popularity (its score is no product), no teacher, no user_power"
            )
        if self.loss.meets_all_items:
            raise ConfigError(
                "neumf takes no loss.name softmax: its layers would meet every item for every user of a batch"
            )


@dataclass(frozen=True, kw_only=True)
class NeuMfScores:
    """A fitted model. `user_UD` holds the weights of the product, `user_first_UH` the first layer's bias."""

    user_UD: Scores
    item_ID: Scores
    user_first_UH: Scores
    item_first_IH: Scores
    second_HG: Scores
    second_G: Scores
    last_G: Scores

    def scores(self, user_idx_B: Indexes) -> Scores:
        """User by user: a user's hidden layers over all items are as large as a block of many users' scores."""
        score_BI = product(self.user_UD[user_idx_B], self.item_ID.T)
        for score_I, first_H in zip(score_BI, self.user_first_UH[user_idx_B], strict=True):
            first_IH = np.maximum(self.item_first_IH + first_H, 0)
            score_I += np.maximum(first_IH @ self.second_HG + self.second_G, 0) @ self.last_G
        return score_BI


class NeuMf(FactorNetwork):
    def __init__(self, config: NeuMfConfig, matrix_UI: Matrix) -> None:
        super().__init__(config, matrix_UI)
        self.config: NeuMfConfig = config
        (users, items), (first, second) = matrix_UI.shape, config.hidden
        self.network_user_UD = nn.Parameter(torch.randn(users, config.dim) * 0.1)
        self.network_item_ID = nn.Parameter(torch.randn(items, config.dim) * 0.1)
        self.first_of_user = nn.Linear(config.dim, first)
        self.first_of_item = nn.Linear(config.dim, first, bias=False)
        self.second = nn.Linear(first, second)
        self.last = nn.Linear(second, 1, bias=False)
        self.product_D = nn.Parameter(torch.ones(config.dim))

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Of the product alone."""
        return self.user_UD * self.product_D, self.item_ID

    def loss_sum(self, user_idx_B: Tensor, item_idx_B: Tensor, negative_idx_N: Tensor) -> Tensor:
        user_idx_V, row_B = users_once(user_idx_B)
        user_VD, user_first_VH = self.user_UD[user_idx_V] * self.product_D, self._first_of_users(user_idx_V)
        item_BD, negative_ND = self.item_ID[item_idx_B], self.item_ID[negative_idx_N]
        item_first_BH, negative_first_NH = self._first_of_items(item_idx_B), self._first_of_items(negative_idx_N)
        positive_B = (user_VD[row_B] * item_BD).sum(dim=1) + self._rest(user_first_VH[row_B] + item_first_BH)
        negative_VN = user_VD @ negative_ND.T + self._rest(user_first_VH[:, None] + negative_first_NH)
        loss_B = self.config.loss.of_pairs(positive_B, negative_VN, row_B)
        return (loss_B + self.config.l2 * self._squares(user_idx_B, item_idx_B)).sum()

    @torch.no_grad()
    def fitted(self) -> NeuMfScores:  # type: ignore[override]  # scores are no product of vectors
        user_UD, item_ID = self.vectors()
        every_user, every_item = (torch.arange(len(rows), device=rows.device) for rows in (user_UD, item_ID))
        arrays = {
            "user_UD": user_UD, "item_ID": item_ID,
            "user_first_UH": self._first_of_users(every_user), "item_first_IH": self._first_of_items(every_item),
            "second_HG": self.second.weight.T, "second_G": self.second.bias, "last_G": self.last.weight[0],
        }  # fmt: skip
        return NeuMfScores(**{name: np.ascontiguousarray(tensor.cpu().numpy()) for name, tensor in arrays.items()})

    def _first_of_users(self, user_idx: Tensor) -> Tensor:
        first: Tensor = self.first_of_user(self.network_user_UD[user_idx])
        return first

    def _first_of_items(self, item_idx: Tensor) -> Tensor:
        first: Tensor = self.first_of_item(self.network_item_ID[item_idx])
        return first

    def _rest(self, first: Tensor) -> Tensor:
        """(..., H) to (...)."""
        score: Tensor = self.last(F.relu(self.second(F.relu(first))))[..., 0]
        return score

    def _squares(self, user_idx_B: Tensor, item_idx_B: Tensor) -> Tensor:
        tables = (
            (self.user_UD, user_idx_B), (self.network_user_UD, user_idx_B),
            (self.item_ID, item_idx_B), (self.network_item_ID, item_idx_B),
        )  # fmt: skip
        return torch.stack([vectors[index_B].square().sum(dim=1) for vectors, index_B in tables]).sum(dim=0)
