"""The same list for everyone: how many users took each item."""

from dataclasses import dataclass

import numpy as np

from recsys.models.interactions import Indexes, Matrix, Scores, degrees


@dataclass(frozen=True, kw_only=True)
class PopularConfig:
    """Nothing to set."""


@dataclass(frozen=True, kw_only=True)
class Popular:
    degree_I: Scores

    def scores(self, user_idx_B: Indexes) -> Scores:
        return np.tile(self.degree_I, (len(user_idx_B), 1))


def fit_popular(config: PopularConfig, matrix_UI: Matrix) -> Popular:  # noqa: ARG001  # one signature for all
    return Popular(degree_I=degrees(matrix_UI)[1])
