"""DCN-v2 (Wang et al. 2021): cross layers, full or as a mixture of low-rank experts, and hidden layers.

Shapes: see recsys/models/inputs.py; E experts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.manifest import Inputs
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import column, hidden_layers, require_shares, require_sizes

# Zeros fill the width up to a multiple of this: products with few outputs (gate, low ranks) otherwise round a row by
# its place in the batch.
_ALIGNED = 8


@dataclass(frozen=True, kw_only=True)
class DcnConfig:
    """See conf/models/dcn.yaml for the meaning of each key."""

    id_dim: int
    category_dim: int
    cross_layers: int
    rank: int
    experts: int
    structure: str
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float

    def __post_init__(self) -> None:
        require_sizes("dcn", self, self.id_dim, self.category_dim, self.cross_layers, self.experts)
        require_shares("dcn", self)
        if self.rank < 0:
            raise ConfigError(f"dcn.rank must be 0 (full matrices) or more, got {self.rank}")
        if self.structure not in ("stacked", "parallel"):
            raise ConfigError(f"dcn.structure must be stacked or parallel, got {self.structure!r}")


class Dcn(nn.Module):
    """Stacked: the hidden layers work on the crosses; parallel: on the inputs, beside them."""

    def __init__(self, config: DcnConfig, inputs: Inputs) -> None:
        super().__init__()
        dims = (config.id_dim, config.id_dim, config.category_dim)
        self.padding = -(sum(dims) + len(inputs.numeric)) % _ALIGNED
        width = sum(dims) + len(inputs.numeric) + self.padding
        self.is_stacked = config.structure == "stacked"
        self.embeddings = IdEmbeddings(inputs, dims, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.crosses = nn.ModuleList(_cross(width, config) for _ in range(config.cross_layers))
        self.hidden = nn.Sequential(*hidden_layers(width, config.hidden, config.dropout))
        self.output = nn.Linear(config.hidden[-1] + (0 if self.is_stacked else width), 1)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        parts = torch.cat([*self.embeddings(ids_BI), self.numbers(numeric_BF)], dim=1)
        input_BD = F.pad(parts, (0, self.padding))
        crossed_BD = input_BD
        for cross in self.crosses:
            crossed_BD = crossed_BD + cross(input_BD, crossed_BD)
        if self.is_stacked:
            return column(self.output(self.hidden(crossed_BD)))
        return column(self.output(torch.cat([crossed_BD, self.hidden(input_BD)], dim=1)))


def _cross(width: int, config: DcnConfig) -> nn.Module:
    return LowRankCross(width, config.rank, config.experts) if config.rank else FullCross(width)


class FullCross(nn.Module):
    """x0 * (W x + b), elementwise product: one degree more in x0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, input_BD: Tensor, crossed_BD: Tensor) -> Tensor:
        product_BD: Tensor = input_BD * self.linear(crossed_BD)
        return product_BD


class LowRankCross(nn.Module):
    """W as a gated sum of experts, each U tanh(C tanh(V x))."""

    def __init__(self, width: int, rank: int, experts: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(_expert(width, rank) for _ in range(experts))
        self.gate = nn.Linear(width, experts)
        self.bias_D = nn.Parameter(torch.zeros(width))

    def forward(self, input_BD: Tensor, crossed_BD: Tensor) -> Tensor:
        share_BE = torch.softmax(self.gate(crossed_BD), dim=1)
        mixed_BD = self.bias_D.expand_as(input_BD)
        # One after the other: a batched product rounds a row by its place in the batch too.
        for e, expert in enumerate(self.experts):
            mixed_BD = mixed_BD + share_BE[:, e, None] * expert(crossed_BD)
        return input_BD * mixed_BD


def _expert(width: int, rank: int) -> nn.Sequential:
    down, within, up = (
        nn.Linear(width, rank, bias=False), nn.Linear(rank, rank, bias=False), nn.Linear(rank, width, bias=False)
    )  # fmt: skip
    return nn.Sequential(down, nn.Tanh(), within, nn.Tanh(), up)
