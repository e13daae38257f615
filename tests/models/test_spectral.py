import numpy as np
from scipy import sparse

from recsys.models.spectral import leading_vectors

RANDOM = np.random.default_rng(3).standard_normal((30, 20)).astype(np.float32)


def test_leading_vectors_are_those_of_the_dense_decomposition() -> None:
    left_UR, value_R, right_IR = leading_vectors(sparse.csr_matrix(RANDOM), 4, rounds=30, seed=1)
    left, value, right = np.linalg.svd(RANDOM)
    np.testing.assert_allclose(value_R, value[:4], rtol=1e-3)
    np.testing.assert_allclose(np.abs((left[:, :4] * left_UR).sum(axis=0)), np.ones(4), atol=1e-3)
    np.testing.assert_allclose(np.abs((right[:4].T * right_IR).sum(axis=0)), np.ones(4), atol=1e-3)


def test_a_rank_beyond_the_matrix_gives_all_there_are() -> None:
    left_UR, value_R, right_IR = leading_vectors(sparse.csr_matrix(RANDOM), 50, rounds=2, seed=1)
    assert (left_UR.shape, value_R.shape, right_IR.shape) == ((30, 20), (20,), (20, 20))
    np.testing.assert_allclose(left_UR * value_R @ right_IR.T, RANDOM, atol=1e-4)


def test_same_seed_same_vectors() -> None:
    first, again = (leading_vectors(sparse.csr_matrix(RANDOM), 4, rounds=2, seed=5)[2] for _ in range(2))
    assert np.array_equal(first, again)
