import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import _feature_rows, train
from recsys import columns as c
from recsys import tables, tracking
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError, WorkerFailedError
from recsys.lake.example_files import write_example_files
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from recsys.tracking import Registry
from recsys.training import run as training_run
from recsys.training.workers import OneWorker
from tests.example_sets import random_columns
from tests.feature_rows import rows_of, write_rows

RUN_DATE = date(2017, 12, 18)

SMALL = ("examples.row_groups=4", "train.epochs=2", "train.batch_size=64", "train.device=cpu", "train.workers=2")


@pytest.fixture(scope="module")
def examples_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(spark, str(tmp_path_factory.mktemp("train") / "lake"))
    for table, key, idx, size in (
        (tables.USER_IDS, c.USER_ID, c.USER_IDX, 12),
        (tables.ITEM_IDS, c.ITEM_ID, c.ITEM_IDX, 16),
        (tables.CATEGORY_IDS, c.CATEGORY, c.CATEGORY_IDX, 3),
    ):
        write_rows(lake, table, [{key: str(number), idx: number} for number in range(size)])
    version = lake.overwrite(tables.EXAMPLES, rows_of(spark, tables.EXAMPLES, _examples()))
    write_example_files(lake, RUN_DATE, version, row_groups=4, versions={"clean.events": 0})
    return lake


