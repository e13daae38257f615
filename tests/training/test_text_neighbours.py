"""Which known items new ones begin at: small ones by hand, and a random catalogue beside sorting all of it."""

import numpy as np
import pytest

from recsys.training.text_neighbours import NEIGHBOURS, shares_of_known

RED, BLUE, CUP, TEA, NEW = 1, 2, 3, 4, 5


def test_an_item_begins_at_those_that_say_the_same_and_little_at_others() -> None:
    known = [[RED, CUP], [BLUE, CUP], [TEA, 0], [0, 0]]
    new = [[CUP, RED], [BLUE, 0], [NEW, 0], [0, 0], [TEA, TEA]]
    shares = shares_of_known(np.array([*known, *new]), len(known)).toarray()
    assert shares.shape == (5, 4)
    assert shares[0] == pytest.approx([0.997, 0.003, 0, 0], abs=0.001), "what says all of it counts by far the most"
    assert shares[1:].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_a_word_that_all_known_items_say_tells_nothing() -> None:
    shares = shares_of_known(np.array([[CUP, RED], [CUP, BLUE], [CUP, NEW]]), 2)
    assert shares.shape == (1, 2)
    assert shares.nnz == 0


def test_of_equally_alike_ones_the_lower_indexes_count_and_no_more_than_the_most() -> None:
    words = np.array([*[[RED]] * (NEIGHBOURS + 3), [BLUE], [RED]])
    shares = shares_of_known(words, len(words) - 1).toarray()
    assert np.flatnonzero(shares[0]).tolist() == list(range(NEIGHBOURS))
    assert shares[0][:NEIGHBOURS] == pytest.approx(1 / NEIGHBOURS)


def test_without_new_or_known_items_there_is_nothing_to_begin_at() -> None:
    assert shares_of_known(np.array([[RED], [CUP]]), 2).shape == (0, 2)
    assert shares_of_known(np.array([[RED], [CUP]]), 0).nnz == 0
    assert shares_of_known(np.zeros((0, 2), dtype=np.int64), 0).shape == (0, 0)


def test_a_large_catalogue_gives_what_sorting_all_likenesses_gives() -> None:
    generator, known = np.random.default_rng(3), 1500
    words = generator.integers(0, 40, (known + 1200, 4))
    found = shares_of_known(words, known)
    bag = np.zeros((len(words), 40))
    for place in range(4):
        bag[np.arange(len(words)), words[:, place]] = 1
    bag[:, 0] = 0
    weighted = bag * np.log((known + 1) / (bag[:known].sum(axis=0) + 1))
    weighted /= np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-12)
    for item in (0, 1023, 1024, 1199):
        likeness = np.round(weighted[:known] @ weighted[known + item], 9)
        best = np.lexsort((np.arange(known), -likeness))[:NEIGHBOURS]
        expected = np.zeros(known)
        expected[best] = likeness[best] ** 4 / (likeness[best] ** 4).sum()
        assert found[item].toarray()[0] == pytest.approx(expected, abs=1e-6)
