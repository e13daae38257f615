"""EASE (Steck 2019): the item-item matrix with an empty diagonal that best repeats the users' rows. Shapes: I items."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.errors import ConfigError
from recsys.models.interactions import Indexes, Matrix, Scores

# The Gram matrix and its inverse are held at once, in double precision.
_BYTES_AN_ENTRY = 2 * 8


@dataclass(frozen=True, kw_only=True)
class EaseConfig:
    """See conf/models/ease.yaml for the meaning of each key."""

    l2: float
    max_memory_gib: float

    def __post_init__(self) -> None:
        if self.l2 <= 0:
            raise ConfigError(f"ease.l2 must be above 0, got {self.l2}")


@dataclass(frozen=True, kw_only=True)
class Ease:
    history_UI: Matrix
    weight_II: NDArray[np.float32]

    def scores(self, user_idx_B: Indexes) -> Scores:
        return np.asarray(self.history_UI[user_idx_B] @ self.weight_II, dtype=np.float32)

    def weights(self, taken_P: Indexes, item_P: Indexes) -> Scores:
        """(P,): what a taken item adds to an item's score."""
        return self.weight_II[taken_P, item_P]


def fit_ease(config: EaseConfig, matrix_UI: Matrix) -> Ease:
    """Raises ConfigError where the matrices would not fit into `max_memory_gib`."""
    items = matrix_UI.shape[1]
    needed_gib = items**2 * _BYTES_AN_ENTRY / 2**30
    if needed_gib > config.max_memory_gib:
        raise ConfigError(
            f"ease needs {needed_gib:.1f} GiB for {items} items and may take {config.max_memory_gib:g}. Cure: a larger "
            "max_memory_gib where the machine has it, or a model whose memory does not grow with items squared"
        )
    gram_II = np.asarray((matrix_UI.T @ matrix_UI).toarray(), dtype=np.float64)
    gram_II[np.diag_indices(items)] += config.l2
    inverse_II = torch.linalg.inv(torch.from_numpy(gram_II)).numpy()
    weight_II = (inverse_II / -np.diag(inverse_II)).astype(np.float32)
    np.fill_diagonal(weight_II, 0)
    return Ease(history_UI=matrix_UI, weight_II=weight_II)
