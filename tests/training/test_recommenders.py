"""How a saved recommender is asked: what it does not know it does not name."""

import numpy as np
import pytest

from recsys.models.factors import FactorScores
from recsys.models.interactions import Known
from recsys.training.recommenders import Ranker

USERS, ITEMS = np.array([[1.0], [2.0]], dtype=np.float32), np.array([[3.0], [1.0], [2.0], [9.0]], dtype=np.float32)
RANKER = Ranker(
    recommender=FactorScores(user_UD=USERS, item_ID=ITEMS),
    known=Known(user_U=np.array([True, False]), item_I=np.array([True, True, True, False])),
)
NOTHING = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def test_unknown_items_and_those_that_are_not_allowed_or_left_out_are_not_named() -> None:
    top_BK, score_BK = RANKER.among(np.array([True, True, True, True]))(np.array([0, 1]), NOTHING, 2)
    assert top_BK.tolist() == [[0, 2], [0, 2]]
    assert score_BK.tolist() == [[3, 2], [6, 4]]
    left_out = (np.array([1, 1]), np.array([0, 5]))
    top_BK, score_BK = RANKER.among(np.array([True, True, False, True, True]))(np.array([0, 1]), left_out, 2)
    assert top_BK[0].tolist() == [0, 1]
    assert (top_BK[1, 0], score_BK[1].tolist()) == (1, [2, -np.inf])


def test_items_that_came_after_the_training_are_not_allowed_and_shorter_flags_are_filled_up() -> None:
    _, score_BK = RANKER.among(np.array([False, True]))(np.array([0]), NOTHING, 2)
    assert score_BK.tolist() == [[1, -np.inf]]


def test_pairs_of_unknown_ids_have_no_score() -> None:
    scores = RANKER.score_pairs(np.array([0, 0, 1, 9, -1]), np.array([2, 3, 0, 0, 0]))
    assert scores == pytest.approx([2.0, *[np.nan] * 4], nan_ok=True)


def test_users_beyond_those_of_the_training_are_not_known() -> None:
    assert RANKER.knows(np.array([-1, 0, 1, 2])).tolist() == [False, True, False, False]
