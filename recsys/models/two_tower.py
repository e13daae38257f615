"""Two towers (Yi et al. 2019): a vector from what is known of a user, one from what is known of an item.

An item that nobody took yet has a category, words and perhaps a price, and so a vector.
Shapes: B rows, P rows with a label above 0, I id inputs, F numeric inputs, D width, W words of an item, T numbers of
a text vector (0 where none are read), E width of a part of a tower's input.
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
from recsys.models.text_encoder import DIMENSIONS

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
    # Not in versions that were exported before there were any.
    text_vectors: bool = False
    text_dim: int = 16

    def __post_init__(self) -> None:
        sizes = (self.dim, self.id_dim, self.category_dim, self.words, self.word_buckets, self.word_dim, self.text_dim)
        require_sizes("two_tower", self, *sizes)
        require_shares("two_tower", self)
        if self.temperature <= 0:
            raise ConfigError(f"two_tower.temperature must be above 0, got {self.temperature}")


class TwoTower(nn.Module):
    """Inputs that only a pair has, such as how often the user bought the item, are left out."""

    words_IW: Tensor
    text_IT: Tensor

    def __init__(self, config: TwoTowerConfig, inputs: Inputs) -> None:
        super().__init__()
        self.temperature = config.temperature
        dims = (config.id_dim, config.id_dim, config.category_dim)
        self.embeddings = IdEmbeddings(inputs, dims, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.words = nn.Embedding(config.word_buckets + 1, config.word_dim, padding_idx=NO_WORD)
        self.of_user, self.of_item = (_places(inputs, side) for side in (_USER_SIDE, _ITEM_SIDE))
        self.user_tower = _tower(config, config.id_dim + len(self.of_user))
        # One input more says that there is a vector: its weights are what an item without one lacks.
        self.text = nn.Linear(DIMENSIONS + 1, config.text_dim) if config.text_vectors else None
        text_dim, text_size = (config.text_dim, DIMENSIONS) if config.text_vectors else (0, 0)
        of_ids = config.id_dim + config.category_dim
        self.item_tower = _tower(config, of_ids + config.word_dim + text_dim + len(self.of_item))
        self.register_buffer("words_IW", torch.zeros(0, config.words, dtype=torch.int32), persistent=False)
        self.register_buffer("text_IT", torch.zeros(0, text_size), persistent=False)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        """(B,): the product by the temperature; items are as take_words and take_text say."""
        item_BD = self._vectors_of_known(ids_BI, numeric_BF)
        return (self.user_vectors(ids_BI, numeric_BF) * item_BD).sum(dim=1) / self.temperature

    def user_vectors(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        """(B, D), of length 1."""
        user_BE, _, _ = self.embeddings(ids_BI)
        parts = [user_BE, self.numbers(numeric_BF)[:, self.of_user]]
        return F.normalize(self.user_tower(torch.cat(parts, dim=1)), dim=1)

    def item_vectors(self, ids_BI: Tensor, numeric_BF: Tensor, words_BW: Tensor, text_BT: Tensor) -> Tensor:
        """(B, D), of length 1. Zeros in `text_BT`: an item without a text vector."""
        _, item_BE, category_BE = self.embeddings(ids_BI)
        count_B1 = (words_BW != NO_WORD).sum(dim=1, keepdim=True).clamp_min(1)
        words_BE = self.words(words_BW.long()).sum(dim=1) / count_B1
        parts = [item_BE, category_BE, words_BE, *self._text_parts(text_BT), self.numbers(numeric_BF)[:, self.of_item]]
        return F.normalize(self.item_tower(torch.cat(parts, dim=1)), dim=1)

    def take_words(self, words_IW: Tensor) -> None:
        """By item index, numbers of its words from 1 to `word_buckets`, filled up with NO_WORD."""
        self.words_IW = words_IW.to(torch.int32)

    def take_text(self, text_IT: Tensor) -> None:
        """By item index, the encoder's vectors, zeros for none; they are read, never learned."""
        self.text_IT = text_IT

    def loss_sum(self, ids_BI: Tensor, numeric_BF: Tensor, label_B: Tensor, log_share_B: Tensor) -> Tensor:
        """Of sampled_softmax_sum."""
        item_BD = self._vectors_of_known(ids_BI, numeric_BF)
        is_taken_B = label_B > 0
        user_PD = self.user_vectors(ids_BI[is_taken_B], numeric_BF[is_taken_B])
        score_PB = user_PD @ item_BD.T / self.temperature
        return sampled_softmax_sum(score_PB, ids_BI[:, 1], label_B, log_share_B)

    def _vectors_of_known(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        words_BW, text_BT = (_rows_of(table, ids_BI[:, 1]) for table in (self.words_IW, self.text_IT))
        return self.item_vectors(ids_BI, numeric_BF, words_BW, text_BT)

    def _text_parts(self, text_BT: Tensor) -> list[Tensor]:
        if self.text is None:
            return []
        has_text_B1 = (text_BT != 0).any(dim=1, keepdim=True).to(text_BT.dtype)
        # The encoder's vectors have length 1, and so tiny numbers; other inputs are around 1.
        return [self.text(torch.cat([text_BT * math.sqrt(DIMENSIONS), has_text_B1], dim=1))]


def _rows_of(table_IX: Tensor, item_idx_B: Tensor) -> Tensor:
    """Zeros where the index is beyond the table."""
    is_known_B = (item_idx_B >= 0) & (item_idx_B < len(table_IX))
    if not len(table_IX):
        return table_IX.new_zeros(len(item_idx_B), table_IX.shape[1])
    return table_IX[item_idx_B.where(is_known_B, 0)] * is_known_B[:, None]


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
