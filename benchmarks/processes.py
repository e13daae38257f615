"""Runs a job as a process of its own: its figures, seconds from start to end, processor time and peak memory of it and
its descendants."""

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
    """`stages`: the figures of the job's last line of output, one entry a stage. `processor_s`: of all threads, with
    the start of Python and Spark; it grows less than `seconds` where others keep the machine busy."""

    stages: list[dict[str, Any]]
    seconds: float
    processor_s: float
    peak_gib: float

    @property
    def stage_seconds(self) -> float:
        """Without the start of Python and Spark."""
        return sum(float(stage["seconds"]) for stage in self.stages)


class Watch(threading.Thread):
    """A process and all its descendants. Memory is the proportional set size: shared pages are counted once. Processor
    time is that of user and system until the last look at each process."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._peak_bytes = 0
        self._processor_s: dict[int, float] = {}
        self._root = psutil.Process(pid)
        self._stopped = threading.Event()

    @property
    def peak_gib(self) -> float:
        return self._peak_bytes / GIB

    @property
    def processor_s(self) -> float:
        return sum(self._processor_s.values())

    def run(self) -> None:
        while not self._stopped.wait(POLL_S):
            tree = self._tree()
            self._peak_bytes = max(self._peak_bytes, sum(map(_pss, tree)))
            found = {process.pid: _processor_s(process) for process in tree}
            self._processor_s |= {pid: seconds for pid, seconds in found.items() if seconds is not None}

    def stop(self) -> None:
        self._stopped.set()
        self.join()

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


def _processor_s(process: psutil.Process) -> float | None:
    """None where it has just ended."""
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return float(times.user + times.system)


def run_job(name: str, arguments: Sequence[str]) -> Measured:
    """`name` of jobs/. Ends the benchmark where the job does not end well."""
    return run_measured([f"jobs/{name}.py", *arguments])


def run_measured(command: Sequence[str], python: str = sys.executable) -> Measured:
    """A Python program whose last line of output is JSON with `stages`, as that of every job."""
    started = time.monotonic()
    with subprocess.Popen([python, *command], stdout=subprocess.PIPE, text=True) as process:
        watch = Watch(process.pid)
        watch.start()
        out, _ = process.communicate()
        watch.stop()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with exit code {process.returncode}; its messages are above")
    measured = Measured(
        stages=json.loads(out.strip().splitlines()[-1])["stages"],
        seconds=time.monotonic() - started,
        processor_s=watch.processor_s,
        peak_gib=watch.peak_gib,
    )
    sys.stderr.write(
        f"{' '.join(command[:2])}: {measured.stage_seconds:.1f} s of work, {measured.processor_s:.1f} processor s\n"
    )
    return measured
