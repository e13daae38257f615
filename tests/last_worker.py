"""Several workers in one process, one after the other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recsys.training.workers import OneWorker


class LastWorker(OneWorker):
    """Pretends that each call is another worker's, and that it is the last one: it knows what those before it gave.

    Who asks for its `index` and `count` may set them before each call.
    """

    def __init__(self, count: int = 1) -> None:
        self.index, self.count = 0, count
        self._sums: list[Tensor] = []
        self._gathered: list[Tensor] = []

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        for tensor, other in zip(tensors, self._sums, strict=bool(self._sums)):
            tensor += other
        self._sums = [tensor.clone() for tensor in tensors]
        before = self._gathered or [tensor[:0] for tensor in gathered]
        self._gathered = [torch.cat(parts) for parts in zip(before, gathered, strict=True)]
        return self._gathered
