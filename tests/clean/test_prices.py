from dataclasses import replace

import numpy as np

from recsys.clean.prices import are_outliers
from recsys.config import load_config

LIMITS = replace(
    load_config([]).clean, price_outlier_deviations=5, price_history_days=10, price_history_lines=3
)  # fmt: skip


def outliers(*lines: tuple[int, float]) -> list[int]:
    """Of days and prices: which lines are outliers."""
    found = are_outliers(np.array([day for day, _ in lines]), np.array([price for _, price in lines]), LIMITS)
    return list(np.flatnonzero(found))


def test_a_price_far_from_those_of_the_days_before_is_one() -> None:
    # The median of 90, 100 and 110 is 100, that of their distances 10 percent: five deviations are more than twofold.
    history = ((1, 90.0), (1, 100.0), (2, 110.0))
    assert outliers(*history, (3, 200.0), (3, 230.0), (3, 50.0), (3, 40.0)) == [4, 6]


def test_a_constant_price_may_change_by_a_quarter() -> None:
    assert outliers((1, 100.0), (1, 100.0), (1, 100.0), (2, 125.0), (2, 130.0)) == [4]


def test_one_outlier_before_does_not_hide_the_next() -> None:
    assert outliers((1, 100.0), (1, 100.0), (1, 101.0), (2, 9999.0), (3, 9999.0)) == [3, 4]


def test_neither_the_day_itself_nor_the_future_nor_what_is_long_ago_counts() -> None:
    assert outliers((1, 100.0), (1, 100.0), (2, 900.0), (2, 100.0), (3, 100.0)) == []
    assert outliers((1, 100.0), (1, 100.0), (1, 100.0), (11, 900.0)) == [3]
    assert outliers((1, 100.0), (1, 100.0), (1, 100.0), (12, 900.0)) == []
