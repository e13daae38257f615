"""Matrix factorisation (Rendle et al. 2009) under a ranking loss.

Shapes: see recsys/models/factors.py; V users of a batch.
"""

from torch import Tensor

from recsys.models.factors import FactorNetwork, RankedConfig, unit, users_once
from recsys.models.interactions import Matrix
from recsys.models.ranking_losses import RankingLoss


class Mf(FactorNetwork):
    def __init__(self, config: RankedConfig, matrix_UI: Matrix) -> None:
        super().__init__(config, matrix_UI)
        self.config: RankedConfig = config

    def vectors(self) -> tuple[Tensor, Tensor]:
        if self.config.loss.is_cosine:
            return unit(self.user_UD), unit(self.item_ID)
        return self.user_UD, self.item_ID

    def loss_sum(self, user_idx_B: Tensor, item_idx_B: Tensor, negative_idx_N: Tensor) -> Tensor:
        user_idx_V, row_B = users_once(user_idx_B)
        drawn = (self.user_UD[user_idx_V], row_B, self.item_ID[item_idx_B], self.item_ID[negative_idx_N])
        return ranking_loss_sum(self.config.loss, *drawn, l2=self.config.l2)


def ranking_loss_sum(
    loss: RankingLoss, user_VD: Tensor, row_B: Tensor, item_BD: Tensor, negative_ND: Tensor, *, l2: float
) -> Tensor:
    """`row_B`: the pair's user; `l2` weighs the squared length of the pair's vectors and the mean of its negatives'."""
    squares_V, squares_B, squares_N = (vectors.square().sum(dim=1) for vectors in (user_VD, item_BD, negative_ND))
    if loss.is_cosine:
        user_VD, item_BD, negative_ND = unit(user_VD), unit(item_BD), unit(negative_ND)
    loss_B = loss.of_pairs((user_VD[row_B] * item_BD).sum(dim=1), user_VD @ negative_ND.T, row_B)
    return (loss_B + l2 * (squares_V[row_B] + squares_B + squares_N.mean())).sum() if l2 else loss_B.sum()
