import numpy as np
import pytest

from recsys.models.interactions import interaction_matrix
from recsys.models.popular import Popular
from recsys.models.rank_all import hits, metric_sums, top_items


def test_equal_scores_come_in_the_order_of_the_items() -> None:
    scores_BI = np.array([[1, 3, 3, 2, 3], [0, 0, 0, 0, 0]], dtype=np.float32)
    assert top_items(scores_BI, 2).tolist() == [[1, 2], [0, 1]]
    assert top_items(scores_BI, 9).tolist() == [[1, 2, 4, 3, 0], [0, 1, 2, 3, 4]]


def test_seen_items_are_neither_ranked_nor_hits() -> None:
    scores_BI = np.array([[4, 3, 2, 1]], dtype=np.float32)
    seen_BI = interaction_matrix(np.array([0, 0]), np.array([0, 2]), users=1, items=4)
    truth_BI = interaction_matrix(np.array([0, 0]), np.array([2, 3]), users=1, items=4)
    assert hits(scores_BI, seen_BI, truth_BI, 4).tolist() == [[False, True, False, False]]


def test_sums_are_over_the_users_asked_for() -> None:
    popular = Popular(degree_I=np.array([3, 2, 1], dtype=np.float32))
    seen_UI = interaction_matrix(np.array([0]), np.array([0]), users=3, items=3)
    truth_UI = interaction_matrix(np.array([0, 1, 1, 2]), np.array([1, 0, 2, 2]), users=3, items=3)
    # User 0 finds item 1 first; user 1 item 0 first and not item 2; user 2 nothing.
    sums = metric_sums(popular, seen_UI, truth_UI, np.array([0, 1, 2]), k=1, metrics=("recall", "ndcg"))
    assert sums.tolist() == pytest.approx([1.5, 2.0])
    some = metric_sums(popular, seen_UI, truth_UI, np.array([2]), k=1, metrics=("recall",))
    assert some.tolist() == [0.0]
