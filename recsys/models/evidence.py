"""What a score owes to each item that the user took: by how much it falls where that item is taken away.

Shapes: B users, K recommended items, H items taken, D embedding, I items.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.models.interactions import Indexes, Scores

NONE = -1  # fills up rows of items
Contributions = NDArray[np.float64]

# Of the mean square length of the taken items' vectors: near-equal vectors share what they explain.
_RIDGE = 0.1
_TINY = 1e-12


def by_vectors(user_BD: Scores, item_ID: Scores, taken_BH: Indexes, item_BK: Indexes) -> Contributions:
    """(B, K, H), of models whose score is the product of vectors, the user's being learned.

    The user's vector is written as a sum of taken items' vectors and a rest, by ridge regression; an item's
    contribution is its part of the sum times the recommended item's vector. Without that part the score is less by
    just so much.
    """
    part_BHD = parts(user_BD, item_ID, taken_BH)
    contribution_BKH: Contributions = part_BHD @ _vectors(item_ID, item_BK).transpose(0, 2, 1)
    return contribution_BKH.transpose(0, 2, 1)


def parts(user_BD: Scores, item_ID: Scores, taken_BH: Indexes) -> Contributions:
    """(B, H, D): of each user's vector the part of each taken item."""
    taken_BHD = _vectors(item_ID, taken_BH)
    gram_BHH = taken_BHD @ taken_BHD.transpose(0, 2, 1)
    count_B = np.maximum((taken_BH != NONE).sum(axis=1), 1)
    ridge_B = _RIDGE * np.trace(gram_BHH, axis1=1, axis2=2) / count_B + _TINY
    gram_BHH += ridge_B[:, None, None] * np.eye(taken_BH.shape[1])
    along_BH1 = taken_BHD @ user_BD.astype(np.float64)[:, :, None]
    share_BH1 = np.linalg.solve(gram_BHH, along_BH1)
    part_BHD: Contributions = share_BH1 * taken_BHD
    return part_BHD


def rows_of(start_B: Indexes, item_idx_P: Indexes, user_idx_B: Indexes) -> Indexes:
    """(B, H) the items of rows of a sparse matrix (indptr, indices), filled up with NONE."""
    count_B = start_B[user_idx_B + 1] - start_B[user_idx_B]
    taken_BH = np.full((len(user_idx_B), int(count_B.max(initial=0))), NONE, dtype=np.int64)
    row_P = np.repeat(np.arange(len(user_idx_B)), count_B)
    place_P = np.arange(len(row_P)) - np.repeat(np.cumsum(count_B) - count_B, count_B)
    taken_BH[row_P, place_P] = item_idx_P[np.repeat(start_B[user_idx_B], count_B) + place_P]
    return taken_BH


def num_there(taken_BH: Indexes) -> Indexes:
    """(B,): items of each row."""
    count_B: Indexes = (taken_BH != NONE).sum(axis=1)
    return count_B


def _vectors(item_ID: Scores, item_BX: Indexes) -> Contributions:
    """(B, X, D) in 64-bit numbers; zeros for NONE, and for items that came after the training."""
    is_there_BX = (item_BX != NONE) & (item_BX < len(item_ID))
    vector_BXD: Contributions = item_ID[np.where(is_there_BX, item_BX, 0)].astype(np.float64)
    vector_BXD[~is_there_BX] = 0
    return vector_BXD
