"""A training in this process where one worker is asked for, else in Horovod processes of a Spark session."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from torch import Tensor

from recsys.config import TrainConfig, load_config
from recsys.lake.session import build_session
from recsys.training.workers import HorovodWorkers, OneWorker, Workers, run_on_spark


class Task(Protocol):
    @property
    def config(self) -> TrainConfig: ...


AnyTask = TypeVar("AnyTask", bound=Task)
Trained = TypeVar("Trained")


def trained_by(
    train: Callable[[AnyTask, Workers], Trained], work: Callable[[AnyTask], Trained], task: AnyTask
) -> Trained:
    """`train` is told its worker; `work` is what each of several processes calls."""
    config = task.config
    if config.workers == 1:
        return train(task, OneWorker())
    session = build_session("recsys-benchmark", load_config([], [f"spark.master=local[{config.workers}]"]).spark)
    try:
        return run_on_spark(work, [task], workers=config.workers, start_timeout_s=config.start_timeout_s)[0]
    finally:
        session.stop()


class TimedWorkers(HorovodWorkers):
    """Counts the seconds of adding up, waiting for the others included."""

    def __init__(self, step_timeout_s: int) -> None:
        super().__init__(step_timeout_s)
        self.added_up_s = 0.0

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        started = time.monotonic()
        of_all = super().add_up(tensors, gathered)
        self.added_up_s += time.monotonic() - started
        return of_all
