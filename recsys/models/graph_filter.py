"""Low-pass filters on the graph of items: closed form, one family.

A user's row is filtered by a polynomial of P = A'A, with A the matrix divided by the roots of degrees; the leading
eigenvectors of P are passed once more with a gain of their own. A straight line as polynomial is GF-CF (Shen et al.
2021); a line times the solution of x' = -Px is BSPM (Choi et al. 2023); a plateau by Chebyshev interpolation is
ChebyCF (Kim et al. 2025).

Products with P are what costs. On all but the leading eigenvectors the polynomial is nearly one of low degree, for
their eigenvalues lie close together: that one is applied to all, and the leading ones' gain makes up for the rest.

Shapes: U users, I items, B users asked, R ideal factors, K order + 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray

from recsys.errors import ConfigError
from recsys.models.interactions import Indexes, Matrix, Scores, degrees, normalized, power
from recsys.models.spectral import leading_vectors, product

_RESPONSES = ("line", "plateau")
_NODES = ("extrema", "roots")
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
    nodes: str
    rest_order: int

    def __post_init__(self) -> None:
        if self.response not in _RESPONSES:
            raise ConfigError(f"graph filter: unknown response {self.response!r}; known responses: {list(_RESPONSES)}")
        if self.nodes not in _NODES:
            raise ConfigError(f"graph filter: unknown nodes {self.nodes!r}; known nodes: {list(_NODES)}")
        if self.order < 1 or self.ideal_factors < 0:
            raise ConfigError(f"graph filter: order must be at least 1 and ideal_factors at least 0, got {self}")
        if not 1 <= self.rest_order <= self.order:
            raise ConfigError(f"graph filter: rest_order must be from 1 to {self.order}, got {self.rest_order}")
        if self.rest_order < self.order and self.degree_power != self.ideal_degree_power:
            raise ConfigError("graph filter: a rest_order below order needs equal degree_power and ideal_degree_power")


@dataclass(frozen=True, kw_only=True)
class GraphFilter:
    """`coefficient_K`: of the powers of P; `gain_R`: of the ideal factors."""

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

    def weights(self, taken_P: Indexes, item_P: Indexes) -> Scores:
        """(P,): what a taken item adds to an item's score. The filter is symmetric but for its scales: one filtered
        item tells what every taken one adds to it."""
        item_Q, place_P = np.unique(item_P, return_inverse=True)
        weight_P = np.zeros(len(item_P), dtype=np.float32)
        for first in range(0, len(item_Q), _BLOCK_USERS):
            block = item_Q[first : first + _BLOCK_USERS]
            at = np.flatnonzero((place_P >= first) & (place_P < first + len(block)))
            weight_P[at] = self._to_items(block)[taken_P[at], place_P[at] - first]
        return weight_P

    def _to_items(self, item_Q: Indexes) -> Scores:
        """(I, Q): what each item, once taken, adds to the scores of these."""
        single_IQ = np.zeros((len(self.scale_I), len(item_Q)), dtype=np.float32)
        single_IQ[item_Q, np.arange(len(item_Q))] = 1
        filtered_IQ = self._polynomial(single_IQ) * self.scale_I[item_Q] / self.scale_I[:, None]
        ideal_IQ = (self.factor_IR / self.ideal_scale_I[:, None]) @ (
            self.gain_R[:, None] * self.factor_IR[item_Q].T * self.ideal_scale_I[item_Q]
        )
        return np.asarray(filtered_IQ + ideal_IQ, dtype=np.float32)

    def _block(self, user_idx_B: Indexes) -> Scores:
        signal_IB = np.ascontiguousarray(self.history_UI[user_idx_B].toarray().T)
        scores_IB = self._polynomial(signal_IB / self.scale_I[:, None]) * self.scale_I[:, None]
        # Users have few items: their rows meet the factors as sparse ones.
        scaled_IR = self.factor_IR / self.ideal_scale_I[:, None]
        ideal_BR = (self.history_UI[user_idx_B] @ scaled_IR) * self.gain_R
        ideal_BI = product(ideal_BR, self.factor_IR.T) * self.ideal_scale_I
        return np.asarray(scores_IB.T + ideal_BI, dtype=np.float32)

    def _polynomial(self, signal_IB: Scores) -> Scores:
        """By Horner's rule: one product with P an order."""
        total_IB: Scores = self.coefficient_K[-1] * signal_IB
        for coefficient in self.coefficient_K[-2::-1]:
            total_IB = self.normalized_IU @ (self.normalized_UI @ total_IB)
            if coefficient:
                total_IB += coefficient * signal_IB
        return total_IB


