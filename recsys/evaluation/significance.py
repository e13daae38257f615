"""Is a difference more than luck? A bootstrap over users that runs where the users are.

Each user counts Poisson(1) times in each replicate instead of being drawn (Chamandy, Muralidharan, Najmi and Naidu
2012): partitions add up their own users and never meet. A user's counts follow from a hash of the user, so that
they are the same in any partition, and in all metrics: differences are paired.

Shapes: U users, B replicates, V values.
"""

import numpy as np
from numpy.typing import NDArray

# Per-block weights of 512 users and 2,000 replicates take 8 MB.
_BLOCK_USERS = 512
# On each side of the 95 % interval.
TAIL = 0.025

Doubles = NDArray[np.float64]


def poisson_counts(hash_U: NDArray[np.int64], replicates: int) -> Doubles:
    """How often each user counts in each replicate, (U, B)."""
    counts = [np.random.default_rng(int(key) & 0xFFFF_FFFF_FFFF_FFFF).poisson(1.0, replicates) for key in hash_U]
    return np.array(counts, dtype=np.float64).reshape(len(hash_U), replicates)


def replicate_sums(hash_U: NDArray[np.int64], value_UV: Doubles, replicates: int) -> tuple[Doubles, Doubles]:
    """Users and sums of values of each replicate, (1 + B,) and (1 + B, V). Replicate 0 counts each user once."""
    users_B = np.zeros(replicates + 1)
    sum_BV = np.zeros((replicates + 1, value_UV.shape[1]))
    for start in range(0, len(hash_U), _BLOCK_USERS):
        block = slice(start, start + _BLOCK_USERS)
        once = np.ones((len(hash_U[block]), 1))
        count_UB = np.hstack([once, poisson_counts(hash_U[block], replicates)])
        users_B += count_UB.sum(axis=0)
        sum_BV += count_UB.T @ value_UV[block]
    return users_B, sum_BV


def interval(mean_B: Doubles) -> tuple[float, float]:
    """The middle 95 % of the replicates; those without a single user are left out."""
    low, high = np.quantile(mean_B[np.isfinite(mean_B)], [TAIL, 1 - TAIL])
    return float(low), float(high)
