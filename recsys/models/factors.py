"""A vector for each user and each item: what all trained models of interactions have in common, and end as.

Shapes: U users, I items, D embedding, B pairs, N negatives.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.interactions import Indexes, Matrix, Scores, degrees, normalized, power
from recsys.models.ranking_losses import RankingLoss
from recsys.models.spectral import leading_vectors, product
from recsys.models.teachers import TeacherConfig

_INITIALS = ("random", "spectral")
_SPECTRAL_ROUNDS = 8
_SPECTRAL_SEED = 7
_RANDOM_STD = 0.1


@dataclass(frozen=True, kw_only=True)
class FactorConfig:
    """See conf/models/mf.yaml for the meaning of each key."""

    dim: int
    initial: str
    negatives: int
    l2: float

    def __post_init__(self) -> None:
        if min(self.dim, self.negatives) < 1:
            raise ConfigError(f"dim and negatives must be at least 1, got {self.dim} and {self.negatives}")
        if self.initial not in _INITIALS:
            raise ConfigError(f"initial: unknown start {self.initial!r}; known starts: {list(_INITIALS)}")

    def negatives_of(self, items: int, seed: Sequence[int]) -> Indexes:
        """(N,) of a step, uniform."""
        return np.random.default_rng(seed).integers(0, items, self.negatives)


@dataclass(frozen=True, kw_only=True)
class RankedConfig(FactorConfig):
    """Of a model that is trained under one of LOSSES, and may learn from a teacher."""

    loss: RankingLoss
    user_power: float = 0.0
    popularity: float = 0.0
    teacher: TeacherConfig | None = None

    def negatives_of(self, items: int, seed: Sequence[int]) -> Indexes:
        return np.arange(items) if self.loss.meets_all_items else super().negatives_of(items, seed)


@dataclass(frozen=True, kw_only=True)
class FactorScores:
    """A fitted model: the score is the product of user and item vector."""

    user_UD: Scores
    item_ID: Scores

    def scores(self, user_idx_B: Indexes) -> Scores:
        return product(self.user_UD[user_idx_B], self.item_ID.T)


class FactorNetwork(nn.Module, ABC):
    """Trainable vectors, and how a batch of taken pairs and shared negatives becomes a loss."""

    def __init__(self, config: FactorConfig, matrix_UI: Matrix) -> None:
        super().__init__()
        self.config = config
        start = _spectral if config.initial == "spectral" else _random
        user_UD, item_ID = start(matrix_UI, config.dim)
        self.user_UD = nn.Parameter(user_UD)
        self.item_ID = nn.Parameter(item_ID)

    @abstractmethod
    def vectors(self) -> tuple[Tensor, Tensor]:
        """(U, D) and (I, D), as pairs are scored by."""

    @abstractmethod
    def loss_sum(self, user_idx_B: Tensor, item_idx_B: Tensor, negative_idx_N: Tensor) -> Tensor:
        """Sum over the pairs; a pair's share does not depend on the batch's other pairs."""

    @torch.no_grad()
    def fitted(self) -> FactorScores:
        user_UD, item_ID = self.vectors()
        return FactorScores(user_UD=user_UD.cpu().numpy(), item_ID=item_ID.cpu().numpy())


def pair_weights(matrix_UI: Matrix, user_power: float) -> Tensor:
    """(U,): a user's pairs by its degree to the power of -`user_power`, 1 on average over all pairs."""
    user_U, _ = degrees(matrix_UI)
    weight_U = power(user_U, -user_power)
    mean = (weight_U * user_U).sum(dtype=np.float64) / max(user_U.sum(dtype=np.float64), 1.0)
    return torch.from_numpy((weight_U / max(mean, 1e-12)).astype(np.float32))


def popularity_prior(matrix_UI: Matrix, config: RankedConfig) -> Tensor:
    """(I,): what an item's score gains by the number of users who took it, on the scale of the loss."""
    _, item_I = degrees(matrix_UI)
    weight = config.popularity * config.loss.temperature
    return torch.from_numpy((weight * np.log(np.maximum(item_I, 1))).astype(np.float32))


def with_prior(user_UD: Tensor, item_ID: Tensor, prior_I: Tensor) -> tuple[Tensor, Tensor]:
    """One number more a vector, so that each product gains the item's prior."""
    return torch.cat([user_UD, torch.ones_like(user_UD[:, :1])], dim=1), torch.cat([item_ID, prior_I[:, None]], dim=1)


def users_once(user_idx_B: Tensor) -> tuple[Tensor, Tensor]:
    """The users of a batch, pairs of one user that follow each other sharing one entry; and each pair's entry."""
    user_idx_V, row_B = user_idx_B.unique_consecutive(return_inverse=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return user_idx_V, row_B


def unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=-1)


def _random(matrix_UI: Matrix, dim: int) -> tuple[Tensor, Tensor]:
    users, items = matrix_UI.shape
    return torch.randn(users, dim) * _RANDOM_STD, torch.randn(items, dim) * _RANDOM_STD


def _spectral(matrix_UI: Matrix, dim: int) -> tuple[Tensor, Tensor]:
    """Leading singular vectors of the normalised matrix by the root of their values, as long as random ones on average.

    Ids without interactions, and dimensions beyond the matrix's, get random numbers a hundredth as long.
    """
    user_UD, item_ID = _random(matrix_UI, dim)
    left_UR, value_R, right_IR = leading_vectors(
        normalized(matrix_UI), dim, rounds=_SPECTRAL_ROUNDS, seed=_SPECTRAL_SEED
    )
    for vectors, leading in ((user_UD, left_UR), (item_ID, right_IR)):
        weighted = leading * np.sqrt(value_R)
        weighted *= _RANDOM_STD / max(float(np.sqrt(np.mean(weighted**2))), 1e-12)
        vectors *= 0.01
        vectors[:, : weighted.shape[1]] += torch.from_numpy(weighted.astype(np.float32))
    return user_UD, item_ID
