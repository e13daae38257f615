"""Losses that place taken items before others, by name; all pairs meet the same negatives, so workers' sums add up.

What meets the negatives is a pair's user: pairs of one user share that row, and most losses look at it once.

Shapes: B pairs, V rows of users, N negatives.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recsys.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RankingLoss:
    """Which loss and its numbers; see conf/models/mf.yaml for the meaning of each key."""

    name: str
    is_cosine: bool
    temperature: float
    margin: float
    negative_weight: float

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise ConfigError(f"loss.name: unknown loss {self.name!r}; known losses: {sorted(LOSSES)}")
        if self.temperature <= 0:
            raise ConfigError(f"loss.temperature must be above 0, got {self.temperature}")
        if self.name == "cosine_contrastive" and not self.is_cosine:
            raise ConfigError(
                "loss.name cosine_contrastive needs loss.is_cosine: true: without it longer vectors make the loss as "
                "small as one likes"
            )

    @property
    def meets_all_items(self) -> bool:
        """Whether all items stand in the negatives' place, none drawn."""
        return self.name == "softmax"

    def of_pairs(self, positive_B: Tensor, negative_VN: Tensor, row_B: Tensor) -> Tensor:
        """(B,), from scores before the temperature; `row_B`: which of the V rows is the pair's user."""
        if positive_B.shape != row_B.shape or positive_B.dim() != 1 or negative_VN.dim() != 2:
            got = ", ".join(str(tuple(tensor.shape)) for tensor in (positive_B, negative_VN, row_B))
            raise ValueError(f"positives, negatives and rows must have shapes (B,), (V, N) and (B,), got {got}")
        # In 32-bit numbers whatever the precision of the scores: a temperature makes small differences count.
        return LOSSES[self.name](self, positive_B.float(), negative_VN.float(), row_B)


def bpr(loss: RankingLoss, positive_B: Tensor, negative_VN: Tensor, row_B: Tensor) -> Tensor:
    """Mean over negatives of -log sigmoid of the lead (Rendle et al. 2009)."""
    return F.softplus((negative_VN[row_B] - positive_B[:, None]) / loss.temperature).mean(dim=1)


def binary_cross_entropy(loss: RankingLoss, positive_B: Tensor, negative_VN: Tensor, row_B: Tensor) -> Tensor:
    """-log sigmoid of the positive, and the weighted mean of that of the negated negatives (He et al. 2017)."""
    refused_V = F.softplus(negative_VN / loss.temperature).mean(dim=1)
    return F.softplus(-positive_B / loss.temperature) + loss.negative_weight * refused_V[row_B]


def cosine_contrastive(loss: RankingLoss, positive_B: Tensor, negative_VN: Tensor, row_B: Tensor) -> Tensor:
    """1 - positive, and the mean by which negatives pass the margin (Mao et al. 2021); on cosines."""
    passed_V = F.relu(negative_VN - loss.margin).mean(dim=1)
    return 1 - positive_B + loss.negative_weight * passed_V[row_B]


def sampled_softmax(loss: RankingLoss, positive_B: Tensor, negative_VN: Tensor, row_B: Tensor) -> Tensor:
    """-log of the positive's share among itself and uniform negatives (Wu et al. 2022)."""
    positive_B = positive_B / loss.temperature
    negatives_V = torch.logsumexp(negative_VN / loss.temperature, dim=1)
    return torch.logaddexp(positive_B, negatives_V[row_B]) - positive_B


def softmax(loss: RankingLoss, positive_B: Tensor, item_VI: Tensor, row_B: Tensor) -> Tensor:
    """-log of the positive's share among all items, which stand in the negatives' place, itself included."""
    all_V = torch.logsumexp(item_VI / loss.temperature, dim=1)
    return all_V[row_B] - positive_B / loss.temperature


def squared_error(loss: RankingLoss, positive_B: Tensor, negative_VN: Tensor, row_B: Tensor) -> Tensor:
    """Of the positive against 1, and the weighted mean of the negatives' against 0 (Hu et al. 2008)."""
    square_V = negative_VN.square().mean(dim=1)
    return (1 - positive_B).square() + loss.negative_weight * square_V[row_B]


LOSSES: dict[str, Callable[[RankingLoss, Tensor, Tensor, Tensor], Tensor]] = {
    "binary_cross_entropy": binary_cross_entropy,
    "bpr": bpr,
    "cosine_contrastive": cosine_contrastive,
    "sampled_softmax": sampled_softmax,
    "softmax": softmax,
    "squared_error": squared_error,
}
