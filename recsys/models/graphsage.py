"""A convolution over sampled neighbours (GraphSAGE, Hamilton et al. 2017), weighted as in PinSage (Ying et al. 2018).

A user's neighbours are some of the items taken, an item's some of those who took it. They come with each row, so no
process holds the graph, and memory depends on the vocabularies and the length of the lists, not on the edges.
Shapes: see recsys/models/inputs.py; K neighbours, X ids with those of neighbours, Y numbers with their weights, N width
of a neighbour, O of a node itself.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys import columns as c
from recsys.catalog import NEIGHBOUR_IDS, NEIGHBOUR_WEIGHTS
from recsys.manifest import Inputs
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
        self.layers = logit_layers(3 * config.dim + len(inputs.numeric), config.hidden, config.dropout)

    def forward(self, ids_BX: Tensor, numeric_BY: Tensor) -> Tensor:
        """Columns of both as Inputs.columns names them."""
        ids_BI, *lists = torch.split(ids_BX, self.id_widths, dim=1)
        numeric_BF, *weights = torch.split(numeric_BY, self.number_widths, dim=1)
        idx, weight = dict(zip(NEIGHBOUR_IDS, lists, strict=True)), dict(zip(NEIGHBOUR_WEIGHTS, weights, strict=True))
        user_BE, item_BE, category_BE = self.embeddings(ids_BI)
        items_BKN = torch.cat(
            [
                self.embeddings.of(_ITEM, idx[c.USER_NEIGHBOURS_ITEM_IDX]),
                self.embeddings.of(_CATEGORY, idx[c.USER_NEIGHBOURS_CATEGORY_IDX]),
            ],
            dim=2,
        )
        users_BKN = self.embeddings.of(_USER, idx[c.ITEM_NEIGHBOURS_USER_IDX])
        user_BD = self.of_user(user_BE, items_BKN, weight[c.USER_NEIGHBOURS_WEIGHT])
        item_BD = self.of_item(torch.cat([item_BE, category_BE], dim=1), users_BKN, weight[c.ITEM_NEIGHBOURS_WEIGHT])
        parts = [user_BD, item_BD, user_BD * item_BD, self.numbers(numeric_BF)]
        return column(self.layers(torch.cat(parts, dim=1)))


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
