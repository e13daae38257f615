"""A program of its own: an elastic training of two workers, one of which is killed in its first life.

Writes beside the examples what each step used, as JSON lines, and the figures of the epochs.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recsys.config import load_config
from recsys.lake.session import build_session
from recsys.logs import configure_logging
from recsys.training import loop
from recsys.training import run as training_run
from recsys.training.run import Trained, TrainingTask, train, train_with
from recsys.training.workers import HorovodWorkers
from tests.example_sets import write_random_set
from tests.horovod.test_workers import task_of, users_of

# The calls are: generation, start, step, step, checkpoint, step.
KILLED_AT_CALL = 6
# Long enough for the killed worker to come back before the rows are used up.
ALONE_STEP_S = 1.5


class MortalWorkers(HorovodWorkers):
    """`generation`: another one for all workers whenever one went or came."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._calls = 0
        self._is_to_die = self.index == 1 and not (folder / "died").exists()
        self._folder = folder
        generation = torch.tensor([time.time() if self.is_leader else 0.0], dtype=torch.float64)
        self.add_up([generation])
        self.generation = float(generation)

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        self._calls += 1
        if self._is_to_die and self._calls == KILLED_AT_CALL:
            (self._folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().add_up(tensors, gathered)


def work(task: TrainingTask) -> Trained:
    configure_logging()
    folder, real = Path(task.folder), loop.take_accumulated_step
    workers = MortalWorkers(folder)

    def recorded(shared: loop.Fit, batches: Any, rows: int, number: int) -> Tensor:
        given = list(batches)
        loss = real(shared, given, rows, number)
        seen = {"step": number, "generation": workers.generation, "count": workers.count, "users": users_of(given)}
        with (folder / f"steps-{os.getpid()}.jsonl").open("a") as file:
            file.write(json.dumps(seen) + "\n")
        time.sleep(ALONE_STEP_S if workers.count == 1 else 0)
        return loss

    loop.take_accumulated_step = recorded
    try:
        return train_with(task, workers)
    finally:
        loop.take_accumulated_step = real


def main(folder: Path) -> None:
    configure_logging()
    spark = build_session("elastic", replace(load_config([]).spark, master="local[2,8]", driver_memory="1g"))
    task = task_of(folder, write_random_set(folder, [40, 30, 20, 11], [25, 14]), workers=2)
    config = replace(task.config, elastic=True, checkpoint_steps=2, max_restarts=0)
    training_run.work = work
    trained = train(replace(task, config=config, checkpoints=str(folder / "checkpoints")), slots=2)
    spark.stop()
    (folder / "curve.json").write_text(json.dumps([asdict(epoch) for epoch in trained.curve]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
