"""Every ranking metric, once: vectorised over users, for Spark and for training; knows neither.

Shapes: U users, K positions of the list. `hits_UK` says whether the item at a position is relevant; a list shorter than
K is filled up with False. `num_relevant_U` counts all relevant items of a user, inside the list or not; at least 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ConfigError

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]
Metric = Callable[[Hits, Counts], Values]


def recall(hits_UK: Hits, num_relevant_U: Counts) -> Values:
    """Hits / relevant items (Manning, Raghavan, Schütze 2008, section 8.3)."""
    return _num_hits(hits_UK) / num_relevant_U


def precision(hits_UK: Hits, num_relevant_U: Counts) -> Values:  # noqa: ARG001  # one signature for all
    """Hits / K; also where the list or the relevant items are fewer (Manning et al. 2008, section 8.4)."""
    return _num_hits(hits_UK) / hits_UK.shape[1]


def ndcg(hits_UK: Hits, num_relevant_U: Counts) -> Values:
    """DCG / DCG of a list that starts with min(relevant, K) hits; DCG = sum over hits of 1 / log2(1 + position).

    Järvelin and Kekäläinen 2002, with the logarithm of Burges et al. 2005.
    """
    discount_K = 1.0 / np.log2(np.arange(hits_UK.shape[1]) + 2.0)
    ideal_K = np.cumsum(discount_K)
    # A matrix product may add a row up in another order beside other rows: values would depend on their company.
    dcg_U = np.cumsum(hits_UK * discount_K, axis=1)[:, -1]
    return np.asarray(dcg_U / ideal_K[_num_reachable(hits_UK, num_relevant_U) - 1])


def average_precision(hits_UK: Hits, num_relevant_U: Counts) -> Values:
    """Sum over hits of the precision down to the hit, / min(relevant, K).

    Manning et al. 2008, section 8.4, cut at K; its mean over users is MAP.
    """
    position_K = np.arange(1, hits_UK.shape[1] + 1)
    precision_UK = np.cumsum(hits_UK, axis=1) / position_K
    return np.asarray((precision_UK * hits_UK).sum(axis=1) / _num_reachable(hits_UK, num_relevant_U))


def reciprocal_rank(hits_UK: Hits, num_relevant_U: Counts) -> Values:  # noqa: ARG001
    """1 / position of the first hit, 0 without one (Voorhees 1999); its mean over users is MRR."""
    return np.asarray(hits_UK.any(axis=1) / (hits_UK.argmax(axis=1) + 1.0))


def hit_rate(hits_UK: Hits, num_relevant_U: Counts) -> Values:  # noqa: ARG001
    """1 where the list has a hit, else 0 (Deshpande and Karypis 2004)."""
    return np.asarray(hits_UK.any(axis=1), dtype=np.float64)


METRICS: dict[str, Metric] = {
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def per_user(name: str, hits_UK: Hits, num_relevant_U: Counts) -> Values:
    """The named metric of each user. Raises ConfigError for an unknown name, ValueError for shapes that do not fit."""
    if name not in METRICS:
        raise ConfigError(f"unknown metric {name!r}; known metrics: {sorted(METRICS)}")
    if hits_UK.ndim != 2 or hits_UK.shape[1] == 0 or num_relevant_U.shape != hits_UK.shape[:1]:
        got = f"{hits_UK.shape} and {num_relevant_U.shape}"
        raise ValueError(f"hits and relevant counts must have shapes (U, K) with K of at least 1, and (U,), got {got}")
    if (num_relevant_U < np.maximum(_num_hits(hits_UK), 1)).any():
        raise ValueError("a user needs at least one relevant item, and no fewer than hits; leave out users without one")
    return METRICS[name](hits_UK, num_relevant_U)


def _num_hits(hits_UK: Hits) -> Counts:
    return np.asarray(hits_UK.sum(axis=1), dtype=np.int64)


def _num_reachable(hits_UK: Hits, num_relevant_U: Counts) -> Counts:
    return np.minimum(num_relevant_U, hits_UK.shape[1])
