"""Jobs that are killed, and tables that must not show it."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from recsys import tables
from tests.e2e.conftest import WRITTEN, command, contents, run

COMPARED = tuple(table for table in WRITTEN if table is not tables.RUNS)


def require_equal_after_kills(lake: Path, unbroken: Path, inputs: Path, folder: Path, stages: Sequence[str]) -> None:
    """Starts the pipeline once for each of the stages and kills it there, then once more: it ends with equal tables."""
    arguments = command("run_pipeline", lake, f"source.input={inputs}")
    for stage in stages:
        _kill_in(stage, arguments, folder, after_s=2.0)
    last = run(arguments, folder)
    assert last.code == 0, last.err
    for table in COMPARED:
        assert contents(lake, table) == contents(unbroken, table), table.name


def _kill_in(stage: str, arguments: list[str], folder: Path, *, after_s: float) -> None:
    with subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if f"{stage} for" in line and "started" in line:
                break
        else:
            pytest.fail(f"{stage} never started: {''.join(seen[-20:])}")
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGKILL)