def _examples() -> list[dict[str, Any]]:
    columns = {name: column.tolist() for name, column in random_columns(300, users=12, items=16).items()}
    return [
        {
            c.RUN_DATE: RUN_DATE,
            c.SPLIT: c.TRAIN if number < 240 else c.VALIDATION,
            c.AS_OF_DATE: RUN_DATE,
            c.USER_ID: str(number),
            c.ITEM_ID: "any",
            c.LABEL: float(columns[c.USER_PURCHASES_7D][number] > 3),
            c.EXAMPLE_KEY: number,
            **{name: column[number] for name, column in columns.items()},
        }
        for number in range(300)
    ]


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real workers are the matter of tests/horovod; here training runs in this process."""

    def in_this_process(_: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        (task,) = arguments
        return [training_run.train_with(task, OneWorker())]

    monkeypatch.setattr(training_run, "run_on_spark", in_this_process)


def run_of(lake: Lake, *overrides: str) -> Run:
    return Run(
        spark=lake.spark,
        lake=lake,
        config=load_config([], [*SMALL, *overrides]),
        conf_folder=CONF_FOLDER,
        run_date=RUN_DATE,
    )


def registry_of(lake: Lake) -> Registry:
    return tracking.registry_of(run_of(lake).config.tracking, lake.root)


@pytest.mark.usefixtures("one_process")
def test_two_runs_train_one_version_and_report_the_same(examples_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_stage(train.STAGE, run_of(examples_lake, "train.seed=11")).figures
    monkeypatch.setattr(_feature_rows, "train", lambda *_, **__: pytest.fail("a registered run trains again"))
    again = run_stage(train.STAGE, run_of(examples_lake, "train.seed=11")).figures
    assert first == again
    assert first[c.MODEL_NAME] == "recsys-mlp"
    assert first["epochs"] == 2
    assert first[c.ROWS] == 240
    assert "clean.events=0" in first["delta_versions"]


@pytest.mark.usefixtures("one_process")
def test_other_settings_make_the_next_version_with_parameters_curves_and_tags(examples_lake: Lake) -> None:
    first = run_stage(train.STAGE, run_of(examples_lake, "train.seed=21")).figures
    second = run_stage(train.STAGE, run_of(examples_lake, "train.seed=22")).figures
    assert second[c.MODEL_VERSION] == first[c.MODEL_VERSION] + 1
    client = client_of(examples_lake)
    version = client.get_model_version("recsys-mlp", str(second[c.MODEL_VERSION]))
    logged = client.get_run(version.run_id)
    assert logged.data.params["train.seed"] == "22"
    assert logged.data.params["mlp.id_dim"] == "8"
    assert version.tags[c.RUN_DATE] == logged.data.tags[c.RUN_DATE] == "2017-12-18"
    assert {"code", "delta_versions", "fingerprint"} <= set(version.tags)
    curve = client.get_metric_history(version.run_id, "validation/auc")
    assert [(point.step, point.value) for point in curve][-1] == (
        2,
        pytest.approx(logged.data.metrics["validation/auc"]),
    )
    assert {"train/loss", "validation/loss"} <= set(logged.data.metrics)


def test_a_worker_that_dies_leaves_no_version_behind(examples_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise WorkerFailedError("worker 1 was killed")

    monkeypatch.setattr(training_run, "run_on_spark", dies)
    run = run_of(examples_lake, "train.seed=41")
    with pytest.raises(WorkerFailedError, match="worker 1 was killed"):
        run_stage(train.STAGE, run)
    assert not versions_of_seed(examples_lake, "41")


class DyingWorker(OneWorker):
    """Dies in the fourth step: the calls are start, step, step, checkpoint, step, step."""

    def __init__(self) -> None:
        self.calls = 0

    def add_up(self, tensors: Sequence[Any], gathered: Sequence[Any] = ()) -> list[Any]:
        self.calls += 1
        if self.calls == 6:
            raise WorkerFailedError("worker 1 was killed")
        return super().add_up(tensors, gathered)


def test_a_run_that_broke_goes_on_from_its_checkpoint_with_other_workers_too(
    examples_lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ("train.seed=51", "train.checkpoint_steps=2", "train.max_restarts=0", "train.profile=true")
    workers: list[OneWorker] = [DyingWorker(), OneWorker()]

    def in_this_process(_: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        return [training_run.train_with(arguments[0], workers.pop(0))]

    monkeypatch.setattr(training_run, "run_on_spark", in_this_process)
    with pytest.raises(WorkerFailedError, match="worker 1 was killed"):
        run_stage(train.STAGE, run_of(examples_lake, *settings))
    folder = Path(examples_lake.root) / "checkpoints" / "2017-12-18" / "mlp"
    assert len(list(folder.rglob("*.pt"))) == 1
    with caplog.at_level(logging.INFO):
        figures = run_stage(train.STAGE, run_of(examples_lake, *settings, "train.workers=1")).figures
    assert "going on from the checkpoint after step 2 of epoch 1" in caplog.text
    assert figures["epochs"] == 2
    assert {"reading", "forward", "backward", "allreduce"} <= set(figures["profile_s"])
    assert not folder.exists(), "a registered model needs no checkpoint"


def client_of(lake: Lake) -> Any:
    import mlflow  # after recsys.tracking has imported it without its warnings

    return mlflow.MlflowClient(registry_of(lake).uri)


def versions_of_seed(lake: Lake, seed: str) -> list[Any]:
    client = client_of(lake)
    versions = client.search_model_versions("name='recsys-mlp'")
    return [v for v in versions if client.get_run(v.run_id).data.params["train.seed"] == seed]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("train.model=fm",), r"unknown model 'fm'; known models: \['als', 'bsarec', .*'mlp'"),
        (("train.workers=3",), r"train.workers is 3, but the Spark session has 2 task slots"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    examples_lake: Lake, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train.check(run_of(examples_lake, *overrides))


def test_without_example_files_the_cure_is_build_examples(examples_lake: Lake) -> None:
    run = replace(run_of(examples_lake), run_date=RUN_DATE.replace(day=19))
    with pytest.raises(InputError, match=r"no example files for 2017-12-19 .*Cure: run build_examples"):
        run_stage(train.STAGE, run)


def test_the_stage_writes_no_table(examples_lake: Lake) -> None:
    assert train.STAGE.writes == ()
    assert train.STAGE.reads_of(run_of(examples_lake)) == (tables.EXAMPLES,)
    assert len(train.inputs(run_of(examples_lake))) == 3
