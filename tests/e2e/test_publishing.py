"""What comes after the day's lists, on the lake of the whole pipeline: upkeep, export, the way back to the log."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys import columns as c
from recsys import tables
from tests.e2e.conftest import Finished, command, contents, frame, run


@pytest.mark.long
def test_upkeep_changes_no_rows_and_makes_no_stage_run_again_then_export_and_explain(
    finished_lake: tuple[Path, Finished], slice_folder: Path, tmp_path: Path, job: Callable[..., Finished]
) -> None:
    lake, _ = finished_lake
    compared = (tables.EVENTS, tables.USER_FEATURES, tables.ITEM_DAYS, tables.TOP_N)
    before = {table: contents(lake, table) for table in compared}
    done = job("maintain", lake)
    assert done.code == 0, done.err
    assert {table: contents(lake, table) for table in compared} == before
    again = run(command("run_pipeline", lake, f"source.input={slice_folder}"), tmp_path)
    assert again.code == 0, again.err
    assert [stage["skipped"] for stage in again.figures["stages"]] == [True] * 6  # type: ignore[attr-defined]

    first, second = job("export_lists", lake), job("export_lists", lake)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    counts = [done.figures["stages"][0][c.ROWS] for done in (first, second)]  # type: ignore[index]
    assert counts == [len({row[2] for row in before[tables.TOP_N]}), 0]
    assert json.loads((lake / "exports" / "000001" / "manifest.json").read_text())[c.NUM_GONE] == 0

    row = frame(lake, tables.TOP_N).sort_values([c.USER_ID, c.RANK]).iloc[0]
    wanted = ["--user", row[c.USER_ID], "--item", row[c.ITEM_ID]]
    explained = run([*command("explain_row", lake), *wanted], tmp_path)
    assert explained.code == 0, explained.err
    for part in (f"version {row[c.MODEL_VERSION]}", "features.user version", "code ", ".parquet record"):
        assert part in explained.out