def fit_graph_filter(config: GraphFilterConfig, matrix_UI: Matrix) -> GraphFilter:
    normalized_UI = normalized(matrix_UI)
    _, value_R, factor_IR = leading_vectors(normalized_UI, config.ideal_factors, rounds=_SPECTRAL_ROUNDS, seed=_SEED)
    item_degree_I = np.maximum(degrees(matrix_UI)[1], 1)
    eigenvalue_R = value_R.astype(np.float64) ** 2
    whole, rest = polynomials(config, border=float(eigenvalue_R[-1]) if len(eigenvalue_R) else 1.0)
    gain_R = whole(eigenvalue_R) - rest(eigenvalue_R) + config.ideal_weight * _sharpened(config, eigenvalue_R)
    return GraphFilter(
        history_UI=matrix_UI,
        normalized_UI=normalized_UI,
        normalized_IU=normalized_UI.T.tocsr(),
        coefficient_K=rest.coef.astype(np.float32),
        scale_I=power(item_degree_I, config.degree_power),
        factor_IR=factor_IR,
        gain_R=gain_R.astype(np.float32),
        ideal_scale_I=power(item_degree_I, config.ideal_degree_power),
    )


def polynomials(config: GraphFilterConfig, border: float) -> tuple[Polynomial, Polynomial]:
    """Of the eigenvalue: the filter's own, and the one of degree `rest_order` that is near it from 0 to `border`.

    With `nodes: roots` the response at each extremum is met at the root beside it, as the published ChebyCF does: rough
    signals are damped more than by the response itself.
    """
    extremum_K = _extrema(config.order)
    at_K = extremum_K if config.nodes == "extrema" else _roots(config.order)
    whole = _through(at_K, _response(config, extremum_K) * _sharpened(config, extremum_K), 1.0)
    if config.rest_order == config.order:
        return whole, whole
    near_K = _extrema(config.rest_order) * border
    return whole, _through(near_K, whole(near_K), border)


def _extrema(order: int) -> _Numbers:
    """Of the Chebyshev polynomial of that order on 0 to 1, in rising order: both ends are among them."""
    return np.asarray((1 - np.cos(np.arange(order + 1) * math.pi / order)) / 2)


def _roots(order: int) -> _Numbers:
    """As many, of the polynomial of the next order: none lies at an end."""
    return np.asarray((1 - np.cos((np.arange(order + 1) + 0.5) * math.pi / (order + 1))) / 2)


def _through(eigenvalue_K: _Numbers, gain_K: _Numbers, border: float) -> Polynomial:
    fit = Chebyshev.fit(eigenvalue_K, gain_K, len(eigenvalue_K) - 1, domain=[0, border])  # type: ignore[no-untyped-call]  # numpy's own
    whole: Polynomial = fit.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1])
    return whole


def _response(config: GraphFilterConfig, eigenvalue: _Numbers) -> _Numbers:
    """0 for the roughest signals, 1 for the smoothest."""
    if config.response == "line":
        return eigenvalue
    roughness = 1 - 2 * eigenvalue
    return np.asarray(0.5 - 0.5 * np.sign(roughness) * np.abs(roughness) ** config.flatness)


def _sharpened(config: GraphFilterConfig, eigenvalue: _Numbers) -> _Numbers:
    """One Runge-Kutta step of x' = -eigenvalue * x: the first five terms of the exponential's series."""
    z = -config.sharpening_time * eigenvalue
    return np.asarray(sum(z**term / math.factorial(term) for term in range(5)))
