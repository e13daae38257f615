"""What a worker is doing, since when and how long in all; and the end of a worker that does it for too long."""

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Self

import torch

from recsys.config import TrainConfig
from recsys.training.checkpoint import Folder

logger = logging.getLogger(__name__)

# The one phase in which a worker waits for the others.
ALLREDUCE = "allreduce"
HUNG_EXIT_CODE = 75


class Clock:
    """The phases of this worker's steps: reading, forward, backward, allreduce, update, validation, checkpoint."""

    def __init__(self, before_change: Callable[[], None] = lambda: None) -> None:
        """`before_change`: what must be waited for so that a phase's work is done when it ends (a GPU's)."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.place = "the start"
        self.now: tuple[str, float] = ("start", time.monotonic())
        self._before_change = before_change

    def enter(self, phase: str) -> None:
        self._before_change()
        before, since = self.now
        self.now = (phase, time.monotonic())
        self.seconds[before] += self.now[1] - since


def clock_for(config: TrainConfig, device: torch.device) -> Clock:
    """On a GPU a phase ends when its work does, not when it was ordered; only the profile is worth that wait."""
    if config.profile and device.type == "cuda":
        return Clock(before_change=lambda: torch.cuda.synchronize(device))
    return Clock()


def percentages(seconds: Mapping[str, float]) -> str:
    """The longest first."""
    total = sum(seconds.values()) or 1.0
    longest_first = sorted(seconds.items(), key=lambda phase: -phase[1])
    return ", ".join(f"{phase} {100 * value / total:.0f} %" for phase, value in longest_first)


class Watchdog:
    """A thread that ends this process where it, or one that it waits for, makes no progress for `timeout_s`.

    Alive is who goes on counting in the folder: a process that is stopped, or whose interpreter is stuck, does not.
    Without a folder a worker only watches itself. Clocks of different machines are never compared.
    """

    def __init__(
        self, clock: Clock, *, index: int, count: int, timeout_s: float, folder: str | None,
        end: Callable[[int], object] = os._exit,
    ) -> None:  # fmt: skip
        self._clock, self._index, self._count, self._timeout_s, self._end = clock, index, count, timeout_s, end
        self._folder = Folder(folder) if folder is not None else None
        self._beats = 0
        self._first_seen: dict[int, bytes] | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._clock.enter("start")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(min(self._timeout_s / 8, 30.0)):
            try:
                self.look()
            except OSError as error:  # of the folder; the next look may succeed
                logger.warning("worker %d could not look after the others: %s", self._index, error)

    def look(self) -> None:
        """One look: counts on, then judges."""
        self._beat()
        phase, since = self._clock.now
        waited_s = time.monotonic() - since
        if phase != ALLREDUCE:
            self._first_seen = None
            if waited_s > self._timeout_s:
                self._end_with(self._index, f"it is in {phase} of {self._clock.place}")
        elif waited_s > self._timeout_s / 2:
            self._look_at_others(waited_s)

    def _look_at_others(self, waited_s: float) -> None:
        seen = self._others()
        if self._first_seen is None:
            self._first_seen = seen
        if waited_s <= self._timeout_s:
            return
        silent = [worker for worker, beat in seen.items() if self._first_seen.get(worker) == beat]
        if silent:
            self._end_with(silent[0], f"it gives no sign of life; the others wait for it in {self._clock.place}")

    def _beat(self) -> None:
        self._beats += 1
        if self._folder is not None and self._count > 1:
            self._folder.write(_beat_name(self._index), f"{os.getpid()} {self._beats}".encode())

    def _others(self) -> dict[int, bytes]:
        if self._folder is None:
            return {}
        names = set(self._folder.names())
        others = [worker for worker in range(self._count) if worker != self._index]
        return {w: self._folder.read(_beat_name(w)) if _beat_name(w) in names else b"" for w in others}

    def _end_with(self, worker: int, what: str) -> None:
        """Says which worker hangs in words that run_on_spark knows, and ends this process at once."""
        logger.error(HANGS, worker, self._count, what, self._timeout_s)
        for handler in logging.getLogger().handlers:
            handler.flush()
        self._end(HUNG_EXIT_CODE)


HANGS = "training worker %d of %d hangs: %s (no progress for %g s)"


def _beat_name(worker: int) -> str:
    return f"worker-{worker:05d}.beat"
