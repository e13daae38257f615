"""The whole pipeline: seconds per stage and peak memory of all its processes, beside the limits promised in the README.

Usage: python -m benchmarks.demo [--input FOLDER] [--lake FOLDER] [--quick]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import emit
from benchmarks.slice_log import main as cut_slice

GIB = 2**30
LIMIT_S = 360.0
LIMIT_GIB = 8.0
POLL_S = 0.5
QUICK_SLICE = 20


class PeakMemory(threading.Thread):
    """Proportional set size of a process and all its descendants: shared pages are counted once."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._root = psutil.Process(pid)
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(POLL_S):
            self.peak_bytes = max(self.peak_bytes, sum(map(_pss, self._tree())))

    def stop(self) -> float:
        self._stopped.set()
        self.join()
        return self.peak_bytes / GIB

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def run_pipeline(arguments: list[str]) -> tuple[dict[str, Any], float, float]:
    """Figures of the run, its seconds from start to end, and its peak memory in GiB."""
    started = time.monotonic()
    command = [sys.executable, "jobs/run_pipeline.py", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        memory = PeakMemory(process.pid)
        memory.start()
        out, _ = process.communicate()
        peak_gib = memory.stop()
    if process.returncode != 0:
        raise SystemExit(f"run_pipeline ended with exit code {process.returncode}; its messages are above")
    return json.loads(out.strip().splitlines()[-1]), time.monotonic() - started, peak_gib


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
        figures, seconds, peak_gib = run_pipeline(arguments)
    case = f"{given.source}{' quick' if given.quick else ''}"
    for stage in figures["stages"]:
        emit("demo", f"{case} {stage['stage']}", stage["seconds"], "s")
    emit("demo", f"{case} start to end", seconds, "s", peer="limit", peer_value=LIMIT_S, is_higher_better=False)
    emit("demo", f"{case} peak memory", peak_gib, "GiB", peer="limit", peer_value=LIMIT_GIB, is_higher_better=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
