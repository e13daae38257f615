"""A graph convolutional network on node features (Kipf and Welling 2017).

Shapes: see factors.py; F numbers of a node.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.factors import RankedConfig
from recsys.models.inputs import padded_embedding
from recsys.models.lightgcn import Edges
from recsys.models.mf import RankedNetwork
from recsys.models.nodes import Graph


@dataclass(frozen=True, kw_only=True)
class GcnConfig(RankedConfig):
    """See conf/models/gcn.yaml for the meaning of each key."""

    layers: int
    dropout: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 1:
            raise ConfigError(f"gcn.layers must be at least 1 (mf has none), got {self.layers}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"gcn.dropout must be from 0 to below 1, got {self.dropout}")


class Gcn(RankedNetwork):
    """A node begins as its own vector, that of its category and its numbers, then hears its neighbours layer by layer.

    A layer is the paper's equation 7 in matrix form: relu((H + A H) W), A the normalised adjacency that LightGCN has;
    the last one is linear.
    """

    user_UF: Tensor
    item_IF: Tensor
    category_I: Tensor

    def __init__(self, config: GcnConfig, graph: Graph) -> None:
        super().__init__(config, graph.matrix_UI)
        nodes, dim = graph.nodes, config.dim
        self.dropout = config.dropout
        self.edges = Edges(graph.matrix_UI)
        for name, numbers in (("user_UF", nodes.user_UF), ("item_IF", nodes.item_IF)):
            self.register_buffer(name, torch.from_numpy(numbers), persistent=False)
        self.register_buffer("category_I", torch.from_numpy(nodes.category_I + 1).long(), persistent=False)
        self.of_category = padded_embedding(nodes.categories, dim, std=0.01)
        self.of_user_numbers, self.of_item_numbers = (
            _small(nn.Linear(numbers.shape[1], dim, bias=False)) for numbers in (nodes.user_UF, nodes.item_IF)
        )
        self.layers = nn.ModuleList(_near_half(nn.Linear(dim, dim)) for _ in range(config.layers))

    def unscaled(self) -> tuple[Tensor, Tensor]:
        user_UD = self.user_UD + self.of_user_numbers(self.user_UF)
        item_ID = self.item_ID + self.of_item_numbers(self.item_IF) + self.of_category(self.category_I)
        for number, layer in enumerate(self.layers, start=1):
            heard_UD, heard_ID = self.edges.to_users(item_ID), self.edges.to_items(user_UD)
            user_UD, item_ID = layer(user_UD + heard_UD), layer(item_ID + heard_ID)
            if number < len(self.layers):
                user_UD, item_ID = (self._activated(vectors) for vectors in (user_UD, item_ID))
        return user_UD, item_ID

    def _activated(self, vectors: Tensor) -> Tensor:
        return F.dropout(torch.relu(vectors), self.dropout, training=self.training)


def _small(layer: nn.Linear) -> nn.Linear:
    nn.init.normal_(layer.weight, std=0.01)
    return layer


def _near_half(layer: nn.Linear) -> nn.Linear:
    """Near half of what came in: a node and its neighbours then begin as their mean, and a spectral start holds."""
    nn.init.normal_(layer.weight, std=0.01)
    with torch.no_grad():
        layer.weight += 0.5 * torch.eye(*layer.weight.shape)
    nn.init.zeros_(layer.bias)
    return layer
