"""K-core, leave one out and sequences of a generated log, beside the same steps in RePlay: seconds.

Usage: python -m benchmarks.preparation --peer build/peers/replay/bin/python [--events 20000000] [--quick]

Each side runs in a process of its own with as much memory, and writes the test events and one row with the sequence of
each user; seconds are those of the work, without the start of Python and Spark. Ours keeps the last 50 events of a
sequence, with types, gaps, prices and a mask; RePlay keeps all with their times: its models cut them later. No figure
where the results differ in anything but the order of events of one instant. benchmarks/peers/README.md makes the
environment of the peer.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
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
COLUMNS = (c.USER_ID, c.ITEM_ID, c.EVENT_TS, c.EVENT_DATE, c.SOURCE_FILE, c.SOURCE_ROW)
PEER_SCRIPT = "benchmarks/peers/replay_preparation.py"


def write_events(shape: LogShape, folder: Path) -> None:
    """One Parquet file a day, with the columns of both sides; users and items by number, as text."""
    folder.mkdir(parents=True)
    for day, events in enumerate(events_of_days(shape)):
        rows = happened(shape, day, np.arange(events))
        times = pa.array(rows.time_ms).cast(pa.timestamp("ms", tz="UTC"))
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
    # The gap of a sequence's first event needs the one before it, and two are held out.
    parted = part_last_events(keep_core(events.select(*COLUMNS), CORE), newest=LENGTH + 3).persist()
    test = parted.where(F.col(c.SPLIT) == c.TEST)
    purchases = {c.EVENT_TYPE: F.lit(c.PURCHASE), c.QUANTITY: F.lit(1.0), c.AMOUNT_CENTS: F.lit(0).cast("bigint")}
    others = parted.where(F.col(c.SPLIT) != c.TEST).withColumns(purchases)
    end = shape.first_day + timedelta(days=shape.days)
    return test, sequence_features(others, [end], LENGTH)


def run_ours(source: Path, output: Path, events: int) -> int:
    """In a process of its own; prints as a job does."""
    config = load_config([CONF_FOLDER / "local.yaml"], [f"spark.driver_memory={MEMORY}"])
    spark = build_session("recsys-preparation", config.spark)
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
    spark.stop()
    sys.stdout.write(json.dumps({"stages": [{"stage": "ours", "seconds": seconds}]}) + "\n")
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
            require_equal(our_lists(folder / "ours"), their_lists(folder / engine))
            report(events, engine, ours, theirs)


@dataclass(frozen=True, kw_only=True)
class Lists:
    """By user: instant (microseconds) and item of the test event; items of the sequence, oldest first; `times`: their
    instants, of RePlay alone."""

    test: dict[str, tuple[int, str]]
    items: dict[str, list[str]]
    times: dict[str, list[int]]


def our_lists(folder: Path) -> Lists:
    rows = pq.read_table(folder / "sequences", columns=[c.USER_ID, c.SEQUENCE_ITEMS]).to_pydict()
    items = {
        user: [item for item in sequence if item is not None]
        for user, sequence in zip(rows[c.USER_ID], rows[c.SEQUENCE_ITEMS], strict=True)
    }
    return Lists(test=_test_events(folder, c.EVENT_TS), items=items, times={})


def their_lists(folder: Path) -> Lists:
    """The newest of each sequence, and as many instants and one more."""
    users, items, times = [], [], []
    for file in sorted((folder / "sequences").glob("*.parquet")):
        rows = pq.read_table(file, columns=[c.USER_ID, c.ITEM_ID, "timestamp"])
        users += rows[c.USER_ID].to_pylist()
        items += _newest(rows[c.ITEM_ID], LENGTH)
        times += [list(map(_micros, of_user)) for of_user in _newest(rows["timestamp"], LENGTH + 1)]
    by_user = partial(zip, users, strict=True)
    return Lists(test=_test_events(folder, "timestamp"), items=dict(by_user(items)), times=dict(by_user(times)))


def _test_events(folder: Path, time_column: str) -> dict[str, tuple[int, str]]:
    rows = pq.read_table(folder / "test", columns=[c.USER_ID, c.ITEM_ID, time_column]).to_pydict()
    times = map(_micros, rows[time_column])
    return dict(zip(rows[c.USER_ID], zip(times, rows[c.ITEM_ID], strict=True), strict=True))


def _micros(time: datetime) -> int:
    """One side writes times with a zone, the other without; both are UTC."""
    return (time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _newest(lists: pa.ChunkedArray, length: int) -> list[list[Any]]:
    found = []
    for chunk in lists.chunks:
        ends = chunk.offsets.to_numpy()
        found += [chunk.values[max(start, end - length) : end].to_pylist() for start, end in pairwise(ends)]
    return found


def require_equal(ours: Lists, theirs: Lists) -> None:
    """Fast and wrong is no figure. Users with two events of one instant where it matters are not compared item by
    item: each side orders these its own way."""
    if ours.items.keys() != theirs.items.keys() or ours.test.keys() != theirs.test.keys():
        found = {name: (len(side.test), len(side.items)) for name, side in (("ours", ours), ("RePlay", theirs))}
        raise SystemExit(f"both sides must end with the same users of test events and sequences; found {found}")
    tied = {user for user in ours.test if _is_tied([*theirs.times[user], theirs.test[user][0]])}
    wrong = {user for user in ours.test if ours.test[user][0] != theirs.test[user][0]} | {
        user
        for user in ours.test.keys() - tied
        if (ours.test[user], ours.items[user]) != (theirs.test[user], theirs.items[user])
    }
    if wrong or len(tied) > len(ours.test) / 100:
        counts = f"{len(wrong)} of {len(ours.test)} users differ, such as {sorted(wrong)[:3]}; {len(tied)} are tied"
        raise SystemExit(f"both sides must end with the same rows; {counts}")


def _is_tied(times: list[int]) -> bool:
    return len(set(times)) < len(times)


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
