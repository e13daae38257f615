"""Recurrent networks over a history, as GRU4Rec (Hidasi et al. 2016), trained on every place of each history.

Shapes: B rows, L places, D width.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.sequences import SequenceConfig, SequenceNetwork, start_small


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(SequenceConfig):
    """See conf/models/gru.yaml for the meaning of each key."""

    hidden: int
    layers: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.hidden, self.layers) < 1:
            raise ConfigError(f"hidden and layers must be at least 1, got {self.hidden} and {self.layers}")


class Recurrent(SequenceNetwork):
    """`cell`: nn.GRU or nn.LSTM."""

    def __init__(self, config: RecurrentConfig, items: int, cell: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__(config, items)
        self.dropout = nn.Dropout(config.dropout)
        self.cell = cell(config.dim, config.hidden, num_layers=config.layers, batch_first=True)
        self.project = nn.Linear(config.hidden, config.dim)
        self.norm = nn.LayerNorm(config.dim)
        start_small(self)

    def forward(self, item_idx_BL: Tensor) -> Tensor:
        state_BLH, _ = self.cell(self.dropout(self.item_vectors(item_idx_BL)))
        normed_BLD: Tensor = self.norm(self.project(self.dropout(state_BLH)))
        return normed_BLD
