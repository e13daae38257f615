"""K-core, leave one out and sequences of a generated log, beside the same steps in RePlay: seconds.

Usage: python -m benchmarks.preparation --peer build/peers/replay/bin/python [--events 20000000] [--quick]

Each side runs in a process of its own with as much memory, and writes the test events and one row with the sequence of
each user; seconds are those of the work, without the start of Python and Spark. Ours keeps the last 50 events of a
sequence, RePlay all: its models cut them later. benchmarks/peers/README.md makes the environment of the peer.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.generated_log import LogShape, events_of_days, happened
from benchmarks.processes import Measured, run_measured
from benchmarks.report import emit
from recsys import columns as c
from recsys.config import CONF_FOLDER, load_config
from recsys.examples.schemes import keep_core, part_last_events
from recsys.features.sequence import sequence_features
from recsys.lake.session import build_session

EVENTS = 20_000_000
DAYS = 100
QUICK_EVENTS = 500_000
CORE = 5
LENGTH = 50
MEMORY = "4g"
OURS = "--ours"
PEER_SCRIPT = "benchmarks/peers/replay_preparation.py"


def write_events(shape: LogShape, folder: Path) -> None:
    """One Parquet file a day, with the columns of both sides; users and items by number, as text."""
    folder.mkdir(parents=True)
    for day, events in enumerate(events_of_days(shape)):
        rows = happened(shape, day, np.arange(events))
        times = pa.array(rows.time_ms).cast(pa.timestamp("ms"))
        columns = {
            c.USER_ID: pa.array(rows.user).cast(pa.string()),
            c.ITEM_ID: pa.array(rows.item).cast(pa.string()),
            "timestamp": times,
            c.EVENT_TS: times,
            c.EVENT_DATE: times.cast(pa.date32(), safe=False),
            c.SOURCE_FILE: pa.array([f"{day}"]).take(pa.array(np.zeros(len(rows.user), dtype=np.int64))),
            c.SOURCE_ROW: pa.array(rows.number),
        }
        pq.write_table(pa.table(columns), folder / f"{day:05d}.parquet")


def prepared(events: DataFrame, shape: LogShape) -> tuple[DataFrame, DataFrame]:
    """The last event of each user of the core, and the sequences of the others."""
    parted = part_last_events(keep_core(events, CORE)).persist()
    test = parted.where(F.col(c.SPLIT) == c.TEST)
    purchases = {c.EVENT_TYPE: F.lit(c.PURCHASE), c.QUANTITY: F.lit(1.0), c.AMOUNT_CENTS: F.lit(0).cast("bigint")}
    others = parted.where(F.col(c.SPLIT) != c.TEST).withColumns(purchases)
    end = shape.first_day + timedelta(days=shape.days)
    return test, sequence_features(others, [end], LENGTH)


def run_ours(source: Path, output: Path, events: int) -> int:
    """In a process of its own; prints as a job does."""
    config = load_config([CONF_FOLDER / "local.yaml"], [f"spark.driver_memory={MEMORY}"])
    spark: SparkSession = build_session("recsys-preparation", config.spark)
    started = time.monotonic()
    parts = dict(
        zip(
            ("test", "sequences"),
            prepared(spark.read.parquet(str(source)), LogShape(events=events, days=DAYS)),
            strict=True,
        )
    )
    for name, rows in parts.items():
        rows.write.parquet(str(output / name))
    seconds = time.monotonic() - started
    counts = {name: spark.read.parquet(str(output / name)).count() for name in parts}
    spark.stop()
    sys.stdout.write(json.dumps({"stages": [{"stage": "ours", "seconds": seconds, **counts}]}) + "\n")
    return 0


def compare(events: int, peer: str, engines: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_events(LogShape(events=events, days=DAYS), folder / "events")
        arguments = [str(folder / "events"), str(folder / "ours"), str(events)]
        ours = run_measured(["-m", "benchmarks.preparation", OURS, *arguments])
        for engine in engines:
            arguments = [engine, str(folder / "events"), str(folder / engine), str(CORE), MEMORY]
            theirs = run_measured([PEER_SCRIPT, *arguments], python=peer)
            require_equal(ours, theirs)
            report(events, engine, ours, theirs)


def require_equal(ours: Measured, theirs: Measured) -> None:
    """Fast and wrong is no figure."""
    found = [{name: ran.stages[0][name] for name in ("test", "sequences")} for ran in (ours, theirs)]
    if found[0] != found[1]:
        raise SystemExit(f"both sides must end with as many rows; ours has {found[0]}, RePlay {found[1]}")


def report(events: int, engine: str, ours: Measured, theirs: Measured) -> None:
    case = f"{CORE}-core, leave one out, sequences, {events:,} events"
    peer = f"RePlay, {engine}"
    emit("preparation", case, ours.stage_seconds, "s", peer=peer, peer_value=theirs.stage_seconds,
         is_higher_better=False)  # fmt: skip
    emit("preparation", f"{case}, peak memory", ours.peak_gib, "GiB", peer=peer, peer_value=theirs.peak_gib,
         is_higher_better=False)  # fmt: skip


def main(given: Sequence[str]) -> int:
    if given[:1] == [OURS]:
        return run_ours(Path(given[1]), Path(given[2]), int(given[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, metavar="PYTHON", help="of the environment that has replay-rec")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--engines", default="spark,polars", help="of RePlay")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EVENTS:,} events only")
    arguments = parser.parse_args(given)
    compare(QUICK_EVENTS if arguments.quick else arguments.events, arguments.peer, arguments.engines.split(","))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
