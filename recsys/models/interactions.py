"""Who took what, as a sparse matrix, and what every recommender made from it answers.

Shapes: P pairs, U users, I items, B users asked.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Indexes = NDArray[np.int64]
Scores = NDArray[np.float32]
# A scipy csr_matrix, which has no types: rows are users, columns items; 1 where the user took the item.
Matrix: TypeAlias = Any


@dataclass(frozen=True, kw_only=True)
class Known:
    """Whom and what a recommender learned of: those with an interaction. Of others it has a row, but no knowledge."""

    user_U: NDArray[np.bool_]
    item_I: NDArray[np.bool_]


class Recommender(Protocol):
    """A dataclass of arrays, sparse matrices and numbers alone: export.save_recommender writes just these."""

    def scores(self, user_idx_B: Indexes) -> Scores:
        """(B, I) over all items, seen ones too; the higher the better."""


def interaction_matrix(user_idx_P: Indexes, item_idx_P: Indexes, *, users: int, items: int) -> Matrix:
    """(U, I); a pair that comes twice counts once."""
    ones_P = np.ones(len(user_idx_P), dtype=np.float32)
    matrix_UI = sparse.csr_matrix((ones_P, (user_idx_P, item_idx_P)), shape=(users, items))
    matrix_UI.data[:] = 1.0
    return matrix_UI


def weighted_matrix(user_idx_P: Indexes, item_idx_P: Indexes, weight_P: Scores, *, users: int, items: int) -> Matrix:
    """(U, I) of the pairs' weights; a pair comes once."""
    return sparse.csr_matrix((weight_P.astype(np.float32), (user_idx_P, item_idx_P)), shape=(users, items))


def degrees(matrix_UI: Matrix) -> tuple[Scores, Scores]:
    """Items a user took, (U,), and users who took an item, (I,)."""
    user_U, item_I = matrix_UI.sum(axis=1), matrix_UI.sum(axis=0)
    return np.asarray(user_U, dtype=np.float32).ravel(), np.asarray(item_I, dtype=np.float32).ravel()


def known_of(matrix_UI: Matrix) -> Known:
    user_U, item_I = degrees(matrix_UI)
    return Known(user_U=user_U > 0, item_I=item_I > 0)


def power(values: Scores, exponent: float) -> Scores:
    """Of values above 0; 0 stays 0 whatever the exponent."""
    result = np.zeros_like(values)
    np.power(values, exponent, out=result, where=values > 0)
    return result


def normalized(matrix_UI: Matrix, user_power: float = 0.5, item_power: float = 0.5) -> Matrix:
    """Each entry divided by its user's and its item's degree to the given powers; float32."""
    user_U, item_I = degrees(matrix_UI)
    left, right = sparse.diags(power(user_U, -user_power)), sparse.diags(power(item_I, -item_power))
    return sparse.csr_matrix(left @ matrix_UI @ right, dtype=np.float32)
