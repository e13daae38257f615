"""Killed at every stage, and run again: some minutes, so a target of its own (`make test-long`)."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from recsys import tables
from tests.e2e.conftest import STAGES, WRITTEN, Finished, command, contents, run

pytestmark = pytest.mark.long

COMPARED = tuple(table for table in WRITTEN if table is not tables.RUNS)


def test_killed_at_every_stage_and_started_again_it_ends_with_the_same_tables(
    finished_lake: tuple[Path, Finished], slice_folder: Path, tmp_path: Path
) -> None:
    unbroken, _ = finished_lake
    broken = tmp_path / "lake"
    arguments = command("run_pipeline", broken, f"source.input={slice_folder}")
    for stage in STAGES:
        _kill_in(stage, arguments, tmp_path, after_s=2.0)
    last = run(arguments, tmp_path)
    assert last.code == 0, last.err
    for table in COMPARED:
        assert contents(broken, table) == contents(unbroken, table), table.name


def test_a_second_run_skips_all_stages(
    finished_lake: tuple[Path, Finished], slice_folder: Path, tmp_path: Path
) -> None:
    lake, _ = finished_lake
    again = run(command("run_pipeline", lake, f"source.input={slice_folder}"), tmp_path)
    assert again.code == 0, again.err
    assert [stage["skipped"] for stage in again.figures["stages"]] == [True] * 6  # type: ignore[attr-defined]


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
