"""Petastorm into the training step, beside the same step on the same rows shuffled in memory: rows of features into the
MLP, histories into SASRec.

Usage: python -m benchmarks.feed [--quick]

A fiftieth as many histories as rows: one is fifty steps of a sequence. Each value is the median of three rounds.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.planted_examples import planted_inputs, write_planted_examples
from benchmarks.report import emit
from recsys import columns as c
from recsys.config import CONF_FOLDER, TrainConfig, load_config, load_yaml
from recsys.manifest import Manifest
from recsys.models.registry import Spec, model_settings, model_spec
from recsys.models.sequences import NO_ITEM
from recsys.training.batches import (
    Batch,
    SequenceBatch,
    ordered_batches,
    ordered_sequences,
    shuffled_batches,
    shuffled_sequences,
)
from recsys.training.loop import Fit, take_accumulated_step
from recsys.training.sequence_files import write_sequence_files
from recsys.training.sequences import SequenceTask, loss_sum_of
from recsys.training.workers import OneWorker

SEED = 7
ROUNDS = 3
ITEMS = 12_000

Batches = Callable[[], Iterator[Batch] | Iterator[SequenceBatch]]


def fresh_fit() -> Fit:
    """The model of conf/models/mlp.yaml with untrained weights, on the CPU."""
    torch.manual_seed(SEED)
    model = model_spec("mlp", load_yaml(CONF_FOLDER / "models" / "mlp.yaml")).build(planted_inputs())
    config = load_config([]).train
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    return Fit(model=model, optimizer=optimizer, config=config, workers=OneWorker(), device=torch.device("cpu"))


def from_petastorm(folder: str, manifest: Manifest, fit: Fit) -> Iterator[Batch]:
    return shuffled_batches(
        folder,
        manifest.train.row_groups,
        batch_size=fit.config.batch_size,
        buffer_rows=fit.config.shuffle_buffer_rows,
        seed=[SEED],
    )


def from_memory(rows: Batch, batch_size: int) -> Iterator[Batch]:
    order = torch.randperm(len(rows))
    for first in range(0, len(rows), batch_size):
        which = order[first : first + batch_size]
        yield Batch(ids_BI=rows.ids_BI[which], numeric_BF=rows.numeric_BF[which], label_B=rows.label_B[which])


def histories_from_memory(whole_RS: Tensor, batch_size: int) -> Iterator[SequenceBatch]:
    order = torch.randperm(len(whole_RS))
    for first in range(0, len(whole_RS), batch_size):
        yield SequenceBatch(item_idx_BS=whole_RS[order[first : first + batch_size]])


def rows_per_s(batches: Iterator[Batch] | Iterator[SequenceBatch], fit: Fit | None) -> float:
    """With training steps, or reading alone where `fit` is None."""
    started, rows = time.perf_counter(), 0
    for batch in batches:
        if fit is not None:
            take_accumulated_step(fit, [batch], len(batch))
        rows += len(batch)
    return rows / (time.perf_counter() - started)


def measure(folder: Path, rows: int) -> None:
    manifest = write_planted_examples(folder, rows=rows, row_groups=16, seed=SEED)
    url, fit = str(folder), fresh_fit()
    size = fit.config.batch_size
    parts = list(ordered_batches(url, manifest.train.row_groups, batch_size=rows))
    whole = Batch(
        ids_BI=torch.cat([p.ids_BI for p in parts]),
        numeric_BF=torch.cat([p.numeric_BF for p in parts]),
        label_B=torch.cat([p.label_B for p in parts]),
    )
    for name, step in (("into the training step", fit), ("reading alone", None)):
        compare(
            f"{rows:,} rows, mlp, {name}",
            lambda: from_petastorm(url, manifest, fit),
            lambda: from_memory(whole, size),
            step,
        )


def measure_histories(folder: Path, rows: int) -> None:
    settings, train = model_settings(CONF_FOLDER / "models" / "sasrec.yaml")
    config = load_config([], [f"train.{key}={value}" for key, value in train.items()]).train
    task = history_task(model_spec("sasrec", settings), config, folder, rows)
    network = task.spec.build(task.items)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    fit = Fit(
        model=network, optimizer=optimizer, config=config, workers=OneWorker(), device=torch.device("cpu"),
        loss_sum=loss_sum_of(task),
    )  # fmt: skip
    size, buffer_rows = config.batch_size, config.shuffle_buffer_rows
    whole = torch.cat([part.item_idx_BS for part in ordered_sequences(task.folder, task.train, batch_size=rows)])
    for name, step in (("into the training step", fit), ("reading alone", None)):
        compare(
            f"{rows:,} histories, sasrec, {name}",
            lambda: shuffled_sequences(task.folder, task.train, batch_size=size, buffer_rows=buffer_rows, seed=[SEED]),
            lambda: histories_from_memory(whole, size),
            step,
        )


def history_task(spec: Spec, config: TrainConfig, folder: Path, rows: int) -> SequenceTask:
    """Of two items up to the whole length, filled up at the end; items by a power law."""
    generator, size = np.random.default_rng(SEED), spec.config.history + 1
    item_idx_RS = 1 + (ITEMS * generator.random((rows, size)) ** 2).astype(np.int64)
    item_idx_RS[np.arange(size) >= generator.integers(2, size + 1, rows)[:, None]] = NO_ITEM
    return SequenceTask(
        spec=spec,
        config=config,
        folder=str(folder),
        train=write_sequence_files(folder, c.TRAIN, item_idx_RS, row_groups=16, seed=SEED),
        validation=(),
        items=ITEMS,
        targets=int((item_idx_RS[:, 1:] != NO_ITEM).sum()),
    )


def compare(case: str, ours: Batches, theirs: Batches, step: Fit | None) -> None:
    """In turns, so that what else the machine does meets both."""
    pairs = [(rows_per_s(ours(), step), rows_per_s(theirs(), step)) for _ in range(ROUNDS)]
    value, peer = (sorted(values)[ROUNDS // 2] for values in zip(*pairs, strict=True))
    emit("feed", case, value, "rows/s", peer="shuffled tensors in memory", peer_value=peer)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--quick", action="store_true", help="200,000 rows")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = 200_000 if given.quick else given.rows
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "rows", rows)
        measure_histories(Path(folder) / "histories", rows // 50)
    return 0


if __name__ == "__main__":
    sys.exit(main())
