"""Metrics of a recommender that ranks all items for each user but those the user took in training.

Shapes: U users, I items, B users of a block, K list length.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.metrics import per_user
from recsys.models.interactions import Indexes, Matrix, Recommender, Scores

_BLOCK_USERS = 512


def metric_sums(
    recommender: Recommender, seen_UI: Matrix, truth_UI: Matrix, users: Indexes, *, k: int, metrics: Sequence[str]
) -> NDArray[np.float64]:
    """Sum over `users`, each with a truth, of each metric: workers can add theirs up."""
    sums = np.zeros(len(metrics))
    for first in range(0, len(users), _BLOCK_USERS):
        user_idx_B = users[first : first + _BLOCK_USERS]
        hits_BK = hits(recommender.scores(user_idx_B), seen_UI[user_idx_B], truth_UI[user_idx_B], k)
        relevant_B = np.diff(truth_UI.indptr)[user_idx_B].astype(np.int64)
        sums += [per_user(name, hits_BK, relevant_B).sum() for name in metrics]
    return sums


def hits(scores_BI: Scores, seen_BI: Matrix, truth_BI: Matrix, k: int) -> NDArray[np.bool_]:
    """(B, K): is the item at the position in the truth? False where a user has fewer unseen items than K."""
    scores_BI[seen_BI.nonzero()] = -np.inf
    top_BK = top_items(scores_BI, k)
    truth = np.zeros(scores_BI.shape, dtype=bool)
    truth[truth_BI.nonzero()] = True
    truth[seen_BI.nonzero()] = False
    found_BK: NDArray[np.bool_] = np.take_along_axis(truth, top_BK, axis=1)
    return found_BK


def top_items(scores_BI: Scores, k: int) -> Indexes:
    """The K best of each row, best first; equal scores in the items' order."""
    k = min(k, scores_BI.shape[1])
    border_B = torch.topk(torch.from_numpy(scores_BI), k, dim=1).values[:, -1].numpy()
    row, item = np.nonzero(scores_BI >= border_B[:, None])
    order = np.lexsort((item, -scores_BI[row, item], row))
    row, item = row[order], item[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    top_BK: Indexes = item[place < k].reshape(len(scores_BI), k)
    return top_BK
