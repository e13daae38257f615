import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys.errors import ConfigError
from recsys.metrics import METRICS, per_user

# Three users who must differ: hits at 1 and 3 of two relevant; a hit at 2 of five relevant; none of one.
HITS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
NUM_RELEVANT = np.array([2, 5, 1])

LOG3 = math.log2(3)
LOG5 = math.log2(5)
BY_HAND = {
    "recall": [1, Fraction(1, 5), 0],
    "precision": [Fraction(2, 4), Fraction(1, 4), 0],
    "ndcg": [(1 + 1 / 2) / (1 + 1 / LOG3), (1 / LOG3) / (1 + 1 / LOG3 + 1 / 2 + 1 / LOG5), 0],
    "map": [(1 + Fraction(2, 3)) / 2, Fraction(1, 2) / 4, 0],
    "mrr": [1, Fraction(1, 2), 0],
    "hit_rate": [1, 1, 0],
}


@st.composite
def ranked_users(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 8)))
    hits = draw(arrays(bool, shape))
    missed = draw(arrays(np.int64, shape[0], elements=st.integers(0, 5)))
    return hits, np.maximum(hits.sum(axis=1) + missed, 1)


def test_every_metric_is_worked_out_by_hand():
    assert set(BY_HAND) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_metric_equals_its_hand_made_fractions(name):
    expected = [float(value) for value in BY_HAND[name]]
    np.testing.assert_allclose(per_user(name, HITS, NUM_RELEVANT), expected, rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
@given(users=ranked_users())
def test_values_lie_between_0_and_1(name, users):
    values = per_user(name, *users)
    assert values.shape == users[1].shape
    assert (values >= 0).all()
    assert (values <= 1 + 1e-12).all()


@pytest.mark.parametrize("name", METRICS)
@given(k=st.integers(1, 12))
def test_a_perfect_list_of_as_many_items_as_are_relevant_has_value_1(name, k):
    np.testing.assert_allclose(per_user(name, np.ones((1, k), dtype=bool), np.array([k])), [1.0])


@pytest.mark.parametrize("name", ["ndcg", "map", "mrr", "hit_rate"])
@given(k=st.integers(1, 12), num_relevant=st.integers(1, 20))
def test_the_best_reachable_list_has_value_1_however_many_items_are_relevant(name, k, num_relevant):
    hits = np.arange(k)[None, :] < num_relevant
    np.testing.assert_allclose(per_user(name, hits, np.array([num_relevant])), [1.0])


@pytest.mark.parametrize("name", METRICS)
@given(users=ranked_users(), data=st.data())
def test_one_more_hit_never_lowers_a_value(name, users, data):
    hits, num_relevant = users
    more_hits = hits.copy()
    more_hits[:, data.draw(st.integers(0, hits.shape[1] - 1))] = True
    enough = np.maximum(num_relevant, more_hits.sum(axis=1))
    assert (per_user(name, more_hits, enough) >= per_user(name, hits, enough) - 1e-12).all()


@pytest.mark.parametrize("name", METRICS)
@given(users=ranked_users(), data=st.data())
def test_values_follow_their_users(name, users, data):
    hits, num_relevant = users
    order = np.array(data.draw(st.permutations(range(len(hits)))))
    np.testing.assert_array_equal(
        per_user(name, hits[order], num_relevant[order]), per_user(name, hits, num_relevant)[order]
    )


def test_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown metric 'auc'; known metrics: \['hit_rate', 'map', 'mrr'"):
        per_user("auc", HITS, NUM_RELEVANT)


def test_counts_of_other_users_are_refused():
    with pytest.raises(ValueError, match=r"got \(3, 4\) and \(2,\)"):
        per_user("ndcg", HITS, NUM_RELEVANT[:2])


def test_a_user_without_a_relevant_item_is_refused():
    with pytest.raises(ValueError, match="at least one relevant item"):
        per_user("recall", HITS, np.array([2, 5, 0]))


def test_more_hits_than_relevant_items_are_refused():
    with pytest.raises(ValueError, match="no fewer than hits"):
        per_user("recall", HITS, np.array([1, 5, 1]))
