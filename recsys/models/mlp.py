"""A multi-layer perceptron on id embeddings and normalised numbers. Shapes: see recsys/models/inputs.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.manifest import Inputs
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import column, logit_layers, require_shares, require_sizes


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """See conf/models/mlp.yaml for the meaning of each key."""

    id_dim: int
    category_dim: int
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float

    def __post_init__(self) -> None:
        require_sizes("mlp", self, self.id_dim, self.category_dim)
        require_shares("mlp", self)


class Mlp(nn.Module):
    """Logit of "the user buys the item in the label window".

    The product of user and item embedding stands beside the two: taste in common is then one layer away.
    """

    def __init__(self, config: MlpConfig, inputs: Inputs) -> None:
        super().__init__()
        dims = (config.id_dim, config.id_dim, config.category_dim)
        self.embeddings = IdEmbeddings(inputs, dims, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.id_dim, self.first_number = config.id_dim, config.id_dim + sum(dims)
        self.half_width = config.hidden[0] + config.id_dim
        self.layers = logit_layers(self.first_number + len(inputs.numeric), config.hidden, config.dropout)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        return column(self.layers(_first(self.embeddings(ids_BI), self.numbers(numeric_BF))))

    def half_of(self, ids_XI: Tensor, number_XF: Tensor) -> Tensor:
        """The share of the first layer, half of its bias in it, and the embedding of the id that is known."""
        user_XD, item_XD, category_XD = self.embeddings(ids_XI)
        first_XW = _first([user_XD, item_XD, category_XD], number_XF)
        share_XH = F.linear(first_XW, self._linear.weight, self._linear.bias / 2)
        return torch.cat([share_XH, user_XD + item_XD], dim=1)

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        of_embedding = slice(-self.id_dim, None)
        pair_BK = torch.cat([user_BW[:, of_embedding] * item_BW[:, of_embedding], number_BK], dim=1)
        places = [*range(2 * self.id_dim, 3 * self.id_dim), *(self.first_number + place for place in places_K)]
        # In place: memory that the system hands out anew costs as much as the products.
        user_BW += item_BW
        hidden_BH = torch.addmm(user_BW[:, : -self.id_dim], pair_BK, self._linear.weight.T[places])
        for layer in list(self.layers)[1:]:
            hidden_BH = hidden_BH.relu_() if isinstance(layer, nn.ReLU) else layer(hidden_BH)
        return column(hidden_BH)

    @property
    def _linear(self) -> nn.Linear:
        return cast(nn.Linear, self.layers[0])


def _first(embedded: list[Tensor], number_BF: Tensor) -> Tensor:
    user_BD, item_BD, category_BD = embedded
    return torch.cat([user_BD, item_BD, user_BD * item_BD, category_BD, number_BF], dim=1)
