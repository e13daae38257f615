import numpy as np
import pytest

from recsys.evaluation.significance import interval, poisson_counts, replicate_sums

GENERATOR = np.random.default_rng(7)
HASHES = GENERATOR.integers(-(2**63), 2**63 - 1, 700)
VALUES = GENERATOR.normal(size=(700, 3))


def test_counts_are_those_of_a_poisson_distribution_of_mean_and_variance_1():
    counts = poisson_counts(HASHES, 400)
    assert counts.shape == (700, 400)
    assert counts.mean() == pytest.approx(1, abs=0.01)
    assert counts.var() == pytest.approx(1, abs=0.02)


def test_a_users_counts_follow_from_the_hash_alone():
    alone = poisson_counts(HASHES[5:6], 50)
    np.testing.assert_array_equal(poisson_counts(HASHES[:10], 50)[5:6], alone)
    assert (poisson_counts(HASHES[6:7], 50) != alone).any()


def test_replicate_0_counts_each_user_once():
    users, sums = replicate_sums(HASHES, VALUES, 10)
    assert users[0] == 700
    np.testing.assert_allclose(sums[0], VALUES.sum(axis=0))


def test_sums_of_parts_add_up_to_the_sums_of_all():
    users, sums = replicate_sums(HASHES, VALUES, 20)
    parts = [replicate_sums(HASHES[part], VALUES[part], 20) for part in (slice(0, 13), slice(13, 600), slice(600, 700))]
    np.testing.assert_array_equal(sum(part[0] for part in parts), users)
    np.testing.assert_allclose(sum(part[1] for part in parts), sums, rtol=1e-9, atol=1e-9)


def test_no_users_have_sums_of_0():
    users, sums = replicate_sums(HASHES[:0], VALUES[:0], 5)
    assert users.tolist() == [0.0] * 6
    assert sums.shape == (6, 3)


def test_interval_is_the_middle_of_the_replicates_that_have_users():
    means = np.append(np.arange(201, dtype=float), np.nan)
    assert interval(means) == (5.0, 195.0)


def test_interval_agrees_with_the_normal_approximation_on_many_users():
    users, sums = replicate_sums(HASHES, VALUES, 2000)
    low, high = interval(sums[1:, 0] / users[1:])
    standard_error = VALUES[:, 0].std() / np.sqrt(700)
    assert low == pytest.approx(VALUES[:, 0].mean() - 1.96 * standard_error, abs=0.15 * standard_error)
    assert high == pytest.approx(VALUES[:, 0].mean() + 1.96 * standard_error, abs=0.15 * standard_error)
