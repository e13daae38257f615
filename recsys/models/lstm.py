"""The same with long short-term memory (Hochreiter and Schmidhuber 1997); see recsys/models/recurrent.py."""

from torch import nn

from recsys.models.recurrent import Recurrent, RecurrentConfig


class Lstm(Recurrent):
    def __init__(self, config: RecurrentConfig, items: int) -> None:
        super().__init__(config, items, nn.LSTM)
