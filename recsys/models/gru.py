"""GRU4Rec's gated recurrent units; see recsys/models/recurrent.py."""

from torch import nn

from recsys.models.recurrent import Recurrent, RecurrentConfig


class Gru(Recurrent):
    def __init__(self, config: RecurrentConfig, items: int) -> None:
        super().__init__(config, items, nn.GRU)
