import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.lake import runs
from recsys.lake.store import Lake
from tests.feature_rows import rows_of, write_rows

MONDAY, TUESDAY = date(2017, 12, 18), date(2017, 12, 19)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, str(tmp_path / "lake"))


def trained(lake: Lake, day: date, name: str, version: int, **figures: Any) -> None:
    told = {c.MODEL_NAME: name, c.MODEL_VERSION: version, **figures}
    runs.record(lake, "train", day, f"{name} {version}", 1.0, {}, told)


def standing(lake: Lake, stage: str, run_id: str, scene: str = "home") -> dict[str, Any] | None:
    writes = [table for table in (tables.TOP_N,) if table.writer == stage]
    return runs.standing_run(lake, stage, MONDAY, run_id, writes, [scene])


def versions(lake: Lake, day: date) -> dict[str, int]:
    return {name: figures[c.MODEL_VERSION] for name, figures in runs.newest_trainings(lake, day).items()}


def test_each_model_has_its_newest_training_whatever_was_trained_the_same_day(lake: Lake) -> None:
    assert runs.newest_trainings(lake, TUESDAY) == {}
    trained(lake, MONDAY, "recsys-gru", 1, family="histories", history_events=["view", "purchase"])
    trained(lake, MONDAY, "recsys-mlp", 1)
    trained(lake, MONDAY, "recsys-ease", 4)
    trained(lake, MONDAY, "recsys-mlp", 2)
    runs.record(lake, "evaluate", MONDAY, "e", 1.0, {}, {c.MODEL_NAME: "recsys-mf", c.MODEL_VERSION: 1})
    assert versions(lake, MONDAY) == {"recsys-gru": 1, "recsys-mlp": 2, "recsys-ease": 4}
    assert lake.read(tables.RUNS).count() == 5, "each run has a record"
    assert runs.newest_trainings(lake, MONDAY)["recsys-gru"] == {
        c.MODEL_NAME: "recsys-gru", c.MODEL_VERSION: 1, "family": "histories", "history_events": ["view", "purchase"],
    }  # fmt: skip

    trained(lake, TUESDAY, "recsys-ease", 5)
    assert versions(lake, TUESDAY) == {"recsys-gru": 1, "recsys-mlp": 2, "recsys-ease": 5}
    assert versions(lake, MONDAY) == {"recsys-gru": 1, "recsys-mlp": 2, "recsys-ease": 4}
    assert versions(lake, date(2017, 12, 17)) == {}
    newest = runs.newest_figures(lake, "train", MONDAY)
    assert newest is not None
    assert (newest[c.MODEL_NAME], newest[c.MODEL_VERSION]) == ("recsys-mlp", 2)


def test_a_training_stands_only_while_no_other_of_the_day_came_after_it(lake: Lake) -> None:
    """It writes no table that could tell."""
    trained(lake, MONDAY, "recsys-mlp", 1)
    trained(lake, MONDAY, "recsys-ease", 4)
    assert standing(lake, "train", "recsys-mlp 1") is None
    assert standing(lake, "train", "recsys-ease 4") == {c.MODEL_NAME: "recsys-ease", c.MODEL_VERSION: 4}
    trained(lake, MONDAY, "recsys-mlp", 1)
    assert standing(lake, "train", "recsys-mlp 1") == {c.MODEL_NAME: "recsys-mlp", c.MODEL_VERSION: 1}
    assert lake.read(tables.RUNS).count() == 2, "the same run again replaces its record"


def write_list(lake: Lake, scene: str, item: str) -> None:
    row = {c.RUN_DATE: MONDAY, c.SCENE: scene, c.USER_ID: "u", c.RANK: 1, c.ITEM_ID: item}
    where = f"run_date = DATE'{MONDAY}' AND scene = '{scene}'"
    version = lake.overwrite(tables.TOP_N, rows_of(lake.spark, tables.TOP_N, [row]), where)
    runs.record(lake, "score", MONDAY, f"{scene} {item}", 1.0, {tables.TOP_N.name: version}, {c.ROWS: 1})


@pytest.mark.long
def test_runs_of_two_scenes_of_a_day_stand_beside_each_other(lake: Lake) -> None:
    write_list(lake, "home", "tea")
    write_list(lake, "cart", "cup")
    assert standing(lake, "score", "home tea", "home") == {c.ROWS: 1}
    assert standing(lake, "score", "cart cup", "cart") == {c.ROWS: 1}
    assert runs.origins(lake, [tables.TOP_N], MONDAY) == {tables.TOP_N.name: "cart cup"}
    write_list(lake, "home", "pot")
    assert standing(lake, "score", "home tea", "home") is None, "its rows were replaced"
    assert standing(lake, "score", "cart cup", "cart") == {c.ROWS: 1}
    told = [runs.scoring_record(lake, run_id, MONDAY) for run_id in ("home tea", "cart cup", "home pot")]
    assert [row is not None and dict(row[c.VERSIONS]) for row in told] == [
        {tables.TOP_N.name: version} for version in (0, 1, 2)
    ]
    assert runs.scoring_record(lake, "home tea", date(2017, 12, 17)) is None


def test_a_training_is_found_by_name_and_version_among_all(lake: Lake) -> None:
    trained(lake, MONDAY, "recsys-mlp", 3)
    trained(lake, MONDAY, "recsys-ease", 3)
    trained(lake, TUESDAY, "recsys-mlp", 4)
    found = {
        (name, version): runs.training_record(lake, name, version, day)
        for name, version, day in [("recsys-mlp", 3, TUESDAY), ("recsys-ease", 3, TUESDAY), ("recsys-mlp", 4, MONDAY)]
    }
    assert [None if row is None else row[c.RUN_ID] for row in found.values()] == ["recsys-mlp 3", "recsys-ease 3", None]


def test_old_records_are_superseded_but_for_the_newest_of_their_day_and_model(lake: Lake) -> None:
    ran = [
        ("train", MONDAY, "mlp 1", "recsys-mlp"), ("train", MONDAY, "mlp 2", "recsys-mlp"),
        ("train", MONDAY, "ease 1", "recsys-ease"), ("score", MONDAY, "s1", None), ("score", MONDAY, "s2", None),
        ("score", TUESDAY, "s1", None), ("clean_logs", None, "c1", None), ("clean_logs", None, "c2", None),
    ]  # fmt: skip
    rows = [
        {
            c.STAGE: stage, c.RUN_DATE: day, c.RUN_ID: run_id, c.FINISHED_TS: datetime(2026, 1, 1, 0, minute),
            c.FIGURES: json.dumps({c.MODEL_NAME: model} if model else {}),
        }
        for minute, (stage, day, run_id, model) in enumerate(ran)
    ]  # fmt: skip
    write_rows(lake, tables.RUNS, rows)
    old = {tuple(row) for row in runs.superseded(lake, datetime(2100, 1, 1)).collect()}
    assert old == {("train", MONDAY, "mlp 1"), ("score", MONDAY, "s1"), ("clean_logs", None, "c1")}
    assert runs.superseded(lake, datetime(2020, 1, 1)).isEmpty()
