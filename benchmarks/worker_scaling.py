"""Training by two Horovod workers of one thread each, beside one such worker with the same batch a worker.

Usage: python -m benchmarks.worker_scaling [--quick]

The value is rows a second of the last epochs' median; the peer is twice that of one worker, so that the ratio is the
efficiency. A second peer tells what of it is the machine's: two trainings of one worker at the same time that know
nothing of each other, and so share cores, caches and memory, but add nothing up. All run in a Spark session of their
own. A figure of its own is the share of the two workers' seconds in which the leader adds gradients up or waits for the
other to; all phases of the MLP's step (`train.profile`) are on standard error.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.planted_examples import write_planted_examples
from benchmarks.report import emit
from benchmarks.training_processes import TimedWorkers
from recsys.config import CONF_FOLDER, TrainConfig, load_config
from recsys.lake.session import build_session
from recsys.logs import configure_logging
from recsys.models.registry import Spec, model_settings, model_spec
from recsys.training.interactions import PairTask, train_on_pairs
from recsys.training.pair_files import write_pair_files
from recsys.training.run import TrainingTask, train_with
from recsys.training.workers import OneWorker, run_on_spark

SEED = 7
ROW_GROUPS = 16
EPOCHS = 4
WORKERS = 2
USERS, ITEMS = 30_000, 40_000


def configured(model: str, workers: int) -> tuple[Spec, TrainConfig]:
    """As conf/models says, but for the length: the validation that ends an epoch is no part of its seconds."""
    settings, train = model_settings(CONF_FOLDER / "models" / f"{model}.yaml")
    given = {**train, "workers": workers, "threads_per_worker": 1, "epochs": EPOCHS, "profile": True}
    config = load_config([], [f"train.{key}={value}" for key, value in given.items()]).train
    return model_spec(model, settings), replace(config, patience=0)


def feature_task(model: str, folder: Path, rows: int, workers: int) -> TrainingTask:
    spec, config = configured(model, workers)
    manifest = write_planted_examples(folder, rows=rows, row_groups=ROW_GROUPS, seed=SEED)
    # One row group a worker: none waits for another's validation.
    held_out = replace(manifest.train, row_groups=manifest.train.row_groups[:WORKERS])
    return TrainingTask(spec=spec, config=config, folder=str(folder), manifest=replace(manifest, validation=held_out))


def pair_task(model: str, folder: Path, rows: int, workers: int) -> PairTask:
    """Items are taken by a power law, users alike."""
    spec, config = configured(model, workers)
    generator = np.random.default_rng(SEED)
    item_P = (ITEMS * generator.random(rows) ** 2).astype(np.int64)
    user_P = generator.integers(0, USERS, rows)
    groups = write_pair_files(folder, user_P, item_P, row_groups=ROW_GROUPS, seed=SEED)
    return PairTask(spec=spec, config=config, folder=str(folder), row_groups=groups, users=USERS, items=ITEMS)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """`rows_per_s`: of all workers, without the first epoch, in which caches and readers warm up."""

    rows_per_s: float
    added_up_share: float


def paced(train: Callable[..., Any], task: TrainingTask | PairTask, rows: int) -> Pace:
    """Runs in every worker process."""
    configure_logging()
    workers = TimedWorkers(task.config.step_timeout_s)
    curve = train(task, workers).curve
    return Pace(
        rows_per_s=float(median(epoch.rows_per_s for epoch in curve[1:])),
        added_up_share=workers.added_up_s / sum(rows / epoch.rows_per_s for epoch in curve),
    )


def alone(train: Callable[..., Any], task: TrainingTask | PairTask, rows: int) -> Pace:  # noqa: ARG001  # as paced
    """The same without the others, who do the same: each goes over all rows."""
    configure_logging()
    task = replace(task, config=replace(task.config, workers=1))
    curve = train(task, OneWorker()).curve
    return Pace(rows_per_s=float(median(epoch.rows_per_s for epoch in curve[1:])), added_up_share=0.0)


CASES: Sequence[tuple[str, Callable[..., Any], Callable[..., Any], int]] = (
    ("mlp", feature_task, train_with, 1_600_000),
    ("lightgcn", pair_task, train_on_pairs, 800_000),
)


def measure(model: str, make: Callable[..., Any], train: Callable[..., Any], rows: int) -> None:
    (one,), two = (_measured(paced, model, make, train, rows, workers) for workers in (1, WORKERS))
    side_by_side = _measured(alone, model, make, train, rows, WORKERS)
    case, both = f"{model}, {rows:,} rows, {WORKERS} workers", two[0].rows_per_s
    peers = {
        f"{WORKERS} times one worker": WORKERS * one.rows_per_s,
        f"{WORKERS} trainings at the same time that add nothing up": sum(pace.rows_per_s for pace in side_by_side),
    }
    for peer, rows_per_s in peers.items():
        emit("worker_scaling", case, both, "rows/s", peer=peer, peer_value=rows_per_s, digits=1)
    emit("worker_scaling", f"{case}, adding up", two[0].added_up_share, "share of seconds")


def _measured(  # what each worker does, and what with
    work: Callable[..., Pace], model: str, make: Callable[..., Any], train: Callable[..., Any], rows: int, workers: int
) -> list[Pace]:
    """Of each worker."""
    session = build_session("recsys-benchmark", load_config([], [f"spark.master=local[{workers}]"]).spark)
    try:
        with tempfile.TemporaryDirectory() as folder:
            task = make(model, Path(folder), rows, workers)
            arguments = [train, task, rows]
            return run_on_spark(work, arguments, workers=workers, start_timeout_s=task.config.start_timeout_s)
    finally:
        session.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(name for name, *_ in CASES), help="of them")
    parser.add_argument("--quick", action="store_true", help="a quarter of the rows")
    given = parser.parse_args()
    configure_logging()
    for model, make, train, rows in CASES:
        if model in given.models.split(","):
            measure(model, make, train, rows // 4 if given.quick else rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
