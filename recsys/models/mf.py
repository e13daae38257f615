"""Matrix factorisation (Rendle et al. 2009) under a ranking loss. Shapes: see recsys/models/factors.py."""

from torch import Tensor

from recsys.models.factors import FactorNetwork, RankedConfig, unit
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
        drawn = (self.user_UD[user_idx_B], self.item_ID[item_idx_B], self.item_ID[negative_idx_N])
        return ranking_loss_sum(self.config.loss, *drawn, l2=self.config.l2)


def ranking_loss_sum(loss: RankingLoss, user_BD: Tensor, item_BD: Tensor, negative_ND: Tensor, *, l2: float) -> Tensor:
    """`l2` weighs the squared length of the pair's vectors and the mean of its negatives'."""
    penalty_B = user_BD.square().sum(dim=1) + item_BD.square().sum(dim=1) + negative_ND.square().sum(dim=1).mean()
    if loss.is_cosine:
        user_BD, item_BD, negative_ND = unit(user_BD), unit(item_BD), unit(negative_ND)
    rows_B = loss.of_rows((user_BD * item_BD).sum(dim=1), user_BD @ negative_ND.T)
    return (rows_B + l2 * penalty_B).sum() if l2 else rows_B.sum()
