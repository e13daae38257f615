"""Events a second and peak memory of each job on generated logs that grow, beside linear growth and the memory limit.

Usage: python -m benchmarks.scale [--events 1000000,10000000,50000000] [--jobs clean_logs,build_features] [--quick]

One user and one item have 1 % of all events each (benchmarks/generated_log.py); users and items grow with the events.
A job's seconds are those of its work, without the start of Python and Spark.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.generated_log import LogShape, write_log
from benchmarks.processes import Measured, run_job
from benchmarks.report import emit

SIZES = (1_000_000, 10_000_000, 50_000_000)
DAYS = 180
QUICK_SIZES = (200_000,)
QUICK_DAYS = 90
JOBS = ("clean_logs", "build_features", "build_examples", "train", "evaluate", "score")
LIMIT_GIB = 6.0
# Candidates and epochs multiply every user; the demo's are for a fiftieth of the users of the largest log.
SETTINGS = (
    "candidates.own_items=50",
    "candidates.category_items=30",
    "candidates.popular_items=20",
    "train.epochs=1",
)


def run_jobs(folder: Path, jobs: Sequence[str], events: int, days: int) -> dict[str, Measured]:
    log, lake = folder / "log", folder / "lake"
    truths = write_log(LogShape(events=events, days=days), log, progress=sys.stderr.write)
    settings = (f"source.input={log}", *SETTINGS)
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    arguments = ["--config", "benchmarks/conf/generated.yaml", "--lake", str(lake), *overrides]
    found: dict[str, Measured] = {}
    for job in jobs:
        found[job] = run_job(job, arguments)
        report(job, events, found[job])
    require_all_rows(found, sum(truth.rows_kept for truth in truths))
    shutil.rmtree(folder)
    return found


def require_all_rows(found: dict[str, Measured], expected: int) -> None:
    """Fast and wrong is no figure."""
    kept = found["clean_logs"].stages[0]["rows"] if "clean_logs" in found else expected
    if kept != expected:
        raise SystemExit(f"clean_logs kept {kept} rows of the generated log, expected {expected}")


def report(job: str, events: int, ran: Measured) -> None:
    case = f"{job}, {events:,} events"
    emit("scale", case, events / ran.stage_seconds, "events/s", digits=0)
    emit(
        "scale", f"{case}, peak memory", ran.peak_gib, "GiB", peer="limit", peer_value=LIMIT_GIB, is_higher_better=False
    )


def report_growth(smaller: int, larger: int, before: dict[str, Measured], after: dict[str, Measured]) -> None:
    """A ratio of 1 or more: the time grows at most as the events do."""
    for job in after:
        emit(
            "scale",
            f"{job}, {larger:,} events, growth",
            after[job].stage_seconds,
            "s",
            peer=f"seconds for {smaller:,} events, times {larger / smaller:g}",
            peer_value=before[job].stage_seconds * larger / smaller,
            is_higher_better=False,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", default=",".join(map(str, SIZES)), help="sizes of the logs, rising")
    parser.add_argument("--jobs", default=",".join(JOBS), help="in this order; each needs those before it")
    parser.add_argument("--folder", type=Path, default=None, help="for logs and lakes; default: a temporary one")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZES[0]:,} events in {QUICK_DAYS} days only")
    given = parser.parse_args()
    sizes = QUICK_SIZES if given.quick else tuple(int(size) for size in given.events.split(","))
    days = QUICK_DAYS if given.quick else DAYS
    ran: list[tuple[int, dict[str, Measured]]] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for events in sizes:
            found = run_jobs(Path(folder) / str(events), given.jobs.split(","), events, days)
            if ran:
                report_growth(ran[-1][0], events, ran[-1][1], found)
            ran.append((events, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
