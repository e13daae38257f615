from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from jobs.maintain import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from tests.feature_rows import rows_of

DAY, OLD = date(2017, 12, 18), date(2017, 10, 1)


def operations(lake: Lake, since: int | None) -> list[str]:
    """Of the commits of recs.top_n after a version."""
    commits = DeltaTable(lake.path(tables.TOP_N)).history()
    return [commit["operation"] for commit in commits if commit["version"] > (since or 0)]


@pytest.mark.long
def test_old_lists_go_files_are_joined_and_rules_are_left_alone(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    lake.overwrite(tables.EVENTS, rows_of(spark, tables.EVENTS, [{c.EVENT_DATE: DAY, c.SOURCE_ROW: 1}]))
    lake.overwrite(tables.STOCK, rows_of(spark, tables.STOCK, [{c.ITEM_ID: "a"}]))
    for day in (OLD, DAY):
        lists = [{c.RUN_DATE: day, c.SCENE: "home", c.USER_ID: user, c.RANK: 1, c.ITEM_ID: "a"} for user in "uvwx"]
        frame = rows_of(spark, tables.TOP_N, lists).repartition(3, c.USER_ID)
        lake.overwrite(tables.TOP_N, frame, f"run_date = DATE'{day}'")
    run = Run(spark=spark, lake=lake, config=load_config([]), conf_folder=CONF_FOLDER, run_date=DAY)
    figures = run_stage(STAGE, run).figures
    assert (figures["tables"], figures["longest_kept_hours"]) == (2, 168.0)
    rows = lake.read(tables.TOP_N)
    assert {(row[c.RUN_DATE], row[c.USER_ID]) for row in rows.collect()} == {(DAY, user) for user in "uvwx"}
    assert len(rows.inputFiles()) == 1
    assert lake.version(tables.STOCK) == 0
    version = lake.version(tables.TOP_N)
    run_stage(STAGE, run)
    assert "OPTIMIZE" not in operations(lake, version), "it is sorted already"


def test_less_than_a_week_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"maintenance.vacuum_hours must be at least 168, got 1"):
        load_config([], ["maintenance.vacuum_hours=1"])
