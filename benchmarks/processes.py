"""Runs a job as a process of its own: its figures, seconds from start to end, peak memory of it and its descendants."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil

GIB = 2**30
POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`stages`: the figures of the job's last line of output, one entry a stage."""

    stages: list[dict[str, Any]]
    seconds: float
    peak_gib: float

    @property
    def stage_seconds(self) -> float:
        """Without the start of Python and Spark."""
        return sum(float(stage["seconds"]) for stage in self.stages)


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


def run_job(name: str, arguments: Sequence[str]) -> Measured:
    """`name` of jobs/. Ends the benchmark where the job does not end well."""
    return run_measured([f"jobs/{name}.py", *arguments])


def run_measured(command: Sequence[str], python: str = sys.executable) -> Measured:
    """A Python program whose last line of output is JSON with `stages`, as that of every job."""
    started = time.monotonic()
    with subprocess.Popen([python, *command], stdout=subprocess.PIPE, text=True) as process:
        memory = PeakMemory(process.pid)
        memory.start()
        out, _ = process.communicate()
        peak_gib = memory.stop()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with exit code {process.returncode}; its messages are above")
    stages = json.loads(out.strip().splitlines()[-1])["stages"]
    return Measured(stages=stages, seconds=time.monotonic() - started, peak_gib=peak_gib)
