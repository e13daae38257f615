"""Petastorm into the training step, beside the same step on the same rows shuffled in memory.

Usage: python -m benchmarks.feed [--quick]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.planted_examples import planted_inputs, write_planted_examples
from benchmarks.report import emit
from recsys.config import CONF_FOLDER, load_config, load_yaml
from recsys.manifest import Manifest
from recsys.models.registry import model_spec
from recsys.training.batches import Batch, ordered_batches, shuffled_batches
from recsys.training.loop import Fit, take_step
from recsys.training.workers import OneWorker

SEED = 7
ROUNDS = 3


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


def rows_per_s(batches: Iterator[Batch], fit: Fit | None) -> float:
    """With training steps, or reading alone where `fit` is None."""
    started, rows = time.perf_counter(), 0
    for batch in batches:
        if fit is not None:
            take_step(fit, batch, len(batch))
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
        pairs = [
            (rows_per_s(from_petastorm(url, manifest, fit), step), rows_per_s(from_memory(whole, size), step))
            for _ in range(ROUNDS)
        ]
        ours, theirs = (sorted(values)[ROUNDS // 2] for values in zip(*pairs, strict=True))
        case = f"{rows:,} rows, mlp, {name}"
        emit("feed", case, ours, "rows/s", peer="shuffled tensors in memory", peer_value=theirs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--quick", action="store_true", help="200,000 rows")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), 200_000 if given.quick else given.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
