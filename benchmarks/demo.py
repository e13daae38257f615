"""The whole pipeline: seconds per stage and peak memory of all its processes, beside the limits promised in the README.

Usage: python -m benchmarks.demo [--input FOLDER] [--lake FOLDER] [--quick]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import run_job
from benchmarks.report import emit
from benchmarks.slice_log import main as cut_slice

LIMIT_S = 360.0
LIMIT_GIB = 8.0
QUICK_SLICE = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, default=None, help="default: the demo's own log")
    parser.add_argument("--source", default="complete_journey")
    parser.add_argument("--lake", type=Path, default=None, help="default: a temporary folder")
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK_SLICE}th household only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = given.input
        if given.quick and source is None:
            source = Path(folder) / "slice"
            cut_slice(["--output", str(source), "--every", str(QUICK_SLICE)])
        arguments = ["--lake", str(given.lake or Path(folder) / "lake"), "--set", f"source.name={given.source}"]
        arguments += ["--set", f"source.input={source}"] if source else []
        ran = run_job("run_pipeline", arguments)
    case = f"{given.source}{' quick' if given.quick else ''}"
    for stage in ran.stages:
        emit("demo", f"{case} {stage['stage']}", stage["seconds"], "s")
    emit("demo", f"{case} start to end", ran.seconds, "s", peer="limit", peer_value=LIMIT_S, is_higher_better=False)
    emit("demo", f"{case} peak memory", ran.peak_gib, "GiB", peer="limit", peer_value=LIMIT_GIB, is_higher_better=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
