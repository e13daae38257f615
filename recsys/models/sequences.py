"""Networks that read what a user took, in order, and score what comes next.

Index 0 is no item: histories are filled up with it at their end. The item with index i of the vocabulary is i + 1 here.
Shapes: B rows, L places of a history, S = L + 1, D width, T targets of a batch, N negatives, I items.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.errors import ConfigError

NO_ITEM = 0
_INITIAL_STD = 0.02
_SHORTEST_PART = 8


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """See conf/models/gru.yaml for the meaning of each key."""

    dim: int
    history: int
    dropout: float
    negatives: int

    def __post_init__(self) -> None:
        if min(self.dim, self.history) < 1 or self.negatives < 0:
            got = f"{self.dim}, {self.history} and {self.negatives}"
            raise ConfigError(f"dim and history must be at least 1 and negatives at least 0, got {got}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be from 0 to below 1, got {self.dropout}")


class SequenceNetwork(nn.Module, ABC):
    """Items are scored by the vectors that they are read with (Press and Wolf 2017)."""

    def __init__(self, config: SequenceConfig, items: int) -> None:
        super().__init__()
        self.item_vectors = nn.Embedding(items + 1, config.dim, padding_idx=NO_ITEM)

    @abstractmethod
    def forward(self, item_idx_BL: Tensor) -> Tensor:
        """(B, L, D): the state at a place follows from the items up to it, and from no later ones."""

    def loss_sum(self, item_idx_BS: Tensor, negative_idx_N: Tensor) -> Tensor:
        """Sum over all items but each row's first, told from those before; without negatives over all other items."""
        states, targets = [], []
        for part_BS in by_length(item_idx_BS):
            next_BL = part_BS[:, 1:]
            is_target_BL = next_BL != NO_ITEM
            states.append(self(part_BS[:, :-1])[is_target_BL])
            targets.append(next_BL[is_target_BL])
        return next_item_loss_sum(torch.cat(states), torch.cat(targets), self.item_vectors.weight, negative_idx_N)

    def last_states(self, item_idx_BL: Tensor) -> Tensor:
        """(B, D): at each row's last item; zeros for a row without items."""
        longest = max(int((item_idx_BL != NO_ITEM).sum(dim=1).max()), 1) if len(item_idx_BL) else 1
        return self.whole_states(item_idx_BL[:, :longest])

    def whole_states(self, item_idx_BL: Tensor) -> Tensor:
        """As last_states, of all places: no row's bits depend on how long the others are."""
        length_B = (item_idx_BL != NO_ITEM).sum(dim=1)
        last_BD: Tensor = self(item_idx_BL)[torch.arange(len(length_B)), (length_B - 1).clamp_min(0)]
        return last_BD * (length_B > 0)[:, None]

    @torch.no_grad()
    def scores(self, item_idx_BL: Tensor) -> Tensor:
        """(B, I), column i of the item with index i in the vocabulary, for what comes after each history."""
        return self.last_states(item_idx_BL) @ self.item_vectors.weight[1:].T


def by_length(item_idx_BS: Tensor) -> Iterator[Tensor]:
    """The rows in parts of like length, each cut to its longest: most histories are far shorter than they may be."""
    length_B = (item_idx_BS != NO_ITEM).sum(dim=1)
    shorter, border = 0, _SHORTEST_PART
    while shorter < item_idx_BS.shape[1]:
        part_BS = item_idx_BS[(length_B > shorter) & (length_B <= border)]
        if len(part_BS):
            yield part_BS[:, : int((part_BS != NO_ITEM).sum(dim=1).max())]
        shorter, border = border, 2 * border


def next_item_loss_sum(state_TD: Tensor, target_T: Tensor, vector_ID: Tensor, negative_idx_N: Tensor) -> Tensor:
    """Softmax cross-entropy over all items or, with negatives, over the target and these; row 0 of the vectors is none.

    Negatives stand for all other items: each counts (I - 1) / N times, which is the correction by the logarithm of the
    probability of being drawn (Bengio and Senecal 2008). One that is the target is left out.
    """
    if not len(negative_idx_N):
        return F.cross_entropy(state_TD @ vector_ID[1:].T, target_T - 1, reduction="sum")
    positive_T1 = (state_TD * vector_ID[target_T]).sum(dim=1, keepdim=True)
    log_weight = math.log((len(vector_ID) - 2) / len(negative_idx_N))
    negative_TN = state_TD @ vector_ID[negative_idx_N].T + log_weight
    is_target_TN = negative_idx_N == target_T[:, None]
    score_TX = torch.cat([positive_T1, negative_TN.masked_fill(is_target_TN, -math.inf)], dim=1)
    return F.cross_entropy(score_TX, torch.zeros_like(target_T), reduction="sum")


def start_small(network: nn.Module) -> None:
    """Normal weights of a fiftieth, no bias: as transformers start (Devlin et al. 2019)."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=_INITIAL_STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
