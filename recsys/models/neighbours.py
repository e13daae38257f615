"""Nearest neighbours by the cosine of who took what, of items (Deshpande and Karypis 2004) and of users.

Shapes: N things compared, M what they are compared by, U users, I items, B users asked.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.errors import ConfigError
from recsys.models.interactions import Indexes, Matrix, Scores

_BLOCK_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class NeighboursConfig:
    """See conf/models/item_knn.yaml for the meaning of each key."""

    neighbours: int
    shrink: float

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.shrink < 0:
            raise ConfigError(f"neighbours must be at least 1 and shrink at least 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class ItemKnn:
    history_UI: Matrix
    similarity_II: Matrix

    def scores(self, user_idx_B: Indexes) -> Scores:
        return _dense(self.history_UI[user_idx_B] @ self.similarity_II)

    def weights(self, taken_P: Indexes, item_P: Indexes) -> Scores:
        """(P,): what a taken item adds to an item's score."""
        return np.asarray(self.similarity_II[taken_P, item_P], dtype=np.float32).ravel()


@dataclass(frozen=True, kw_only=True)
class UserKnn:
    history_UI: Matrix
    similarity_UU: Matrix

    def scores(self, user_idx_B: Indexes) -> Scores:
        return _dense(self.similarity_UU[user_idx_B] @ self.history_UI)


def fit_item_knn(config: NeighboursConfig, matrix_UI: Matrix) -> ItemKnn:
    # Row i holds the neighbours of i: transposed, so that a taken item adds to those whose neighbour it is.
    similarity_II = nearest(matrix_UI.T.tocsr(), config).T.tocsr()
    return ItemKnn(history_UI=matrix_UI, similarity_II=similarity_II)


def fit_user_knn(config: NeighboursConfig, matrix_UI: Matrix) -> UserKnn:
    return UserKnn(history_UI=matrix_UI, similarity_UU=nearest(matrix_UI, config))


def nearest(matrix_NM: Matrix, config: NeighboursConfig) -> Matrix:
    """(N, N): cosines, in each row only the largest and never the row's own; equal ones by the lower number."""
    transposed_MN = matrix_NM.T.tocsr()
    norm_N = np.sqrt(np.asarray(matrix_NM.sum(axis=1), dtype=np.float32).ravel())
    blocks = []
    for first in range(0, matrix_NM.shape[0], _BLOCK_ROWS):
        common = (matrix_NM[first : first + _BLOCK_ROWS] @ transposed_MN).tocoo()
        row, column = common.row + first, common.col
        cosine = common.data / (norm_N[row] * norm_N[column] + config.shrink)
        other = row != column
        blocks.append(largest_of_each_row(row[other], column[other], cosine[other], config.neighbours))
    row, column, cosine = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return sparse.csr_matrix((cosine, (row, column)), shape=(matrix_NM.shape[0],) * 2, dtype=np.float32)


def largest_of_each_row(row: Indexes, column: Indexes, value: Scores, count: int) -> tuple[Indexes, Indexes, Scores]:
    """Of a matrix's entries, row by row, the largest first; equal ones by the lower column."""
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = place < count
    return row[kept], column[kept], value[kept]


def _dense(scores_BI: Matrix) -> Scores:
    return np.asarray(scores_BI.toarray(), dtype=np.float32)
