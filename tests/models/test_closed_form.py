"""Neighbours, EASE and popularity on tables small enough for an answer by hand."""

import numpy as np
import pytest

from recsys.errors import ConfigError
from recsys.models.ease import EaseConfig, fit_ease
from recsys.models.interactions import interaction_matrix, power, weighted_matrix
from recsys.models.neighbours import NeighboursConfig, fit_item_knn, fit_user_knn, nearest
from recsys.models.own_first import OwnFirstConfig, fit_own_first
from recsys.models.popular import PopularConfig, fit_popular
from recsys.models.ultragcn import close_items

# Item 0 was taken by users 0, 1 and 2, item 1 by 0 and 1, item 2 by 2.
TAKEN_UI = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=np.float32)
MATRIX_UI = interaction_matrix(*np.nonzero(TAKEN_UI), users=4, items=3)


def test_a_pair_that_comes_twice_counts_once() -> None:
    twice = interaction_matrix(np.array([0, 0]), np.array([1, 1]), users=1, items=2)
    assert twice.toarray().tolist() == [[0.0, 1.0]]


def test_a_power_of_nothing_is_nothing() -> None:
    assert power(np.array([0, 4], dtype=np.float32), -0.5).tolist() == [0.0, 0.5]


def test_popular_items_come_first_for_everyone() -> None:
    assert fit_popular(PopularConfig(), MATRIX_UI).scores(np.array([3, 0])).tolist() == [[3, 2, 1], [3, 2, 1]]


def test_own_items_come_first_by_their_number_and_popular_ones_behind() -> None:
    # User 2 bought item 2 on three days and item 0 on one; user 1 both of the others equally often.
    weight_P = np.array([1, 2, 2, 2, 1, 3], dtype=np.float32)
    weight_UI = weighted_matrix(*np.nonzero(TAKEN_UI), weight_P, users=4, items=3)
    scores_BI = fit_own_first(OwnFirstConfig(), weight_UI).scores(np.array([2, 1, 3]))
    np.testing.assert_allclose(scores_BI, [[1.75, 0.5, 3.25], [2.75, 2.5, 0.25], [0.75, 0.5, 0.25]])
    assert scores_BI.dtype == np.float32


def test_neighbours_are_the_largest_cosines_without_the_item_itself() -> None:
    similar = nearest(MATRIX_UI.T.tocsr(), NeighboursConfig(neighbours=1, shrink=0.0)).toarray()
    expected = [[0, 2 / np.sqrt(6), 0], [2 / np.sqrt(6), 0, 0], [1 / np.sqrt(3), 0, 0]]
    np.testing.assert_allclose(similar, expected, rtol=1e-6)


def test_shrinking_counts_pairs_with_little_support_less() -> None:
    similar = nearest(MATRIX_UI.T.tocsr(), NeighboursConfig(neighbours=2, shrink=1.0)).toarray()
    assert similar[0, 2] == pytest.approx(1 / (np.sqrt(3) + 1))


def test_equal_neighbours_are_taken_in_their_order() -> None:
    alike = interaction_matrix(np.array([0, 0, 0]), np.array([0, 1, 2]), users=1, items=3)
    similar = nearest(alike.T.tocsr(), NeighboursConfig(neighbours=1, shrink=0.0)).toarray()
    assert similar.tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]


def test_item_neighbours_add_up_over_the_items_taken() -> None:
    scores = fit_item_knn(NeighboursConfig(neighbours=2, shrink=0.0), MATRIX_UI).scores(np.array([2]))
    # User 2 took items 0 and 2; item 1 is a neighbour of 0 alone.
    np.testing.assert_allclose(scores, [[1 / np.sqrt(3), 2 / np.sqrt(6), 1 / np.sqrt(3)]], rtol=1e-6)


def test_user_neighbours_give_what_they_took() -> None:
    scores = fit_user_knn(NeighboursConfig(neighbours=1, shrink=0.0), MATRIX_UI).scores(np.array([0, 2, 3]))
    np.testing.assert_allclose(scores, [[1, 1, 0], [0.5, 0.5, 0], [0, 0, 0]], rtol=1e-6)


def test_ease_of_two_items_by_hand() -> None:
    two = MATRIX_UI[:, :2]
    fitted = fit_ease(EaseConfig(l2=1.0, max_memory_gib=1.0), two)
    # Item 0 was taken 3 times, item 1 twice, both twice: 2 / (3 + 1) and 2 / (2 + 1).
    np.testing.assert_allclose(fitted.weight_II, [[0, 2 / 4], [2 / 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(fitted.scores(np.array([2])), [[0, 2 / 4]], rtol=1e-6)


def test_ease_refuses_matrices_beyond_its_memory() -> None:
    many = interaction_matrix(np.array([0]), np.array([0]), users=1, items=10_000)
    with pytest.raises(ConfigError, match=r"ease needs 1.5 GiB for 10000 items and may take 1\. Cure: a larger"):
        fit_ease(EaseConfig(l2=1.0, max_memory_gib=1.0), many)


def test_close_items_by_hand() -> None:
    neighbour_IK, closeness_IK = close_items(MATRIX_UI, 2)
    # Common users: 0 and 1 two, 0 and 2 one. All: 6, 4, 2; others: 3, 2, 1.
    assert neighbour_IK.tolist() == [[1, 2], [0, 0], [0, 0]]
    expected = [[2 / 3 * np.sqrt(6 / 4), 1 / 3 * np.sqrt(6 / 2)], [2 / 2 * np.sqrt(4 / 6), 0], [np.sqrt(2 / 6), 0]]
    np.testing.assert_allclose(closeness_IK, expected, rtol=1e-6)
