"""Killed at each stage that needs a model, and run again, on a lake whose data is prepared."""

import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable

from recsys import columns as c
from recsys import tables
from recsys.tables import Table
from tests.e2e.conftest import STAGES, WRITTEN, Finished, frame
from tests.e2e.killing import require_equal_after_kills

pytestmark = pytest.mark.long

PREPARING, LATER = STAGES[:3], STAGES[3:]


def test_killed_from_the_training_on_and_started_again_it_ends_with_the_same_tables(
    finished_lake: tuple[Path, Finished], slice_folder: Path, tmp_path: Path
) -> None:
    unbroken, _ = finished_lake
    lake = tmp_path / "lake"
    copy_prepared(unbroken, lake)
    require_equal_after_kills(lake, unbroken, slice_folder, tmp_path, LATER)


def copy_prepared(lake: Path, target: Path) -> None:
    """As the preparing stages have left it: without the models, the later stages' tables and the records of these."""
    of_later = shutil.ignore_patterns("mlflow*", "checkpoints")
    shutil.copytree(lake, target, ignore=of_later)
    for table in WRITTEN:
        if table.writer in LATER:
            shutil.rmtree(folder_of(target, table))
    DeltaTable(folder_of(target, tables.RUNS)).restore(len(PREPARING) - 1)
    assert set(frame(target, tables.RUNS)[c.STAGE]) == set(PREPARING)


def folder_of(lake: Path, table: Table) -> Path:
    return lake / table.name.replace(".", "/")
