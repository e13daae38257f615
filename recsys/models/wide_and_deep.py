"""Wide and deep (Cheng et al. 2016): a linear model with crosses beside hidden layers, trained as one.

Shapes: see recsys/models/inputs.py; of halves recsys/models/halves.py; C crossed ids.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.catalog import ID_INPUTS
from recsys.errors import ConfigError
from recsys.manifest import Inputs
from recsys.models.halves import first_layer, half_of_first, logits_with_product, with_product
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import column, logit_layers, require_shares, require_sizes

_ID_NAMES = tuple(id_input.name for id_input in ID_INPUTS)
# Odd and large, so that neighbouring rows fall into buckets far apart (Knuth's multiplicative hashing).
_MULTIPLIER = 2_654_435_761
_LOW = 2**12


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
        self.id_dim, self.first_number = config.id_dim, config.id_dim + sum(dims)
        self.layers = logit_layers(self.first_number + len(inputs.numeric), config.hidden, config.dropout)
        self.half_width = config.hidden[0] + config.id_dim + 2 * len(inputs.ids) + 1

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        row_BI, number_BF = self.embeddings.rows(ids_BI), self.numbers(numeric_BF)
        deep_B = column(self.layers(with_product(*self.embeddings.embed(row_BI), number_BF)))
        wide_B: Tensor = self.wide(row_BI, number_BF)
        return deep_B + wide_B

    def half_of(self, ids_XI: Tensor, number_XF: Tensor, *, of_users: bool) -> Tensor:
        """That of the deep part; the rows of the ids, which crosses need, 0 for those of the other half; and what the
        wide part adds without crosses."""
        row_XI = self.embeddings.rows(ids_XI)
        embedded = self.embeddings.embed(row_XI)
        vector_XD = embedded[0 if of_users else 1]
        deep_XH = half_of_first(first_layer(self.layers), with_product(*embedded, number_XF), vector_XD)
        wide_X = self.wide.of_ids(row_XI) + self.wide.of_numbers(number_XF)
        return torch.cat([deep_XH, *_in_two(row_XI), wide_X[:, None]], dim=1)

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        places, deep = list(places_K), first_layer(self.layers).out_features + self.id_dim
        widths = [*2 * [len(self.embeddings.tables)], 1]
        *two, wide_B1 = torch.split(user_BW[:, deep:] + item_BW[:, deep:], widths, dim=1)
        wide_B = column(wide_B1) + self.wide.of_crosses(_whole(*two)) + number_BK @ self.wide.linear.weight[0, places]
        at_first = [self.first_number + place for place in places]
        return wide_B + logits_with_product(self.layers, user_BW[:, :deep], item_BW[:, :deep], number_BK, at_first)


def _in_two(row_XI: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as floats of 32 bits, of which one alone would tell rows up to 2**24 only."""
    high_XI = torch.div(row_XI, _LOW, rounding_mode="floor")
    return high_XI.float(), (row_XI - high_XI * _LOW).float()


def _whole(high_BI: Tensor, low_BI: Tensor) -> Tensor:
    return high_BI.long() * _LOW + low_BI.long()


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
        return self.of_ids(row_BI) + self.of_crosses(row_BI) + self.of_numbers(number_BF)

    def of_ids(self, row_BI: Tensor) -> Tensor:
        return self._weights(range(row_BI.shape[1]), row_BI.unbind(dim=1))

    def of_crosses(self, row_BI: Tensor) -> Tensor:
        if not self.positions:
            return torch.zeros(len(row_BI), device=row_BI.device)
        buckets = [self._bucket(row_BI[:, position]) for position in self.positions]
        return self._weights(range(row_BI.shape[1], len(self.weights)), buckets)

    def of_numbers(self, number_BF: Tensor) -> Tensor:
        return column(self.linear(number_BF))

    def _weights(self, tables: Iterable[int], rows: Sequence[Tensor]) -> Tensor:
        terms = [column(self.weights[table](row_B)) for table, row_B in zip(tables, rows, strict=True)]
        return torch.stack(terms).sum(dim=0)

    def _bucket(self, row_BC: Tensor) -> Tensor:
        """From 1 on; 0 where one of the crossed ids is unknown."""
        hashed_B = torch.zeros_like(row_BC[:, 0])
        for row_B in row_BC.unbind(dim=1):
            hashed_B = (hashed_B * 31 + row_B) * _MULTIPLIER % (1 << 31)
        return torch.where((row_BC > 0).all(dim=1), hashed_B % self.buckets + 1, torch.zeros_like(hashed_B))
