"""A real log taken in the ways in which files arrive, each of which must end in the tables of one run over all of them.

Usage: python -m benchmarks.arrival --input FOLDER [--source online_retail] [--files 20] [--set clean.key=value]

FOLDER holds one event file a day; the first `--files` are taken, and a copy of one under another name. They come
in an order from a seed, some in each of four runs, one of them cut short at first; then as a stream; then a range of
days of the finished lake is taken again. Ends with an error where a table differs. The figures are rows by what became
of them and by the rule that they broke, of all rows read.
"""

import argparse
import gzip
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from pyspark.sql import functions as F

from benchmarks.equal_lakes import require_equal, written_by
from benchmarks.processes import Measured, run_job
from benchmarks.report import emit
from recsys import columns as c
from recsys import tables
from recsys.config import load_config
from recsys.lake.session import build_session
from recsys.lake.store import Lake

FILES = 20
RUNS = 4
SEED = 7
ORDER, STREAM, WHOLE = "any order", "stream", "whole"
AGAIN_DAYS = 3


class Shop:
    """A folder that files come into, and lakes that it is cleaned into."""

    def __init__(self, folder: Path, source: str, settings: Sequence[str]) -> None:
        self._folder = folder
        self.inputs = folder / "input"
        self.inputs.mkdir()
        given = (f"source.name={source}", f"source.input={self.inputs}", *settings)
        self._settings = [part for setting in given for part in ("--set", setting)]

    def lake(self, name: str) -> str:
        return str(self._folder / name.replace(" ", "_"))

    def clean(self, lake: str, *options: str) -> Measured:
        return run_job("clean_logs", ["--lake", self.lake(lake), *self._settings, *options])


def take_in_any_order(shop: Shop, files: Sequence[Path]) -> None:
    """The first that comes is cut short, and whole in the last run."""
    order = random.Random(SEED).sample(files, len(files))
    for run in range(RUNS):
        for file in order[run::RUNS]:
            shutil.copy2(file, shop.inputs)
        if run == 0:
            cut_short(shop.inputs / order[0].name)
        if run == RUNS - 1:
            shutil.copy2(order[0], shop.inputs)
            shutil.copy2(order[1], shop.inputs / copy_of(order[1]))
        shop.clean(ORDER)


def copy_of(file: Path) -> str:
    stem, dot, ending = file.name.partition(".")
    return f"{stem}-copy{dot}{ending}"


def cut_short(file: Path) -> None:
    unpack = gzip.open if file.suffix == ".gz" else open
    with unpack(file, "rb") as whole:
        lines = whole.readlines()
    with unpack(file, "wb") as cut:
        cut.writelines(lines[: len(lines) // 2])


def report(lake: Lake, source: str) -> None:
    """From the whole lake's ops.quality."""
    quality = lake.read(tables.QUALITY).where(F.col(c.SOURCE_TABLE) == "events")
    names = (c.ROWS_READ, c.ROWS_KEPT, c.ROWS_QUARANTINED, c.ROWS_DUPLICATE)
    sums = quality.agg(*(F.sum(name).alias(name) for name in names)).collect()[0]
    for name in names:
        emit("arrival", f"{source}, {name}", sums[name], "rows", digits=0)
    shares = quality.select(c.ROWS_READ, F.explode(c.RULE_SHARES).alias("rule", "share"))
    by_rule = shares.groupBy("rule").agg(F.sum(F.round(F.col("share") * F.col(c.ROWS_READ))).alias(c.ROWS))
    for row in by_rule.orderBy("rule").collect():
        emit("arrival", f"{source}, {row['rule']}", row[c.ROWS], "rows", digits=0)


def range_of_days(lake: Lake) -> tuple[str, str]:
    last = lake.read(tables.EVENTS).agg(F.max(c.EVENT_DATE)).collect()[0][0]
    return (last - timedelta(days=AGAIN_DAYS)).isoformat(), last.isoformat()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="a folder with one event file a day")
    parser.add_argument("--source", default="online_retail", help="its mapping in conf/sources")
    parser.add_argument("--files", type=int, default=FILES, help="the first so many by name")
    parser.add_argument("--set", action="append", default=[], metavar="clean.KEY=VALUE", dest="settings")
    given = parser.parse_args()
    files = sorted(file for file in given.input.iterdir() if file.is_file())[: given.files]
    if len(files) < RUNS:
        parser.error(f"{given.input} has {len(files)} files, expected at least {RUNS}")
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder), given.source, given.settings)
        take_in_any_order(shop, files)
        shop.clean(WHOLE)
        shop.clean(STREAM, "--stream")
        spark = build_session("recsys-arrival", load_config([]).spark)
        grown, streamed, whole = (Lake(spark, shop.lake(name)) for name in (ORDER, STREAM, WHOLE))
        compared = written_by("clean_logs")
        require_equal(grown, whole, compared)
        require_equal(streamed, whole, compared)
        first, last = range_of_days(whole)
        shop.clean(ORDER, "--from", first, "--to", last)
        require_equal(grown, whole, compared)
        report(whole, given.source)
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
