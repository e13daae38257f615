"""A convolution over sampled neighbours (GraphSAGE, Hamilton et al. 2017), weighted as in PinSage (Ying et al. 2018).

A user's neighbours are some of the items taken, an item's some of those who took it. They come with each row, so no
process holds the graph, and memory depends on the vocabularies and the length of the lists, not on the edges.
Shapes: see recsys/models/inputs.py; K neighbours, X ids with those of neighbours, Y numbers with their weights, N width
of a neighbour, O of a node itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys import columns as c
from recsys.catalog import NEIGHBOUR_IDS, NEIGHBOUR_WEIGHTS
from recsys.manifest import Inputs
from recsys.models.halves import first_layer, half_of_first, logits_with_product, with_product
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import column, logit_layers, require_shares, require_sizes

_USER, _ITEM, _CATEGORY = range(3)


@dataclass(frozen=True, kw_only=True)
class GraphSageConfig:
    """See conf/models/graphsage.yaml for the meaning of each key."""

    id_dim: int
    category_dim: int
    dim: int
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float

    def __post_init__(self) -> None:
        require_sizes("graphsage", self, self.id_dim, self.category_dim, self.dim)
        require_shares("graphsage", self)


class GraphSage(nn.Module):
    """Logit of "the user buys the item in the label window", from both convolved vectors and the numbers."""

    def __init__(self, config: GraphSageConfig, inputs: Inputs) -> None:
        super().__init__()
        lists = [inputs.neighbours] * len(NEIGHBOUR_IDS)
        self.id_widths = [len(inputs.ids), *lists]
        self.number_widths = [len(inputs.numeric), *lists[: len(NEIGHBOUR_WEIGHTS)]]
        self.embeddings = IdEmbeddings(
            inputs, (config.id_dim, config.id_dim, config.category_dim), hidden=config.hidden_ids, initial_std=0.1
        )
        self.numbers = NormalizedNumbers(inputs)
        item_dim = config.id_dim + config.category_dim
        self.of_user = Convolution(config.id_dim, item_dim, config.dim)
        self.of_item = Convolution(item_dim, config.id_dim, config.dim)
        self.dim = config.dim
        self.half_width = config.hidden[0] + config.dim
        self.layers = logit_layers(3 * config.dim + len(inputs.numeric), config.hidden, config.dropout)

    def forward(self, ids_BX: Tensor, numeric_BY: Tensor) -> Tensor:
        """Columns of both as Inputs.columns names them."""
        told = self._told(ids_BX, numeric_BY)
        return column(self.layers(with_product(self._user(told), self._item(told), self.numbers(told.numeric_BF))))

    def half_of(self, ids_XX: Tensor, number_XY: Tensor, *, of_users: bool) -> Tensor:
        """See recsys/models/halves.py; columns of both as of forward."""
        told = self._told(ids_XX, number_XY)
        vector_XD = self._user(told) if of_users else self._item(told)
        nothing_XD = torch.zeros_like(vector_XD)
        both = (vector_XD, nothing_XD) if of_users else (nothing_XD, vector_XD)
        return half_of_first(first_layer(self.layers), with_product(*both, told.numeric_BF), vector_XD)

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        places = [3 * self.dim + place for place in places_K]
        return logits_with_product(self.layers, user_BW, item_BW, number_BK, places)

    def _told(self, ids_BX: Tensor, numeric_BY: Tensor) -> "_Told":
        ids_BI, *lists = torch.split(ids_BX, self.id_widths, dim=1)
        numeric_BF, *weights = torch.split(numeric_BY, self.number_widths, dim=1)
        idx, weight = dict(zip(NEIGHBOUR_IDS, lists, strict=True)), dict(zip(NEIGHBOUR_WEIGHTS, weights, strict=True))
        return _Told(embedded=self.embeddings(ids_BI), numeric_BF=numeric_BF, idx=idx, weight=weight)

    def _user(self, told: "_Told") -> Tensor:
        items_BKN = torch.cat(
            [
                self.embeddings.of(_ITEM, told.idx[c.USER_NEIGHBOURS_ITEM_IDX]),
                self.embeddings.of(_CATEGORY, told.idx[c.USER_NEIGHBOURS_CATEGORY_IDX]),
            ],
            dim=2,
        )
        user_BD: Tensor = self.of_user(told.embedded[_USER], items_BKN, told.weight[c.USER_NEIGHBOURS_WEIGHT])
        return user_BD

    def _item(self, told: "_Told") -> Tensor:
        users_BKN = self.embeddings.of(_USER, told.idx[c.ITEM_NEIGHBOURS_USER_IDX])
        own_BO = torch.cat([told.embedded[_ITEM], told.embedded[_CATEGORY]], dim=1)
        item_BD: Tensor = self.of_item(own_BO, users_BKN, told.weight[c.ITEM_NEIGHBOURS_WEIGHT])
        return item_BD


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What rows say: of their own ids, (B, E) each, and by name of their neighbours, (B, K) each."""

    embedded: list[Tensor]
    numeric_BF: Tensor
    idx: dict[str, Tensor]
    weight: dict[str, Tensor]


class Convolution(nn.Module):
    """A node's vector of length 1, from itself and what its neighbours say on average (PinSage, algorithm 1)."""

    def __init__(self, own: int, neighbour: int, dim: int) -> None:
        super().__init__()
        self.message = nn.Linear(neighbour, dim)
        self.update = nn.Linear(own + dim, dim)
        # Vectors have length 1: with a bias they would all begin alike, and tell nodes apart late.
        for layer in (self.message, self.update):
            nn.init.zeros_(layer.bias)

    def forward(self, own_BO: Tensor, neighbour_BKN: Tensor, weight_BK: Tensor) -> Tensor:
        said_BD = weighted_mean(torch.relu(self.message(neighbour_BKN)), weight_BK)
        return F.normalize(self.update(torch.cat([own_BO, said_BD], dim=1)), dim=1)


def weighted_mean(vector_BKD: Tensor, weight_BK: Tensor) -> Tensor:
    """(B, D), over the neighbours with a weight above 0; zeros for a node without one."""
    total_B1 = weight_BK.sum(dim=1, keepdim=True)
    share_BK = weight_BK / torch.where(total_B1 > 0, total_B1, torch.ones_like(total_B1))
    # Not as a product of matrices, whose last bits depend on a row's company.
    return (share_BK[:, :, None] * vector_BKD).sum(dim=1)
