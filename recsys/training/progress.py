"""What the log says while a training runs."""

import logging
import time

from recsys.logs import PROGRESS_EVERY_S
from recsys.training.plan import EpochPlan
from recsys.training.position import Position

logger = logging.getLogger(__name__)


class Progress:
    """A line every few seconds: where, how fast, how good, how long still."""

    def __init__(self, plan: EpochPlan, position: Position, epochs: int, *, is_shown: bool) -> None:
        self._plan, self._epoch, self._epochs, self._is_shown = plan, position.epoch, epochs, is_shown
        self._started = self._last = time.monotonic()
        self._rows = 0
        self._rows_left = sum(plan.step_rows[position.steps :])
        self._rows_an_epoch = self._rows_left + position.rows

    def show(self, step: int, loss: float) -> None:
        self._rows += self._plan.step_rows[step]
        now = time.monotonic()
        if not self._is_shown or now - self._last < PROGRESS_EVERY_S:
            return
        self._last = now
        rows_per_s = self._rows / (now - self._started)
        rows_left = self._rows_left - self._rows + self._rows_an_epoch * (self._epochs - self._epoch)
        logger.info(
            "epoch %d/%d, step %d/%d: %d rows/s, loss %.4f, about %d s left",
            self._epoch, self._epochs, step + 1, len(self._plan.step_rows), rows_per_s, loss, rows_left / rows_per_s,
        )  # fmt: skip
