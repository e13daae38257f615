"""A worker that dies at a chosen call, to see what its training leaves behind."""

from collections.abc import Sequence

from torch import Tensor

from recsys.training.workers import OneWorker


class KilledError(Exception):
    pass


class MortalWorker(OneWorker):
    """Dies at its n-th call."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at, self.calls = dies_at, 0

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        self.calls += 1
        if self.calls == self.dies_at:
            raise KilledError
        return super().add_up(tensors, gathered)
