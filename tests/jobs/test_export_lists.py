import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

from jobs.export_lists import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.lake.maintenance import optimize
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from tests.feature_rows import rows_of

DAY = date(2017, 12, 18)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, str(tmp_path / "lake"))


def publish(lake: Lake, **items: str) -> None:
    rows = [
        {c.RUN_DATE: DAY, c.SCENE: "home", c.USER_ID: user, c.RANK: rank, c.ITEM_ID: item, c.SCORE: 1 / rank}
        for user, row in items.items()
        for rank, item in enumerate(row, start=1)
    ]
    lake.overwrite(tables.TOP_N, rows_of(lake.spark, tables.TOP_N, rows), f"run_date = DATE'{DAY}'")


def export(lake: Lake, *overrides: str) -> dict[str, Any]:
    config = load_config([], ["export.shards=2", *overrides])
    run = Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=DAY)
    return run_stage(STAGE, run).figures


def test_no_lists_are_refused_with_the_cure(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"recs.top_n.*does not have. Cure: run \['score'\] first"):
        export(lake)


@pytest.mark.long
def test_all_lists_then_only_what_changed_then_nothing(lake: Lake) -> None:
    publish(lake, u="ab", v="a", w="b")
    assert export(lake) == {
        c.ROWS: 3, c.EXPORT_NUMBER: 1, c.NUM_CHANGED: 3, c.NUM_GONE: 0, c.FOLDER: f"{lake.root}/exports/000001",
    }  # fmt: skip
    publish(lake, u="ab", v="b")
    second = export(lake)
    assert (second[c.EXPORT_NUMBER], second[c.NUM_CHANGED], second[c.NUM_GONE]) == (2, 1, 1)
    optimize(lake, tables.TOP_N, DAY)
    assert export(lake)[c.ROWS] == 0
    folder = Path(second[c.FOLDER])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest[c.SINCE_VERSION], manifest[c.UNTIL_VERSION], manifest[c.NUM_GONE]) == (0, 1, 1)
    assert contents(folder) == [("v", "set", ["b"]), ("w", "gone", None)]
    lines = [json.loads(line) for file in folder.glob("json_lines/*.json") for line in file.read_text().splitlines()]
    assert {(line[c.USER_ID], line[c.CHANGE]) for line in lines} == {("v", "set"), ("w", "gone")}
    pairs = [line for file in folder.glob("key_value/shard=*/*.txt") for line in file.read_text().splitlines()]
    assert {line.split("\t")[0]: len(line.split("\t")) for line in pairs} == {"home/v": 2, "home/w": 1}
    assert export(lake, "export.whole=true")[c.NUM_CHANGED] == 2


def contents(folder: Path) -> list[tuple[str, str, list[str] | None]]:
    rows = duckdb.sql(f"SELECT user_id, change, items FROM '{folder}/parquet/*.parquet' ORDER BY user_id").fetchall()
    return [(user, change, items and [item[c.ITEM_ID] for item in items]) for user, change, items in rows]


def test_a_table_that_was_made_again_is_exported_whole_and_another_folder_and_format_may_be_asked(
    lake: Lake, tmp_path: Path
) -> None:
    publish(lake, u="a")
    export(lake)
    lake.drop(tables.TOP_N)
    publish(lake, u="a")
    again = export(lake, f"export.folder={tmp_path}/elsewhere", "export.formats=[json_lines]")
    assert (again[c.NUM_CHANGED], again[c.FOLDER]) == (1, f"{tmp_path}/elsewhere/000002")
    assert {path.name for path in Path(again[c.FOLDER]).iterdir()} >= {"json_lines", "manifest.json"}
    assert not (Path(again[c.FOLDER]) / "parquet").exists()
