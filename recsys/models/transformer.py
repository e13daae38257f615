"""What the transformers over a history share. Shapes: B rows, L places, D width, H heads, E width of a head."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.sequences import SequenceConfig, SequenceNetwork, start_small


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(SequenceConfig):
    """See conf/models/sasrec.yaml for the meaning of each key."""

    layers: int
    heads: int
    feed_forward: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.layers, self.heads, self.feed_forward) < 1 or self.dim % self.heads:
            raise ConfigError(
                "layers, heads and feed_forward must be at least 1 and heads must divide dim, "
                f"got {self.layers}, {self.heads}, {self.feed_forward} and {self.dim}"
            )


class Attention(nn.Module):
    """Each place looks at itself and those before it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.query_key_value = nn.Linear(config.dim, 3 * config.dim)
        self.project = nn.Linear(config.dim, config.dim)

    def forward(self, state_BLD: Tensor) -> Tensor:
        parts = self.query_key_value(state_BLD).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        dropout = self.dropout if self.training else 0.0
        seen_BHLE = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        projected_BLD: Tensor = self.project(seen_BHLE.transpose(1, 2).flatten(2))
        return projected_BLD


class Residual(nn.Module):
    """Adds the layer's output to its input, then normalises."""

    def __init__(self, config: TransformerConfig, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.dropout, self.norm = layer, nn.Dropout(config.dropout), nn.LayerNorm(config.dim)

    def forward(self, state_BLD: Tensor) -> Tensor:
        normed_BLD: Tensor = self.norm(state_BLD + self.dropout(self.layer(state_BLD)))
        return normed_BLD


def feed_forward(config: TransformerConfig) -> nn.Module:
    hidden = config.feed_forward * config.dim
    return nn.Sequential(nn.Linear(config.dim, hidden), nn.GELU(), nn.Linear(hidden, config.dim))


class Transformer(SequenceNetwork):
    """Items with their places, counted from a history's oldest item, through blocks of attention and feed-forward."""

    def __init__(self, config: Any, items: int) -> None:
        super().__init__(config, items)
        self.place_vectors = nn.Embedding(config.history, config.dim)
        self.norm, self.dropout = nn.LayerNorm(config.dim), nn.Dropout(config.dropout)
        self.blocks = nn.Sequential(*(self.block(config) for _ in range(config.layers)))
        start_small(self)

    def block(self, config: Any) -> nn.Module:
        return nn.Sequential(Residual(config, Attention(config)), Residual(config, feed_forward(config)))

    def forward(self, item_idx_BL: Tensor) -> Tensor:
        place_L = torch.arange(item_idx_BL.shape[1], device=item_idx_BL.device)
        placed_BLD = self.item_vectors(item_idx_BL) + self.place_vectors(place_L)
        state_BLD: Tensor = self.blocks(self.dropout(self.norm(placed_BLD)))
        return state_BLD
