"""Implicit alternating least squares (Hu, Koren and Volinsky 2008), as Spark solves it. Shapes: U users, I items."""

from dataclasses import dataclass

from recsys.errors import ConfigError
from recsys.models.factors import FactorScores
from recsys.models.interactions import Scores


@dataclass(frozen=True, kw_only=True)
class AlsConfig:
    """See conf/models/als.yaml for the meaning of each key."""

    dim: int
    iterations: int
    l2: float
    alpha: float
    blocks: int

    def __post_init__(self) -> None:
        if min(self.dim, self.iterations, self.blocks) < 1 or min(self.l2, self.alpha) < 0:
            raise ConfigError(
                f"als: dim, iterations and blocks must be at least 1, l2 and alpha at least 0, got {self}"
            )


def scores_of(_: AlsConfig, vectors: tuple[Scores, Scores]) -> FactorScores:
    """`vectors` of users and of items, by index."""
    user_UD, item_ID = vectors
    return FactorScores(user_UD=user_UD, item_ID=item_ID)
