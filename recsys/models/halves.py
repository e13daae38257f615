"""Networks whose first layer adds up what single inputs say: a user's half and an item's are worked out once each, and
a pair needs what is of the pair alone.

Shapes: X rows of one side, B pairs, I id inputs, F numeric inputs, W width of a half, K numbers of a pair.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Halves(Protocol):
    """Numbers are normalised. The logits are those of the whole network but for the order of sums."""

    half_width: int

    def half_of(self, ids_XI: Tensor, number_XF: Tensor) -> Tensor:
        """(X, W), of users or of items: ids of the others are -1, numbers that do not speak of them alone 0."""
        ...

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        """(B,). `number_BK`: all numbers that neither half holds; `places_K`: where they stand among the inputs.

        `user_BW` is written over.
        """
        ...
