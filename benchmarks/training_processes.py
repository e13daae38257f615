"""A training in this process where one worker is asked for, else in Horovod processes of a Spark session."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from recsys.config import TrainConfig, load_config
from recsys.lake.session import build_session
from recsys.training.workers import OneWorker, Workers, run_on_spark


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
