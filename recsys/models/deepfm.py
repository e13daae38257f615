"""DeepFM (Guo et al. 2017): a factorisation machine and hidden layers on the same field embeddings.

Shapes: see recsys/models/inputs.py; J fields: the ids, then the numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.manifest import Inputs
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

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        number_BF = self.numbers(numeric_BF)
        embedded_BID = torch.stack(self.embeddings(ids_BI), dim=1)
        field_BJD = torch.cat([embedded_BID[:, :, 1:], number_BF[:, :, None] * self.directions_FD], dim=1)
        first_B = embedded_BID[:, :, 0].sum(dim=1) + column(self.linear(number_BF))
        return first_B + products_of_pairs(field_BJD) + column(self.layers(field_BJD.flatten(start_dim=1)))


def products_of_pairs(field_BJD: Tensor) -> Tensor:
    """The sum of the inner products of all pairs of fields: half of (square of sum - sum of squares)."""
    square_of_sum_BD = field_BJD.sum(dim=1) ** 2
    sum_of_squares_BD = (field_BJD**2).sum(dim=1)
    return 0.5 * (square_of_sum_BD - sum_of_squares_BD).sum(dim=1)
