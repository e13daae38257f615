from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.lake import runs
from recsys.lake.store import Lake

MONDAY, TUESDAY = date(2017, 12, 18), date(2017, 12, 19)


def trained(lake: Lake, day: date, name: str, version: int, **figures: Any) -> None:
    told = {c.MODEL_NAME: name, c.MODEL_VERSION: version, **figures}
    runs.record(lake, "train", day, f"{name} {version}", 1.0, {}, told)


def versions(lake: Lake, day: date) -> dict[str, int]:
    return {name: figures[c.MODEL_VERSION] for name, figures in runs.newest_trainings(lake, day).items()}


def test_each_model_has_its_newest_training_whatever_was_trained_the_same_day(
    spark: SparkSession, tmp_path: Path
) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    assert runs.newest_trainings(lake, TUESDAY) == {}
    trained(lake, MONDAY, "recsys-gru", 1, family="histories", history_events=["view", "purchase"])
    trained(lake, MONDAY, "recsys-mlp", 1)
    trained(lake, MONDAY, "recsys-ease", 4)
    trained(lake, MONDAY, "recsys-mlp", 2)
    runs.record(lake, "evaluate", MONDAY, "e", 1.0, {}, {c.MODEL_NAME: "recsys-mf", c.MODEL_VERSION: 1})
    assert versions(lake, MONDAY) == {"recsys-gru": 1, "recsys-mlp": 2, "recsys-ease": 4}
    assert lake.read(tables.RUNS).count() == 2, "a day's trainings share one record"
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


def test_what_is_kept_of_other_models_is_no_figure_of_the_run(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    trained(lake, MONDAY, "recsys-mlp", 1)
    trained(lake, MONDAY, "recsys-ease", 4)
    standing = runs.standing_run(lake, "train", MONDAY, "recsys-ease 4", [])
    assert standing == {c.MODEL_NAME: "recsys-ease", c.MODEL_VERSION: 4}
