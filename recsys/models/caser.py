"""Caser (Tang and Wang 2018): convolutions over the newest items, at every place of the history at once.

Without the paper's user vectors, so that a user unknown in training is scored too.
Shapes: B rows, L places, D width, W items of the window, H and V horizontal and vertical filters.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.sequences import SequenceConfig, SequenceNetwork, start_small


@dataclass(frozen=True, kw_only=True)
class CaserConfig(SequenceConfig):
    """See conf/models/caser.yaml for the meaning of each key."""

    window: int
    horizontal_filters: int
    vertical_filters: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.window, self.horizontal_filters, self.vertical_filters) < 1:
            got = f"{self.window}, {self.horizontal_filters} and {self.vertical_filters}"
            raise ConfigError(f"window, horizontal_filters and vertical_filters must be at least 1, got {got}")


class Caser(SequenceNetwork):
    def __init__(self, config: CaserConfig, items: int) -> None:
        super().__init__(config, items)
        self.window = config.window
        self.input_dropout, self.dropout = nn.Dropout(config.dropout), nn.Dropout(config.dropout)
        heights = range(1, config.window + 1)
        self.horizontal = nn.ModuleList(nn.Conv1d(config.dim, config.horizontal_filters, height) for height in heights)
        self.vertical = nn.Linear(config.window, config.vertical_filters, bias=False)
        width = config.window * config.horizontal_filters + config.vertical_filters * config.dim
        self.project = nn.Linear(width, config.dim)
        self.norm = nn.LayerNorm(config.dim)
        start_small(self)

    def forward(self, item_idx_BL: Tensor) -> Tensor:
        item_BDL = self.input_dropout(self.item_vectors(item_idx_BL)).transpose(1, 2)
        # No items before the first: every place has a whole window, and none later than itself.
        padded_BDX = F.pad(item_BDL, (self.window - 1, 0))
        found_BXL = torch.cat([*self._horizontal(padded_BDX), self._vertical(padded_BDX)], dim=1)
        normed_BLD: Tensor = self.norm(self.project(self.dropout(found_BXL.transpose(1, 2))))
        return normed_BLD

    def _horizontal(self, padded_BDX: Tensor) -> list[Tensor]:
        """(B, H, L) for each height: the filter's largest value within the window."""
        found = (F.relu(filters(padded_BDX)) for filters in self.horizontal)
        return [F.max_pool1d(value, self.window - height, stride=1) for height, value in enumerate(found)]

    def _vertical(self, padded_BDX: Tensor) -> Tensor:
        """(B, V D, L): weighted sums over the window, alike for all dimensions."""
        sum_BDLV: Tensor = self.vertical(padded_BDX.unfold(2, self.window, 1))
        return sum_BDLV.permute(0, 3, 1, 2).flatten(1, 2)
