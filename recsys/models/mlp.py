"""A multi-layer perceptron on id embeddings and normalised numbers. Shapes: see recsys/models/inputs.py."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.manifest import Inputs
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """See conf/models/mlp.yaml for the meaning of each key."""

    id_dim: int
    category_dim: int
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float

    def __post_init__(self) -> None:
        sizes = (self.id_dim, self.category_dim, *self.hidden)
        if not self.hidden or min(sizes) < 1:
            raise ConfigError(f"mlp: dimensions must be at least 1 and hidden must not be empty, got {self}")
        for key in ("dropout", "hidden_ids"):
            if not 0 <= getattr(self, key) < 1:
                raise ConfigError(f"mlp.{key} must be from 0 to below 1, got {getattr(self, key)}")


class Mlp(nn.Module):
    """Logit of "the user buys the item in the label window".

    The product of user and item embedding stands beside the two: taste in common is then one layer away.
    """

    def __init__(self, config: MlpConfig, inputs: Inputs) -> None:
        super().__init__()
        dims = (config.id_dim, config.id_dim, config.category_dim)
        self.embeddings = IdEmbeddings(inputs, dims, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.layers = _layers(config.id_dim + sum(dims) + len(inputs.numeric), config)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        user_BD, item_BD, category_BD = self.embeddings(ids_BI)
        parts = [user_BD, item_BD, user_BD * item_BD, category_BD, self.numbers(numeric_BF)]
        logit_B1: Tensor = self.layers(torch.cat(parts, dim=1))
        return logit_B1[:, 0]


def _layers(width: int, config: MlpConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden in config.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(config.dropout)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, 1))
