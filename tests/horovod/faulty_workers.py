"""Real workers of which one dies or stops where a test says."""

import os
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from recsys.training.workers import HorovodWorkers


class FaultyWorkers(HorovodWorkers):
    """Worker 1 gets a signal at a call of add_up: one of `faults`, call and signal, for each of its lives.

    `lives`: a folder where each life leaves a mark, for a new process to know which one it is.
    """

    def __init__(self, lives: Path, faults: Sequence[tuple[int, int]], step_timeout_s: int = 300) -> None:
        super().__init__(step_timeout_s=step_timeout_s)
        lives.mkdir(exist_ok=True)
        self.life = len(list(lives.glob(f"{self.index}-*")))
        (lives / f"{self.index}-{self.life}").touch()
        self._fault = faults[self.life] if self.index == 1 and self.life < len(faults) else None
        self._calls = 0

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        self._calls += 1
        if self._fault is not None and self._calls == self._fault[0]:
            os.kill(os.getpid(), self._fault[1])
        return super().add_up(tensors, gathered)
