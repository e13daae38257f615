"""DeepFM (Guo et al. 2017): a factorisation machine and hidden layers on the same field embeddings.

Shapes: see recsys/models/inputs.py; J fields: the ids, then the numbers;
of halves recsys/models/halves.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.manifest import Inputs
from recsys.models.halves import first_layer, half_of_first, logits_behind_first
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import column, logit_layers, require_shares, require_sizes


@dataclass(frozen=True, kw_only=True)
class DeepFmConfig:
    """See conf/models/deepfm.yaml for the meaning of each key."""

    field_dim: int
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float

    def __post_init__(self) -> None:
        require_sizes("deepfm", self, self.field_dim)
        require_shares("deepfm", self)


class DeepFm(nn.Module):
    """First order: a weight an id and number. Second order: the products of all pairs of fields. Deep: all fields."""

    def __init__(self, config: DeepFmConfig, inputs: Inputs) -> None:
        super().__init__()
        ids, numbers = len(inputs.ids), len(inputs.numeric)
        # One more column than the field has: the first-order weight, looked up at the same time.
        self.embeddings = IdEmbeddings(inputs, (config.field_dim + 1,) * ids, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.directions_FD = nn.Parameter(torch.empty(numbers, config.field_dim))
        nn.init.normal_(self.directions_FD, std=0.01)
        self.linear = nn.Linear(numbers, 1)
        self.layers = logit_layers((ids + numbers) * config.field_dim, config.hidden, config.dropout)
        self.field_dim, self.half_width = config.field_dim, config.hidden[0] + config.field_dim + 1

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        number_BF = self.numbers(numeric_BF)
        embedded_BID = torch.stack(self.embeddings(ids_BI), dim=1)
        field_BJD = self._fields(embedded_BID, number_BF)
        first_B = embedded_BID[:, :, 0].sum(dim=1) + column(self.linear(number_BF))
        return first_B + products_of_pairs(field_BJD) + column(self.layers(field_BJD.flatten(start_dim=1)))

    def half_of(self, ids_XI: Tensor, number_XF: Tensor, *, of_users: bool) -> Tensor:  # noqa: ARG002  # both alike
        """The share of the first hidden layer; the sum of the fields; and what is added to the logit: the first order,
        less half of the fields' squares."""
        embedded_XID = torch.stack(self.embeddings(ids_XI), dim=1)
        field_XJD = self._fields(embedded_XID, number_XF)
        deep_XH = half_of_first(first_layer(self.layers), field_XJD.flatten(start_dim=1), field_XJD.sum(dim=1))
        order_X = embedded_XID[:, :, 0].sum(dim=1) + number_XF @ self.linear.weight[0] + self.linear.bias / 2
        return torch.cat([deep_XH, (order_X - 0.5 * (field_XJD**2).sum(dim=(1, 2)))[:, None]], dim=1)

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        """What a number says to the first hidden layer is its value times one vector: its direction, through the
        layer."""
        user_BW += item_BW
        places, hidden = list(places_K), first_layer(self.layers).out_features
        direction_KD = self.directions_FD[places]
        hidden_BH = torch.addmm(user_BW[:, :hidden], number_BK, self._through_first(places))
        sum_BD = torch.addmm(user_BW[:, hidden:-1], number_BK, direction_KD)
        order_K, square_K = self.linear.weight[0, places], 0.5 * (direction_KD**2).sum(dim=1)
        order_B = user_BW[:, -1] + number_BK @ order_K - number_BK**2 @ square_K
        return order_B + 0.5 * (sum_BD**2).sum(dim=1) + logits_behind_first(self.layers, hidden_BH)

    def _fields(self, embedded_BID: Tensor, number_BF: Tensor) -> Tensor:
        return torch.cat([embedded_BID[:, :, 1:], number_BF[:, :, None] * self.directions_FD], dim=1)

    def _through_first(self, places: Sequence[int]) -> Tensor:
        """(K, H)."""
        linear = first_layer(self.layers)
        weight_HJD = linear.weight.reshape(linear.out_features, -1, self.field_dim)
        of_numbers_HKD = weight_HJD[:, -len(self.directions_FD) :][:, places]
        return torch.einsum("hkd,kd->kh", of_numbers_HKD, self.directions_FD[places])


def products_of_pairs(field_BJD: Tensor) -> Tensor:
    """The sum of the inner products of all pairs of fields: half of (square of sum - sum of squares)."""
    square_of_sum_BD = field_BJD.sum(dim=1) ** 2
    sum_of_squares_BD = (field_BJD**2).sum(dim=1)
    return 0.5 * (square_of_sum_BD - sum_of_squares_BD).sum(dim=1)
