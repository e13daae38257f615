"""Two towers (Yi et al. 2019): a vector from what is known of a user, one from what is known of an item.

An item that nobody took yet has a category, words and perhaps a price, and so a vector.
Shapes: B rows, P rows with a label above 0, I id inputs, F numeric inputs, D width, W words of an item.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.catalog import CONTEXT, FEATURES, ITEM, USER
from recsys.errors import ConfigError
from recsys.manifest import Inputs
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import hidden_layers, require_shares, require_sizes

_GRAINS = {feature.name: feature.grain for feature in FEATURES}
_USER_SIDE, _ITEM_SIDE = (USER.name, CONTEXT.name), (ITEM.name,)
NO_WORD = 0


@dataclass(frozen=True, kw_only=True)
class TwoTowerConfig:
    """See conf/models/two_tower.yaml for the meaning of each key."""

    dim: int
    id_dim: int
    category_dim: int
    words: int
    word_buckets: int
    word_dim: int
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float
    temperature: float

    def __post_init__(self) -> None:
        sizes = (self.dim, self.id_dim, self.category_dim, self.words, self.word_buckets, self.word_dim)
        require_sizes("two_tower", self, *sizes)
        require_shares("two_tower", self)
        if self.temperature <= 0:
            raise ConfigError(f"two_tower.temperature must be above 0, got {self.temperature}")


class TwoTower(nn.Module):
    """Inputs that only a pair has, such as how often the user bought the item, are left out."""

    words_IW: Tensor

    def __init__(self, config: TwoTowerConfig, inputs: Inputs) -> None:
        super().__init__()
        self.temperature = config.temperature
        dims = (config.id_dim, config.id_dim, config.category_dim)
        self.embeddings = IdEmbeddings(inputs, dims, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.words = nn.Embedding(config.word_buckets + 1, config.word_dim, padding_idx=NO_WORD)
        self.of_user, self.of_item = (_places(inputs, side) for side in (_USER_SIDE, _ITEM_SIDE))
        self.user_tower = _tower(config, config.id_dim + len(self.of_user))
        self.item_tower = _tower(config, config.id_dim + config.category_dim + config.word_dim + len(self.of_item))
        self.register_buffer("words_IW", torch.zeros(0, config.words, dtype=torch.int32), persistent=False)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        """(B,): the product of both vectors by the temperature; words are those of take_words."""
        item_BD = self.item_vectors(ids_BI, numeric_BF, self._words_of(ids_BI[:, 1]))
        return (self.user_vectors(ids_BI, numeric_BF) * item_BD).sum(dim=1) / self.temperature

    def user_vectors(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        """(B, D), of length 1."""
        user_BE, _, _ = self.embeddings(ids_BI)
        parts = [user_BE, self.numbers(numeric_BF)[:, self.of_user]]
        return F.normalize(self.user_tower(torch.cat(parts, dim=1)), dim=1)

    def item_vectors(self, ids_BI: Tensor, numeric_BF: Tensor, words_BW: Tensor) -> Tensor:
        """(B, D), of length 1."""
        _, item_BE, category_BE = self.embeddings(ids_BI)
        count_B1 = (words_BW != NO_WORD).sum(dim=1, keepdim=True).clamp_min(1)
        text_BE = self.words(words_BW.long()).sum(dim=1) / count_B1
        parts = [item_BE, category_BE, text_BE, self.numbers(numeric_BF)[:, self.of_item]]
        return F.normalize(self.item_tower(torch.cat(parts, dim=1)), dim=1)

    def take_words(self, words_IW: Tensor) -> None:
        """By item index, numbers of its words from 1 to `word_buckets`, filled up with NO_WORD."""
        self.words_IW = words_IW.to(torch.int32)

    def loss_sum(self, ids_BI: Tensor, numeric_BF: Tensor, label_B: Tensor, log_share_B: Tensor) -> Tensor:
        """Of sampled_softmax_sum."""
        item_BD = self.item_vectors(ids_BI, numeric_BF, self._words_of(ids_BI[:, 1]))
        is_taken_B = label_B > 0
        user_PD = self.user_vectors(ids_BI[is_taken_B], numeric_BF[is_taken_B])
        score_PB = user_PD @ item_BD.T / self.temperature
        return sampled_softmax_sum(score_PB, ids_BI[:, 1], label_B, log_share_B)

    def _words_of(self, item_idx_B: Tensor) -> Tensor:
        """No words where the index is beyond the table."""
        is_known_B = (item_idx_B >= 0) & (item_idx_B < len(self.words_IW))
        if not len(self.words_IW):
            return self.words_IW.new_zeros(len(item_idx_B), self.words_IW.shape[1])
        return self.words_IW[item_idx_B.where(is_known_B, 0)] * is_known_B[:, None]


def sampled_softmax_sum(score_PB: Tensor, item_idx_B: Tensor, label_B: Tensor, log_share_B: Tensor) -> Tensor:
    """Softmax cross-entropy of each row with a label, weighed by it, against the items of the batch's other rows.

    These stand for all other items: each counts 1 / (B times its share of all rows), which is the correction by the
    logarithm of the probability of being drawn (Bengio and Senecal 2008). Rows of the same item are left out.
    """
    (row_P,) = torch.nonzero(label_B > 0, as_tuple=True)
    positive_P1 = score_PB.gather(1, row_P[:, None])
    is_same_PB = item_idx_B[row_P][:, None] == item_idx_B
    corrected_PB = score_PB - log_share_B - math.log(max(len(label_B), 1))
    all_PX = torch.cat([positive_P1, corrected_PB.masked_fill(is_same_PB, -math.inf)], dim=1)
    return (torch.logsumexp(all_PX, dim=1) - positive_P1[:, 0]) @ label_B[row_P]


def _places(inputs: Inputs, grains: tuple[str, ...]) -> list[int]:
    return [place for place, numeric in enumerate(inputs.numeric) if _GRAINS[numeric.name] in grains]


def _tower(config: TwoTowerConfig, width: int) -> nn.Sequential:
    return nn.Sequential(*hidden_layers(width, config.hidden, config.dropout), nn.Linear(config.hidden[-1], config.dim))
