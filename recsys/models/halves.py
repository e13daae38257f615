"""Networks whose first layer adds up what single inputs say: a user's half and an item's are worked out once each, and
a pair needs what is of the pair alone.

Shapes: X rows of one side, B pairs, I id inputs, F numeric inputs, W width of a half, K numbers of a pair, H outputs of
the first layer, D width of the vectors whose product it takes.
"""

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.models.layers import column


@runtime_checkable
class Halves(Protocol):
    """Numbers are normalised. The logits are those of the whole network but for the order of sums."""

    half_width: int

    def half_of(self, ids_XI: Tensor, number_XF: Tensor, *, of_users: bool) -> Tensor:
        """(X, W), of users or of items: ids of the others are -1, numbers that do not speak of them alone 0.

        Both halves of a pair hold half of every bias.
        """
        ...

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        """(B,). `number_BK`: all numbers that neither half holds; `places_K`: where they stand among the inputs.

        `user_BW` is written over.
        """
        ...


def first_layer(layers: nn.Sequential) -> nn.Linear:
    return cast(nn.Linear, layers[0])


def half_of_first(linear: nn.Linear, first_XW: Tensor, vector_XD: Tensor) -> Tensor:
    """(X, H + D): the share of the first layer, and the vector that the other side's is multiplied with."""
    return torch.cat([F.linear(first_XW, linear.weight, linear.bias / 2), vector_XD], dim=1)


def logits_with_product(
    layers: nn.Sequential, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]
) -> Tensor:
    """(B,) from halves as half_of_first makes them, of layers that take the vectors of both sides, the product of
    these, and behind them other inputs; `places_K`: of the numbers among all inputs. `user_BW` is written over."""
    linear = first_layer(layers)
    vector = user_BW.shape[1] - linear.out_features
    pair_BK = torch.cat([user_BW[:, -vector:] * item_BW[:, -vector:], number_BK], dim=1)
    places = [*range(2 * vector, 3 * vector), *places_K]
    # In place: memory that the system hands out anew costs as much as the products.
    user_BW += item_BW
    hidden_BH = torch.addmm(user_BW[:, :-vector], pair_BK, linear.weight.T[places])
    return logits_behind_first(layers, hidden_BH)


def with_product(user_BD: Tensor, item_BD: Tensor, *others: Tensor) -> Tensor:
    """The inputs of such layers."""
    return torch.cat([user_BD, item_BD, user_BD * item_BD, *others], dim=1)


def logits_behind_first(layers: nn.Sequential, hidden_BH: Tensor) -> Tensor:
    """(B,) from the first layer's outputs on, which are written over; without dropout, as in evaluation."""
    for layer in list(layers)[1:]:
        if isinstance(layer, nn.ReLU):
            hidden_BH = hidden_BH.relu_()
        elif not isinstance(layer, nn.Dropout):
            hidden_BH = layer(hidden_BH)
    return column(hidden_BH)
