"""Scoring in Spark, user-item pairs a second, beside the bare network on the same pairs in memory with as many threads.

Usage: python -m benchmarks.pairs [--quick]
"""

import argparse
import io
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.planted_examples import planted_columns, planted_inputs
from benchmarks.report import emit
from recsys import columns as c
from recsys.config import CONF_FOLDER, load_config, load_yaml
from recsys.lake.session import build_session
from recsys.models.registry import model_spec
from recsys.scoring.pairs import score_pairs
from recsys.training.export import load_scorer, save_model

SEED = 7
THREADS = 2


def save_untrained(folder: Path) -> None:
    torch.manual_seed(SEED)
    spec = model_spec("mlp", load_yaml(CONF_FOLDER / "models" / "mlp.yaml"))
    buffer = io.BytesIO()
    torch.save(spec.build(planted_inputs()).state_dict(), buffer)
    save_model(folder, spec, planted_inputs(), buffer.getvalue())


def write_pairs(folder: Path, rows: int) -> None:
    """In one file a task, so that reading is as parallel as scoring."""
    folder.mkdir()
    for part in range(THREADS * 2):
        columns = planted_columns(rows // (THREADS * 2), SEED + part)
        del columns[c.LABEL]
        count = len(columns[c.USER_IDX])
        keys = {c.USER_ID: columns[c.USER_IDX].astype(str), c.ITEM_ID: columns[c.ITEM_IDX].astype(str)}
        day = np.full(count, np.datetime64("2024-05-08"))
        table = pa.table({c.AS_OF_DATE: day, **keys, c.SOURCE: np.full(count, "own"), **columns})
        pq.write_table(table, folder / f"{part}.parquet")


def in_spark(spark: SparkSession, folder: Path, model: Path) -> float:
    """Seconds to read the pairs, score them and add the scores up."""
    pairs = spark.read.parquet(str(folder))
    model_folder = str(model)
    started = time.perf_counter()
    score_pairs(pairs, lambda: load_scorer(model_folder), 8192).agg(F.sum(c.SCORE)).collect()
    return time.perf_counter() - started


def bare_share(arguments: tuple[Path, int, int]) -> float:
    """Seconds of one process for its share of pairs, which it makes before the clock starts."""
    model, rows, seed = arguments
    score, columns = load_scorer(model), planted_columns(rows, seed)
    started = time.perf_counter()
    score(columns)
    return time.perf_counter() - started


def bare(model: Path, rows: int) -> float:
    shares = [(model, rows // THREADS, SEED + number) for number in range(THREADS)]
    with ProcessPoolExecutor(THREADS) as pool:
        return max(pool.map(bare_share, shares))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--quick", action="store_true", help="400,000 pairs")
    given = parser.parse_args()
    rows = 400_000 if given.quick else given.rows
    with tempfile.TemporaryDirectory() as folder:
        model, pairs = Path(folder) / "model", Path(folder) / "pairs"
        save_untrained(model)
        write_pairs(pairs, rows)
        theirs = bare(model, rows)
        spark = build_session("recsys-benchmark", load_config([]).spark)
        in_spark(spark, pairs, model)
        ours = in_spark(spark, pairs, model)
        spark.stop()
    case = f"{rows:,} pairs, mlp, {THREADS} tasks"
    emit("pairs", case, rows / ours, "pairs/s", peer="bare network in memory", peer_value=rows / theirs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
