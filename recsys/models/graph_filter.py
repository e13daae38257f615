"""Low-pass filters on the graph of items: closed form, one family.

A user's row is filtered by a polynomial of P = A'A, with A the matrix divided by the roots of degrees; the leading
eigenvectors of P are passed once more with a gain of their own. A straight line as polynomial is GF-CF (Shen et al.
2021); a line times the solution of x' = -Px is BSPM (Choi et al. 2023); a plateau by Chebyshev interpolation is
ChebyCF (Kim et al. 2025).

Shapes: U users, I items, B users asked, R ideal factors, K order + 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from recsys.errors import ConfigError
from recsys.models.interactions import Indexes, Matrix, Scores, degrees, normalized, power
from recsys.models.spectral import leading_vectors, product

_RESPONSES = ("line", "plateau")
_SPECTRAL_ROUNDS = 6
_SEED = 7
# Wider blocks fall out of the processor's cache.
_BLOCK_USERS = 256
_Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GraphFilterConfig:
    """See conf/models/chebycf.yaml for the meaning of each key."""

    response: str
    order: int
    flatness: float
    sharpening_time: float
    degree_power: float
    ideal_factors: int
    ideal_weight: float
    ideal_degree_power: float

    def __post_init__(self) -> None:
        if self.response not in _RESPONSES:
            raise ConfigError(f"graph filter: unknown response {self.response!r}; known responses: {list(_RESPONSES)}")
        if self.order < 1 or self.ideal_factors < 0:
            raise ConfigError(f"graph filter: order must be at least 1 and ideal_factors at least 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class GraphFilter:
    """`coefficient_K`: of Chebyshev polynomials of 1 - 2P; `gain_R`: of the ideal factors."""

    history_UI: Matrix
    normalized_UI: Matrix
    normalized_IU: Matrix
    coefficient_K: Scores
    scale_I: Scores
    factor_IR: Scores
    gain_R: Scores
    ideal_scale_I: Scores

    def scores(self, user_idx_B: Indexes) -> Scores:
        blocks = [
            self._block(user_idx_B[first : first + _BLOCK_USERS]) for first in range(0, len(user_idx_B), _BLOCK_USERS)
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.scale_I)), dtype=np.float32)

    def _block(self, user_idx_B: Indexes) -> Scores:
        signal_IB = np.ascontiguousarray(self.history_UI[user_idx_B].toarray().T)
        scores_IB = self._polynomial(signal_IB / self.scale_I[:, None]) * self.scale_I[:, None]
        # Users have few items: their rows meet the factors as sparse ones.
        scaled_IR = self.factor_IR / self.ideal_scale_I[:, None]
        ideal_BR = (self.history_UI[user_idx_B] @ scaled_IR) * self.gain_R
        ideal_BI = product(ideal_BR, self.factor_IR.T) * self.ideal_scale_I
        return np.asarray(scores_IB.T + ideal_BI, dtype=np.float32)

    def _polynomial(self, signal_IB: Scores) -> Scores:
        """By the recurrence of Chebyshev polynomials: three dense blocks, one product with P an order."""
        before_IB, now_IB = signal_IB, self._shifted(signal_IB)
        total_IB: Scores = self.coefficient_K[0] * before_IB + self.coefficient_K[1] * now_IB
        for coefficient in self.coefficient_K[2:]:
            before_IB, now_IB = now_IB, 2 * self._shifted(now_IB) - before_IB
            total_IB += coefficient * now_IB
        return total_IB

    def _shifted(self, signal_IB: Scores) -> Scores:
        smoothed_IB: Scores = self.normalized_IU @ (self.normalized_UI @ signal_IB)
        smoothed_IB *= -2
        smoothed_IB += signal_IB
        return smoothed_IB


def fit_graph_filter(config: GraphFilterConfig, matrix_UI: Matrix) -> GraphFilter:
    normalized_UI = normalized(matrix_UI)
    _, value_R, factor_IR = leading_vectors(normalized_UI, config.ideal_factors, rounds=_SPECTRAL_ROUNDS, seed=_SEED)
    item_degree_I = np.maximum(degrees(matrix_UI)[1], 1)
    gain_R = config.ideal_weight * _sharpened(config, value_R.astype(np.float64) ** 2)
    return GraphFilter(
        history_UI=matrix_UI,
        normalized_UI=normalized_UI,
        normalized_IU=normalized_UI.T.tocsr(),
        coefficient_K=coefficients(config).astype(np.float32),
        scale_I=power(item_degree_I, config.degree_power),
        factor_IR=factor_IR,
        gain_R=gain_R.astype(np.float32),
        ideal_scale_I=power(item_degree_I, config.ideal_degree_power),
    )


def coefficients(config: GraphFilterConfig) -> _Numbers:
    """By interpolation at the extrema of the Chebyshev polynomial of that order."""
    order = config.order
    point_K = np.cos(np.arange(order + 1) * math.pi / order)
    gain_K = _response(config, point_K) * _sharpened(config, (1 - point_K) / 2)
    polynomials_KK: _Numbers = chebyshev.chebvander(point_K, order)  # type: ignore[no-untyped-call]  # numpy's own
    return np.asarray(np.linalg.solve(polynomials_KK, gain_K))


def _response(config: GraphFilterConfig, point_K: _Numbers) -> _Numbers:
    """Gain at 1 - 2 * eigenvalue: 0 for the roughest signals, 1 for the smoothest."""
    if config.response == "line":
        return (1 - point_K) / 2
    return np.asarray(0.5 - 0.5 * np.sign(point_K) * np.abs(point_K) ** config.flatness)


def _sharpened(config: GraphFilterConfig, eigenvalue: _Numbers) -> _Numbers:
    """One Runge-Kutta step of x' = -eigenvalue * x: the first five terms of the exponential's series."""
    z = -config.sharpening_time * eigenvalue
    return np.asarray(sum(z**term / math.factorial(term) for term in range(5)))
