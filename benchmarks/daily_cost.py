"""What a late day costs beside an early one: the job runs of one day once the days before it are in the lake.

Usage: python -m benchmarks.daily_cost --input FOLDER [--source online_retail] [--days 30,300] [--quick]

FOLDER holds one event file a day, such as those of UCI Online Retail. The files before the early day are taken and
features are built; then its file comes, and the seconds of both jobs for it count; then the same for the late day.
Seconds are those of the work, without the start of Python and Spark.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import run_job
from benchmarks.report import emit

JOBS = ("clean_logs", "build_features")
DAYS = (30, 300)
QUICK_DAYS = (30, 60)
LIMIT = 1.5
# Four cut-offs, the first three weeks before the run date: the early day has that much behind it.
SETTINGS = ("examples.label_days=7", "examples.train_windows=1")


def seconds_of_day(files: Sequence[Path], folder: Path, source: str, number: int) -> dict[str, float]:
    """By job, for the file of that number, from 1, after all before it."""
    inputs = folder / "input"
    settings = (f"source.name={source}", f"source.input={inputs}", *SETTINGS)
    arguments = ["--lake", str(folder / "lake"), *(part for setting in settings for part in ("--set", setting))]
    copy_files(files[: number - 1], inputs)
    for job in JOBS:
        run_job(job, arguments)
    copy_files(files[:number], inputs)
    return {job: run_job(job, arguments).stage_seconds for job in JOBS}


def copy_files(files: Sequence[Path], inputs: Path) -> None:
    inputs.mkdir(parents=True, exist_ok=True)
    for file in files:
        if not (inputs / file.name).exists():
            shutil.copy2(file, inputs / file.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="a folder with one event file a day")
    parser.add_argument("--source", default="online_retail", help="its mapping in conf/sources")
    parser.add_argument("--days", default=",".join(map(str, DAYS)), help="an early and a late one, from 1")
    parser.add_argument("--quick", action="store_true", help=f"days {QUICK_DAYS[0]} and {QUICK_DAYS[1]} only")
    given = parser.parse_args()
    early, late = QUICK_DAYS if given.quick else map(int, given.days.split(","))
    files = sorted(file for file in given.input.iterdir() if file.is_file())
    with tempfile.TemporaryDirectory() as folder:
        first = seconds_of_day(files, Path(folder), given.source, early)
        then = seconds_of_day(files, Path(folder), given.source, late)
    totals = {"both jobs": (sum(then.values()), sum(first.values()))}
    for name, (seconds, peer) in {**{job: (then[job], first[job]) for job in JOBS}, **totals}.items():
        emit(
            "daily_cost",
            f"{given.source} day {late}, {name}",
            seconds,
            "s",
            peer=f"{LIMIT} times day {early}",
            peer_value=LIMIT * peer,
            is_higher_better=False,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
