"""How well scores rank users' candidates, as sums that workers can add up.

Shapes: P candidates of whole users, U users, K list length.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.manifest import RankingFiles
from recsys.metrics import per_user

K = 10
_METRICS = ("ndcg", "recall")
# As the score job rounds: beyond that, equal candidates may come to differ by their company in a batch.
_SCORE_DECIMALS = 6
# Values are added up as whole numbers of these: the sum depends neither on the workers nor on any order.
_UNITS = 1e12


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Each user's candidates in the order of the items' ids; `relevant_P`: how many items the user bought, named among
    them or not."""

    user_idx_P: NDArray[np.int64]
    score_P: NDArray[np.float64]
    is_bought_P: NDArray[np.bool_]
    relevant_P: NDArray[np.int64]


def ranking_sums(ranked: Ranked) -> Tensor:
    """(2,): NDCG and recall of lists of K, each added up over the users, in whole numbers."""
    sums = torch.zeros(len(_METRICS), dtype=torch.int64)
    if len(ranked.user_idx_P):
        hits_UK, relevant_U = hits(ranked)
        for number, name in enumerate(_METRICS):
            sums[number] = int(np.rint(per_user(name, hits_UK, relevant_U) * _UNITS).astype(np.int64).sum())
    return sums


def ranking_figures(sums: Tensor, files: RankingFiles) -> list[float]:
    """NDCG and recall from all workers' sums: means over all users of the files. What a user bought counts whole,
    candidate or not, and a user without a bought candidate counts as 0. nan without users."""
    return [float(value) / _UNITS / files.users if files.users else float("nan") for value in sums]


def hits(ranked: Ranked) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(U, K): is the candidate at the position bought? And how many items the user bought, (U,).

    Equal scores stand in the rows' order, that of the items' ids, as in the lists that the score job writes.
    """
    best_first_P = np.lexsort((-np.round(ranked.score_P, _SCORE_DECIMALS), ranked.user_idx_P))  # stable
    _, first_U, row_P = np.unique(ranked.user_idx_P[best_first_P], return_index=True, return_inverse=True)
    place_P = np.arange(len(row_P)) - first_U[row_P]
    hits_UK = np.zeros((len(first_U), K), dtype=np.bool_)
    is_listed_P = place_P < K
    hits_UK[row_P[is_listed_P], place_P[is_listed_P]] = ranked.is_bought_P[best_first_P][is_listed_P]
    return hits_UK, ranked.relevant_P[best_first_P][first_U]
