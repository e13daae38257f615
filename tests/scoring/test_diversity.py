"""Lists of four items in two categories, worked out by hand."""

import numpy as np
import pytest

from recsys.scoring.diversity import DPP, MMR, Diversity, diverse, similarity_of_codes, similarity_of_vectors
from recsys.scoring.item_facts import NONE

SCORE = np.array([[1.0, 0.9, 0.5, 0.0]])
CODES = np.array([[7, 7, 8, 8]])
ALL = np.ones((1, 4), dtype=bool)


def order(method: str, weight: float, score: np.ndarray = SCORE, there: np.ndarray = ALL, n: int = 4) -> list[int]:
    by_category = Diversity(method=method, by="category", weight=weight)
    return list(diverse(score, similarity_of_codes(CODES), there, by_category, n)[0])


@pytest.mark.parametrize("method", [MMR, DPP])
def test_without_weight_the_order_stays(method: str) -> None:
    assert order(method, 0.0) == [0, 1, 2, 3]


def test_marginal_relevance_takes_the_other_category_where_it_costs_less() -> None:
    # After item 0: .5 * .9 - .5 for item 1, .5 * .5 for item 2. Then all are alike to one chosen: by relevance.
    assert order(MMR, 0.5) == [0, 2, 1, 3]
    # .9 * .9 - .1 is still more than .9 * .5.
    assert order(MMR, 0.1) == [0, 1, 2, 3]


def test_a_determinantal_process_takes_one_of_each_category_first() -> None:
    # At weight 1 a second item of a category adds no volume; what adds none comes by relevance.
    assert order(DPP, 1.0) == [0, 2, 1, 3]


@pytest.mark.parametrize("method", [MMR, DPP])
def test_only_so_many_are_chosen_and_the_rest_stands_as_it_stood(method: str) -> None:
    assert order(method, 1.0, n=2) == [0, 2, 1, 3]


@pytest.mark.parametrize("method", [MMR, DPP])
def test_what_is_not_there_stays_at_the_end(method: str) -> None:
    there = np.array([[True, True, False, False]])
    assert order(method, 0.5, there=there) == [0, 1, 2, 3]
    assert order(method, 0.5, there=np.zeros((1, 4), dtype=bool)) == [0, 1, 2, 3]


@pytest.mark.parametrize("method", [MMR, DPP])
def test_equal_scores_keep_the_earlier_one(method: str) -> None:
    assert order(method, 0.5, score=np.full((1, 4), 0.3))[:2] == [0, 2]


def test_an_item_without_a_category_is_like_none_but_itself() -> None:
    similarity = similarity_of_codes(np.array([[NONE, NONE, 1]]))[0]
    assert similarity.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_vectors_are_alike_by_their_angle_and_one_without_is_half_like_others() -> None:
    vectors = np.array([[[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0]]], dtype=np.float32)
    similarity = similarity_of_vectors(vectors)[0]
    assert similarity[0].tolist() == [1.0, 0.5, 0.0, 0.5]
    assert similarity.diagonal().tolist() == [1.0, 1.0, 1.0, 1.0]
