"""Killed at each stage that prepares data, and run again: some minutes, so a target of its own (`make test-long`)."""

from pathlib import Path

import pytest

from tests.e2e.conftest import STAGES, Finished, command, run
from tests.e2e.killing import require_equal_after_kills

pytestmark = pytest.mark.long


def test_killed_while_it_prepares_data_and_started_again_it_ends_with_the_same_tables(
    finished_lake: tuple[Path, Finished], slice_folder: Path, tmp_path: Path
) -> None:
    unbroken, _ = finished_lake
    require_equal_after_kills(tmp_path / "lake", unbroken, slice_folder, tmp_path, STAGES[:3])


def test_a_second_run_skips_all_stages(
    finished_lake: tuple[Path, Finished], slice_folder: Path, tmp_path: Path
) -> None:
    lake, _ = finished_lake
    again = run(command("run_pipeline", lake, f"source.input={slice_folder}"), tmp_path)
    assert again.code == 0, again.err
    assert [stage["skipped"] for stage in again.figures["stages"]] == [True] * 6  # type: ignore[attr-defined]
