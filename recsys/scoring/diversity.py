"""Re-ranks lists so that what stands in them differs: maximal marginal relevance and a greedy determinantal process.

Shapes: B users, K items of a list, N of them chosen, D embedding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys import columns as c
from recsys.scoring.item_facts import NONE, Flags, Indexes

MMR, DPP = "mmr", "dpp"
CATEGORY, VECTOR = c.CATEGORY, c.VECTOR
# Below it a user's remaining items add no volume: they come in their old order.
_SMALLEST_GAIN = 1e-10

Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """`method`: MMR or DPP; `by`: CATEGORY or VECTOR; `weight`, 0 to 1, of being unlike; at 0 the order stays."""

    method: str
    by: str
    weight: float


def diverse(
    score_BK: Doubles, similarity_BKK: NDArray[np.float32], is_there_BK: Flags, diversity: Diversity, n: int
) -> Indexes:
    """(B, K): places in a new order: the `n` chosen ones first, then the others as they stood. What is not there is at
    the end before and after.

    Similarities lie between 0 and 1, those of an item with itself at 1. Among equals the earlier place wins.
    """
    count_B, size = is_there_BK.sum(axis=1), score_BK.shape[1]
    relevance_BK = _relevance(score_BK, is_there_BK)
    chosen = METHODS[diversity.method](relevance_BK, similarity_BKK, is_there_BK, diversity.weight, min(n, size))
    place_BK = np.tile(np.arange(size) + size, (len(score_BK), 1))
    for step, chosen_B in enumerate(chosen):
        row_V = np.flatnonzero(step < count_B)
        place_BK[row_V, chosen_B[row_V]] = step
    order_BK: Indexes = np.argsort(place_BK, axis=1, kind="stable")
    return order_BK


def marginal_relevance(
    relevance_BK: Doubles, similarity_BKK: NDArray[np.float32], is_there_BK: Flags, weight: float, n: int
) -> Iterator[Indexes]:
    """N times (B,), Carbonell and Goldstein 1998: next comes what is relevant and least like the likest chosen one."""
    likest_BK = np.zeros_like(relevance_BK)
    is_open_BK = is_there_BK.copy()
    row_B = np.arange(len(relevance_BK))
    for _ in range(n):
        value_BK = np.where(is_open_BK, (1 - weight) * relevance_BK - weight * likest_BK, -np.inf)
        best_B = value_BK.argmax(axis=1)
        is_open_BK[row_B, best_B] = False
        likest_BK = np.maximum(likest_BK, similarity_BKK[row_B, best_B])
        yield best_B


def determinantal(
    relevance_BK: Doubles, similarity_BKK: NDArray[np.float32], is_there_BK: Flags, weight: float, n: int
) -> Iterator[Indexes]:
    """N times (B,), Chen, Zhang and Zhou 2018: next comes what adds most to the volume that the chosen vectors span.

    The kernel is q (weight S + (1 - weight) I) q with q = exp((1 - weight) / (2 weight) relevance).
    """
    quality_BK = np.exp((1 - weight) / (2 * max(weight, 1e-2)) * (relevance_BK - 1))
    gain_BK = np.where(is_there_BK, quality_BK**2, -np.inf)
    row_B = np.arange(len(gain_BK))
    basis_BNK = np.zeros((len(gain_BK), n, gain_BK.shape[1]))
    for step in range(n):
        # Where nothing adds volume, the most relevant of the rest comes.
        open_BK = np.where(is_there_BK, np.maximum(gain_BK, 0) + _SMALLEST_GAIN * relevance_BK, -np.inf)
        open_BK[~np.isfinite(gain_BK)] = -np.inf
        chosen_B = open_BK.argmax(axis=1)
        added_B = gain_BK[row_B, chosen_B]
        root_B = np.sqrt(np.where(added_B > _SMALLEST_GAIN, added_B, np.inf))
        kernel_BK = weight * similarity_BKK[row_B, chosen_B] * quality_BK[row_B, chosen_B][:, None] * quality_BK
        common_BK = np.einsum("bn,bnk->bk", basis_BNK[row_B, :step, chosen_B], basis_BNK[:, :step])
        basis_BNK[:, step] = (kernel_BK - common_BK) / root_B[:, None]
        gain_BK = gain_BK - basis_BNK[:, step] ** 2
        gain_BK[row_B, chosen_B] = -np.inf
        yield chosen_B


Choose = Callable[[Doubles, NDArray[np.float32], Flags, float, int], Iterator[Indexes]]
METHODS: dict[str, Choose] = {MMR: marginal_relevance, DPP: determinantal}


def similarity_of_codes(code_BK: Indexes) -> NDArray[np.float32]:
    """(B, K, K): 1 for items of one value; one without a value is like none but itself."""
    same_BKK = (code_BK[:, :, None] == code_BK[:, None, :]) & (code_BK != NONE)[:, :, None]
    same_BKK |= np.eye(code_BK.shape[1], dtype=np.bool_)
    similarity_BKK: NDArray[np.float32] = same_BKK.astype(np.float32)
    return similarity_BKK


def similarity_of_vectors(vector_BKD: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, K, K): half of 1 plus the cosine; an item without a vector, all zeros, is half like others."""
    length_BK1 = np.linalg.norm(vector_BKD, axis=2, keepdims=True)
    unit_BKD: NDArray[np.float32] = np.divide(
        vector_BKD, length_BK1, out=np.zeros_like(vector_BKD), where=length_BK1 > 0
    )
    similarity_BKK: NDArray[np.float32] = np.clip((1 + unit_BKD @ unit_BKD.transpose(0, 2, 1)) / 2, 0, 1)
    diagonal = np.arange(vector_BKD.shape[1])
    similarity_BKK[:, diagonal, diagonal] = 1
    return similarity_BKK


def _relevance(score_BK: Doubles, is_there_BK: Flags) -> Doubles:
    """From 0 for the lowest score of the user's list to 1 for the highest; 1 where all are equal."""
    low_B1 = np.where(is_there_BK, score_BK, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high_B1 = np.where(is_there_BK, score_BK, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span_B1 = high_B1 - low_B1
    is_wide_B1 = np.isfinite(span_B1) & (span_B1 > 0)
    relevance_BK = np.ones_like(score_BK)
    np.divide(score_BK - low_B1, span_B1, out=relevance_BK, where=is_wide_B1 & is_there_BK)
    return relevance_BK
