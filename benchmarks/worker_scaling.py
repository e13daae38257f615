"""Training by two Horovod workers of one thread each, beside one such worker with the same batch a worker.

Usage: python -m benchmarks.worker_scaling [--quick]

The value is rows a second of the last epochs' median; the peer is twice that of one worker, so that the ratio is the
efficiency. Both run in a Spark session of their own, with the step's phases (`train.profile`) on standard error.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.planted_examples import write_planted_examples
from benchmarks.report import emit
from recsys.config import CONF_FOLDER, TrainConfig, load_config
from recsys.lake.session import build_session
from recsys.logs import configure_logging
from recsys.models.registry import Spec, model_settings, model_spec
from recsys.training.interactions import PairTask, work_on_pairs
from recsys.training.pair_files import write_pair_files
from recsys.training.run import TrainingTask, work
from recsys.training.workers import run_on_spark

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
    held_out = replace(manifest.train, row_groups=manifest.train.row_groups[:1])
    return TrainingTask(spec=spec, config=config, folder=str(folder), manifest=replace(manifest, validation=held_out))


def pair_task(model: str, folder: Path, rows: int, workers: int) -> PairTask:
    """Items are taken by a power law, users alike."""
    spec, config = configured(model, workers)
    generator = np.random.default_rng(SEED)
    item_P = (ITEMS * generator.random(rows) ** 2).astype(np.int64)
    user_P = generator.integers(0, USERS, rows)
    groups = write_pair_files(folder, user_P, item_P, row_groups=ROW_GROUPS, seed=SEED)
    return PairTask(spec=spec, config=config, folder=str(folder), row_groups=groups, users=USERS, items=ITEMS)


def rows_per_s(work_on: Callable[[Any], Any], task: TrainingTask | PairTask) -> float:
    """Of all workers, without the first epoch, in which caches and readers warm up."""
    config = task.config
    session = build_session("recsys-benchmark", load_config([], [f"spark.master=local[{config.workers}]"]).spark)
    try:
        trained = run_on_spark(work_on, [task], workers=config.workers, start_timeout_s=config.start_timeout_s)[0]
    finally:
        session.stop()
    return float(median(epoch.rows_per_s for epoch in trained.curve[1:]))


CASES: Sequence[tuple[str, Callable[..., Any], Callable[[Any], Any], int]] = (
    ("mlp", feature_task, work, 1_600_000),
    ("lightgcn", pair_task, work_on_pairs, 800_000),
)


def measure(model: str, make: Callable[..., Any], work_on: Callable[[Any], Any], rows: int) -> None:
    one, two = (_measured(model, make, work_on, rows, workers) for workers in (1, WORKERS))
    case = f"{model}, {rows:,} rows, {WORKERS} workers"
    emit("worker_scaling", case, two, "rows/s", peer=f"{WORKERS} times one worker", peer_value=WORKERS * one)


def _measured(model: str, make: Callable[..., Any], work_on: Callable[[Any], Any], rows: int, workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return rows_per_s(work_on, make(model, Path(folder), rows, workers))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(name for name, *_ in CASES), help="of them")
    parser.add_argument("--quick", action="store_true", help="a quarter of the rows")
    given = parser.parse_args()
    configure_logging()
    for model, make, work_on, rows in CASES:
        if model in given.models.split(","):
            measure(model, make, work_on, rows // 4 if given.quick else rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
