"""Leading singular vectors of a sparse matrix by randomised subspace iteration (Halko, Martinsson, Tropp 2011).

Shapes: U users, I items, R rank, S rank and a few more.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.models.interactions import Matrix

Floats = NDArray[np.float32]
# Columns beyond the rank: the leading ones then settle in a few rounds even where singular values lie close.
_MORE_COLUMNS = 1.15
_MORE_AT_LEAST = 8


def leading_vectors(matrix_UI: Matrix, rank: int, *, rounds: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Left vectors (U, R), singular values (R,) in falling order, right vectors (I, R).

    Fewer than the rank where the matrix has fewer rows or columns. Memory: two dense matrices of the longer side by a
    little more than the rank.
    """
    transposed_IU = matrix_UI.T.tocsr()
    columns = min(max(int(rank * _MORE_COLUMNS), rank + _MORE_AT_LEAST), *matrix_UI.shape)
    basis_IS = np.random.default_rng(seed).standard_normal((matrix_UI.shape[1], columns), dtype=np.float32)
    for _ in range(rounds):
        basis_IS = _orthonormal(transposed_IU @ (matrix_UI @ basis_IS))
    image_US = matrix_UI @ basis_IS
    # The small side: eigenvalues of the image's Gram matrix are the squared singular values.
    square_S, mixing_SS = np.linalg.eigh(product(image_US.T, image_US).astype(np.float64))
    leading = np.argsort(-square_S, kind="stable")[: min(rank, columns)]
    values_R = np.sqrt(np.maximum(square_S[leading], 1e-12)).astype(np.float32)
    mixing_SR = mixing_SS[:, leading].astype(np.float32)
    return product(image_US, mixing_SR) / values_R, values_R, product(basis_IS, mixing_SR)


def product(left: Floats, right: Floats) -> Floats:
    """By torch, whose threads train.threads_per_worker rules; numpy's take every core."""
    result: Floats = (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
    return result


def _orthonormal(vectors: Floats) -> Floats:
    result: Floats = torch.linalg.qr(torch.from_numpy(vectors)).Q.numpy()
    return result
