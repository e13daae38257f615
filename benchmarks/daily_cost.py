"""What a late day costs beside an early one: the job runs of one day once the days before it are in the lake.

Usage: python -m benchmarks.daily_cost --input FOLDER [--source online_retail] [--days 30,300] [--in-a-row 3] [--quick]

FOLDER holds one event file a day, such as those of UCI Online Retail. The files before the early days are taken at once
and features are built; then `--in-a-row` files come one after the other, the last of them that of the early day, and
the median seconds of both jobs for one count; then the same for the late day. Seconds are those of the work, without
the start of Python and Spark. In the end another lake is made of all these files at once: no figure where its clean
tables, or its features of the last run date, are not equal to those that grew day by day.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.equal_lakes import require_equal, written_by
from benchmarks.processes import run_job
from benchmarks.report import emit
from recsys.config import load_config
from recsys.lake.session import build_session
from recsys.lake.store import Lake

JOBS = ("clean_logs", "build_features")
DAYS = (30, 300)
QUICK_DAYS = (30, 60)
IN_A_ROW = 3
LIMIT = 1.5
# Four cut-offs, the first 38 days before the run date: the early day has that much behind it, and no window of labels
# lies within the eleven days that the shop of Online Retail was closed at Christmas.
SETTINGS = ("examples.label_days=12", "examples.train_windows=1")


class Shop:
    """A folder that files come into, and a lake that the jobs keep up with it."""

    def __init__(self, files: Sequence[Path], folder: Path, source: str) -> None:
        self._files, self._inputs = files, folder / "input"
        self.lake = folder / "lake"
        settings = (f"source.name={source}", f"source.input={self._inputs}", *SETTINGS)
        overrides = (part for setting in settings for part in ("--set", setting))
        self._arguments = ["--lake", str(self.lake), *overrides]

    def take(self, number: int) -> dict[str, float]:
        """Seconds by job once the files up to that number, from 1, are there."""
        self._inputs.mkdir(parents=True, exist_ok=True)
        for file in self._files[:number]:
            if not (self._inputs / file.name).exists():
                shutil.copy2(file, self._inputs / file.name)
        return {job: run_job(job, self._arguments).stage_seconds for job in JOBS}


def seconds_of_day(shop: Shop, day: int, in_a_row: int) -> dict[str, float]:
    """By job, the median of so many days that end with this one."""
    shop.take(day - in_a_row)
    taken = [shop.take(number) for number in range(day - in_a_row + 1, day + 1)]
    sys.stderr.write(f"days up to {day}: {taken}\n")
    return {job: median(seconds[job] for seconds in taken) for job in JOBS}


def report(source: str, early: int, late: int, first: dict[str, float], then: dict[str, float]) -> None:
    totals = {"both jobs": (sum(then.values()), sum(first.values()))}
    for name, (seconds, peer) in {**{job: (then[job], first[job]) for job in JOBS}, **totals}.items():
        emit(
            "daily_cost",
            f"{source} day {late}, {name}",
            seconds,
            "s",
            peer=f"{LIMIT} times day {early}",
            peer_value=LIMIT * peer,
            is_higher_better=False,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="a folder with one event file a day")
    parser.add_argument("--source", default="online_retail", help="its mapping in conf/sources")
    parser.add_argument("--days", default=",".join(map(str, DAYS)), help="an early and a late one, from 1")
    parser.add_argument("--in-a-row", type=int, default=IN_A_ROW, help="days whose median counts")
    parser.add_argument("--quick", action="store_true", help=f"days {QUICK_DAYS[0]} and {QUICK_DAYS[1]} only")
    given = parser.parse_args()
    early, late = QUICK_DAYS if given.quick else map(int, given.days.split(","))
    files = sorted(file for file in given.input.iterdir() if file.is_file())
    if len(files) < late:
        parser.error(f"{given.input} has {len(files)} files, expected one a day up to day {late}")
    if early <= given.in_a_row:
        parser.error(f"{given.in_a_row} days in a row that end with day {early} leave none before them")
    with tempfile.TemporaryDirectory() as folder:
        grown = Shop(files, Path(folder) / "grown", given.source)
        whole = Shop(files, Path(folder) / "whole", given.source)
        first = seconds_of_day(grown, early, given.in_a_row)
        then = seconds_of_day(grown, late, given.in_a_row)
        whole.take(late)
        spark = build_session("recsys-daily-cost", load_config([]).spark)
        require_equal(Lake(spark, str(grown.lake)), Lake(spark, str(whole.lake)), written_by(*JOBS))
        spark.stop()
    report(given.source, early, late, first, then)
    return 0


if __name__ == "__main__":
    sys.exit(main())
