"""A real worker killed in the middle of an epoch, for models of pairs and of sequences; networks of features are in
test_workers.py.
"""

import itertools
import json
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyspark.sql import SparkSession
from torch import Tensor

from recsys import columns as c
from recsys.config import CONF_FOLDER, TrainConfig, load_config
from recsys.errors import WorkerFailedError
from recsys.models.histories import newest, windows, without_last
from recsys.models.registry import Spec, model_settings, model_spec
from recsys.models.sequences import NO_ITEM
from recsys.training import loop
from recsys.training.batches import PairBatch, SequenceBatch
from recsys.training.interactions import PairTask, train_on_pairs
from recsys.training.pair_files import write_pair_files
from recsys.training.run import Trained
from recsys.training.sequence_files import write_sequence_files
from recsys.training.sequences import SequenceTask, train_on_sequences
from recsys.training.workers import HorovodWorkers, Workers, run_on_spark
from tests import planted_cycle, planted_tastes
from tests.horovod.faulty_workers import FaultyWorkers

pytestmark = pytest.mark.long

Task = PairTask | SequenceTask
Rows = list[list[int]]

START_TIMEOUT_S = 300
# With a checkpoint each second step the calls are: start, step, step, checkpoint, step, step. In the last of them the
# leader has written the checkpoint, and the third step is lost.
FAULTS = ((6, signal.SIGKILL),)
STEPS_KEPT = 2
HISTORY = 8


def config_of(batch_size: int) -> TrainConfig:
    return replace(
        load_config([]).train,
        workers=2, epochs=2, batch_size=batch_size, learning_rate=0.05, device="cpu", checkpoint_steps=2,
        shuffle_buffer_rows=64, best_by="validation_ndcg",
    )  # fmt: skip


def spec_of(name: str, **changes: Any) -> Spec:
    return model_spec(name, {**model_settings(CONF_FOLDER / "models" / f"{name}.yaml")[0], **changes})


def pairs_task(folder: Path) -> tuple[Task, Rows]:
    user_P, item_P = planted_tastes.taken_pairs()
    held_out = np.array([planted_tastes.held_out(user) for user in range(planted_tastes.USERS)])
    task = PairTask(
        spec=spec_of("mf", dim=4, negatives=8, initial="random"), config=config_of(16), folder=str(folder),
        row_groups=write_pair_files(folder, user_P, item_P, row_groups=4, seed=1),
        users=planted_tastes.USERS, items=planted_tastes.ITEMS, checkpoints=str(folder / "checkpoints"),
        held_out=write_pair_files(folder, np.arange(len(held_out)), held_out, row_groups=1, seed=1, split=c.VALIDATION),
    )  # fmt: skip
    return task, np.stack([user_P, item_P], axis=1).tolist()


def sequences_task(folder: Path) -> tuple[Task, Rows]:
    walks = planted_cycle.walks()
    train_RS = windows(without_last(walks), HISTORY + 1)
    task = SequenceTask(
        # What is left out of a step is drawn at random: the state of that must go on too.
        spec=spec_of("gru", dim=8, hidden=8, history=HISTORY, dropout=0.2, negatives=4), config=config_of(3),
        folder=str(folder), items=planted_cycle.ITEMS, targets=int((train_RS[:, 1:] != NO_ITEM).sum()),
        train=write_sequence_files(folder, c.TRAIN, train_RS, row_groups=4, seed=1),
        validation=write_sequence_files(folder, c.VALIDATION, newest(walks, HISTORY + 1), row_groups=2, seed=1),
        checkpoints=str(folder / "checkpoints"),
    )  # fmt: skip
    return task, train_RS.tolist()


def rows_of(batches: Sequence[Any]) -> Rows:
    return [row for batch in batches for row in _rows_of(batch)]


def _rows_of(batch: PairBatch | SequenceBatch) -> Rows:
    if isinstance(batch, SequenceBatch):
        return batch.item_idx_BS.tolist()
    return torch.stack([batch.user_idx_B, batch.item_idx_B], dim=1).tolist()


def trained_on(task: Task, workers: Workers) -> Trained:
    return train_on_pairs(task, workers) if isinstance(task, PairTask) else train_on_sequences(task, workers)


def watched(task: Task, workers: Workers, file: Path) -> Trained:
    """Leaves a line with the rows of each step in the file before it is taken."""
    real = loop.take_accumulated_step

    def take(shared: loop.Fit, batches: Any, rows: int, number: int) -> Tensor:
        given = list(batches)
        with file.open("a") as lines:
            lines.write(json.dumps(rows_of(given)) + "\n")
        return real(shared, given, rows, number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "take_accumulated_step", take)
        return trained_on(task, workers)


@dataclass(frozen=True, kw_only=True)
class Ended:
    resumed: Trained
    unbroken: Trained


def work(task: Task) -> Ended:
    """The job, in the life that no fault ends also once more from the start."""
    folder = Path(task.folder)
    workers = FaultyWorkers(folder / "lives", FAULTS)
    resumed = watched(task, workers, folder / f"steps-{workers.life}-{workers.index}")
    return Ended(resumed=resumed, unbroken=trained_on(replace(task, checkpoints=None), HorovodWorkers()))


def steps_of(task: Task, life: int) -> list[Rows]:
    """The rows of all workers in each step of that life."""
    files = [Path(task.folder) / f"steps-{life}-{index}" for index in range(2)]
    by_worker = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    return [joined(step) for step in zip(*by_worker, strict=False)]


def joined(parts: Iterable[Rows]) -> Rows:
    return list(itertools.chain.from_iterable(parts))


@pytest.mark.parametrize("made", [pairs_task, sequences_task], ids=["mf", "gru"])
def test_a_worker_killed_in_an_epoch_and_the_job_started_again_end_as_if_nothing_had_been(
    spark: SparkSession, tmp_path: Path, made: Callable[[Path], tuple[Task, Rows]]
) -> None:
    assert spark.sparkContext.defaultParallelism == 2
    task, rows = made(tmp_path)
    started = partial(run_on_spark, work, [task], workers=2, start_timeout_s=START_TIMEOUT_S)
    with pytest.raises(WorkerFailedError, match=r"training worker 1 of 2 was killed.*starting the job again is safe"):
        started()
    ended = started()[0]
    assert ended.resumed.state == ended.unbroken.state
    assert [e.train_loss for e in ended.resumed.curve] == [e.train_loss for e in ended.unbroken.curve]
    assert [e.validation for e in ended.resumed.curve] == [e.validation for e in ended.unbroken.curve]
    before, after = steps_of(task, 0)[:STEPS_KEPT], steps_of(task, 1)
    of_epochs = [*joined(before), *joined(after)]
    assert sorted(of_epochs[: len(rows)]) == sorted(rows), "each remaining row of the broken epoch once"
    assert sorted(of_epochs[len(rows) :]) == sorted(rows)
