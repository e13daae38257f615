"""Matrix factorisation (Rendle et al. 2009) under a ranking loss.

Shapes: see recsys/models/factors.py; V users of a batch.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from recsys.models.factors import (
    FactorNetwork,
    RankedConfig,
    pair_weights,
    popularity_prior,
    unit,
    users_once,
    with_prior,
)
from recsys.models.interactions import Matrix
from recsys.models.ranking_losses import RankingLoss
from recsys.models.teachers import Teacher


class RankedNetwork(FactorNetwork):
    """Vectors under a ranking loss, with what its configuration adds: weights of users, a prior of items, a teacher."""

    weight_U: Tensor
    prior_I: Tensor

    def __init__(self, config: RankedConfig, matrix_UI: Matrix) -> None:
        super().__init__(config, matrix_UI)
        self.config: RankedConfig = config
        self.teacher = Teacher(config.teacher, matrix_UI) if config.teacher else None
        self.register_buffer("weight_U", pair_weights(matrix_UI, config.user_power), persistent=False)
        self.register_buffer("prior_I", popularity_prior(matrix_UI, config), persistent=False)

    @abstractmethod
    def unscaled(self) -> tuple[Tensor, Tensor]:
        """(U, D) and (I, D), before cosines give them one length."""

    def vectors(self) -> tuple[Tensor, Tensor]:
        user_UD, item_ID = self.unscaled()
        if self.config.loss.is_cosine:
            user_UD, item_ID = unit(user_UD), unit(item_ID)
        return with_prior(user_UD, item_ID, self.prior_I) if self.config.popularity else (user_UD, item_ID)

    def loss_sum(self, user_idx_B: Tensor, item_idx_B: Tensor, negative_idx_N: Tensor) -> Tensor:
        user_UD, item_ID = self.unscaled()
        user_idx_V, row_B = users_once(user_idx_B)
        weight_B = torch.ones(len(row_B), device=row_B.device)
        if self.teacher is not None:
            row_B, item_idx_B, weight_B = self.teacher.with_taught(user_idx_V, row_B, item_idx_B)
        drawn = (user_UD[user_idx_V], row_B, item_ID[item_idx_B], item_ID[negative_idx_N])
        weight_B = weight_B * self.weight_U[user_idx_V][row_B]
        return ranking_loss_sum(self.config.loss, *drawn, l2=self.config.l2, weight_B=weight_B)


class Mf(RankedNetwork):
    def unscaled(self) -> tuple[Tensor, Tensor]:
        return self.user_UD, self.item_ID


def ranking_loss_sum(  # noqa: PLR0913  # what a pair is made of
    loss: RankingLoss,
    user_VD: Tensor,
    row_B: Tensor,
    item_BD: Tensor,
    negative_ND: Tensor,
    *,
    l2: float,
    weight_B: Tensor | None = None,
) -> Tensor:
    """`row_B`: the pair's user; `l2` weighs the squared length of the pair's vectors and the mean of its negatives'.

    Without `weight_B` every pair weighs 1.
    """
    squares_V, squares_B, squares_N = (vectors.square().sum(dim=1) for vectors in (user_VD, item_BD, negative_ND))
    if loss.is_cosine:
        user_VD, item_BD, negative_ND = unit(user_VD), unit(item_BD), unit(negative_ND)
    loss_B = loss.of_pairs((user_VD[row_B] * item_BD).sum(dim=1), user_VD @ negative_ND.T, row_B)
    if l2:
        loss_B = loss_B + l2 * (squares_V[row_B] + squares_B + squares_N.mean())
    return loss_B.sum() if weight_B is None else (loss_B * weight_B).sum()
