"""Wide and deep (Cheng et al. 2016): a linear model with crosses beside hidden layers, trained as one.

Shapes: see recsys/models/inputs.py; C crosses.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.catalog import ID_INPUTS
from recsys.errors import ConfigError
from recsys.manifest import Inputs
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import column, logit_layers, require_shares, require_sizes

_ID_NAMES = tuple(id_input.name for id_input in ID_INPUTS)
# Odd and large, so that neighbouring rows fall into buckets far apart (Knuth's multiplicative hashing).
_MULTIPLIER = 2_654_435_761


@dataclass(frozen=True, kw_only=True)
class WideAndDeepConfig:
    """See conf/models/wide_and_deep.yaml for the meaning of each key."""

    id_dim: int
    category_dim: int
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float
    crosses: tuple[tuple[str, ...], ...]
    cross_buckets: int

    def __post_init__(self) -> None:
        require_sizes("wide_and_deep", self, self.id_dim, self.category_dim, self.cross_buckets)
        require_shares("wide_and_deep", self)
        for cross in self.crosses:
            if len(set(cross)) < 2 or len(set(cross)) < len(cross) or not set(cross) <= set(_ID_NAMES):
                expected = f"two or more different ones of {list(_ID_NAMES)}"
                raise ConfigError(f"wide_and_deep.crosses: each must name {expected}, got {list(cross)}")


class WideAndDeep(nn.Module):
    """The wide part sees what is known of the ids in this step: a hidden id is hidden from both parts."""

    def __init__(self, config: WideAndDeepConfig, inputs: Inputs) -> None:
        super().__init__()
        dims = (config.id_dim, config.id_dim, config.category_dim)
        self.embeddings = IdEmbeddings(inputs, dims, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.wide = Wide(config, inputs)
        width = config.id_dim + sum(dims) + len(inputs.numeric)
        self.layers = logit_layers(width, config.hidden, config.dropout)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        row_BI, number_BF = self.embeddings.rows(ids_BI), self.numbers(numeric_BF)
        user_BD, item_BD, category_BD = self.embeddings.embed(row_BI)
        parts = [user_BD, item_BD, user_BD * item_BD, category_BD, number_BF]
        deep_B = column(self.layers(torch.cat(parts, dim=1)))
        wide_B: Tensor = self.wide(row_BI, number_BF)
        return deep_B + wide_B


class Wide(nn.Module):
    """A weight for each id, each bucket of each cross and each number; all start at 0."""

    def __init__(self, config: WideAndDeepConfig, inputs: Inputs) -> None:
        super().__init__()
        self.positions = [[_ID_NAMES.index(name) for name in cross] for cross in config.crosses]
        self.buckets = config.cross_buckets
        sizes = [vocabulary.size + 1 for vocabulary in inputs.ids] + [self.buckets + 1] * len(self.positions)
        self.weights = nn.ModuleList(nn.Embedding(size, 1, padding_idx=0) for size in sizes)
        self.linear = nn.Linear(len(inputs.numeric), 1, bias=False)
        for weight in (*(table.weight for table in self.weights), self.linear.weight):
            nn.init.zeros_(weight)  # type: ignore[arg-type]  # a module's attribute is a Tensor or a Module to mypy

    def forward(self, row_BI: Tensor, number_BF: Tensor) -> Tensor:
        rows = [*row_BI.unbind(dim=1), *(self._bucket(row_BI[:, position]) for position in self.positions)]
        terms = [column(table(row_B)) for table, row_B in zip(self.weights, rows, strict=True)]
        return torch.stack([*terms, column(self.linear(number_BF))]).sum(dim=0)

    def _bucket(self, row_BC: Tensor) -> Tensor:
        """From 1 on; 0 where one of the crossed ids is unknown."""
        hashed_B = torch.zeros_like(row_BC[:, 0])
        for row_B in row_BC.unbind(dim=1):
            hashed_B = (hashed_B * 31 + row_B) * _MULTIPLIER % (1 << 31)
        return torch.where((row_BC > 0).all(dim=1), hashed_B % self.buckets + 1, torch.zeros_like(hashed_B))
