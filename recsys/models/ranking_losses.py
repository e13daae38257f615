"""Losses that place taken items before others, by name; each row meets the same negatives, so workers' sums add up.

Shapes: B pairs, N negatives.
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

    def of_rows(self, positive_B: Tensor, negative_BN: Tensor) -> Tensor:
        """(B,), from scores before the temperature."""
        if positive_B.shape != negative_BN.shape[:1] or negative_BN.dim() != 2:
            got = f"{tuple(positive_B.shape)} and {tuple(negative_BN.shape)}"
            raise ValueError(f"scores of positives and negatives must have shapes (B,) and (B, N), got {got}")
        return LOSSES[self.name](self, positive_B, negative_BN)


def bpr(loss: RankingLoss, positive_B: Tensor, negative_BN: Tensor) -> Tensor:
    """Mean over negatives of -log sigmoid of the lead (Rendle et al. 2009)."""
    return F.softplus((negative_BN - positive_B[:, None]) / loss.temperature).mean(dim=1)


def cosine_contrastive(loss: RankingLoss, positive_B: Tensor, negative_BN: Tensor) -> Tensor:
    """1 - positive, and the mean by which negatives pass the margin (Mao et al. 2021); on cosines."""
    return 1 - positive_B + loss.negative_weight * F.relu(negative_BN - loss.margin).mean(dim=1)


def sampled_softmax(loss: RankingLoss, positive_B: Tensor, negative_BN: Tensor) -> Tensor:
    """-log of the positive's share among itself and uniform negatives (Wu et al. 2022)."""
    positive_B = positive_B / loss.temperature
    return torch.logaddexp(positive_B, torch.logsumexp(negative_BN / loss.temperature, dim=1)) - positive_B


LOSSES: dict[str, Callable[[RankingLoss, Tensor, Tensor], Tensor]] = {
    "bpr": bpr,
    "cosine_contrastive": cosine_contrastive,
    "sampled_softmax": sampled_softmax,
}
