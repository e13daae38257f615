"""A multi-layer perceptron on id embeddings and normalised numbers. Shapes: see recsys/models/inputs.py."""

from dataclasses import dataclass

import torch
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
        width = config.id_dim + sum(dims) + len(inputs.numeric)
        self.layers = logit_layers(width, config.hidden, config.dropout)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        user_BD, item_BD, category_BD = self.embeddings(ids_BI)
        parts = [user_BD, item_BD, user_BD * item_BD, category_BD, self.numbers(numeric_BF)]
        return column(self.layers(torch.cat(parts, dim=1)))
