"""What the user bought before, by how often or how lately, and behind it what most users bought: baselines of shops
where people come back for the same items.

Shapes: U users, I items, B users asked.
"""

from dataclasses import dataclass

import numpy as np

from recsys.models.interactions import Indexes, Matrix, Scores


@dataclass(frozen=True, kw_only=True)
class OwnFirstConfig:
    """Nothing to set."""


@dataclass(frozen=True, kw_only=True)
class OwnFirst:
    """`own_UI`: whole numbers from 1 of what the user bought; `popularity_I` below 1, so that it breaks their ties and
    orders the rest."""

    own_UI: Matrix
    popularity_I: Scores

    def scores(self, user_idx_B: Indexes) -> Scores:
        scores_BI: Scores = self.own_UI[user_idx_B].toarray() + self.popularity_I
        return scores_BI


def fit_own_first(config: OwnFirstConfig, weight_UI: Matrix) -> OwnFirst:  # noqa: ARG001  # one signature for all
    """`weight_UI`: see Kind.weight."""
    users_I = np.bincount(weight_UI.indices, minlength=weight_UI.shape[1])
    return OwnFirst(own_UI=weight_UI, popularity_I=(users_I / (users_I.max(initial=0) + 1)).astype(np.float32))
