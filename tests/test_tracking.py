import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recsys import tracking
from recsys.config import load_config
from recsys.errors import ConfigError, InputError
from recsys.models.registry import model_spec
from recsys.tracking import Registry, TrainingRecord
from recsys.training.export import load_scorer, save_model, state_bytes
from tests.example_sets import inputs_of, random_columns

SPEC = model_spec("mlp", {"id_dim": 2, "category_dim": 2, "hidden": [4], "dropout": 0.0, "hidden_ids": 0.0})
NAME = "recsys-mlp"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """In a folder of its own, so that files in the working directory would show."""
    folder = tmp_path_factory.mktemp("tracking")
    config = dataclasses.replace(load_config([]).tracking, uri=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield tracking.registry_of(config, str(folder))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "exported"
    torch.manual_seed(1)
    save_model(folder, SPEC, inputs_of(12, 16, 3), state_bytes(SPEC.build(inputs_of(12, 16, 3))))
    return folder


def record_of(model_folder: Path, fingerprint: str) -> TrainingRecord:
    return TrainingRecord(
        name=NAME,
        fingerprint=fingerprint,
        params={"train.seed": "22", "mlp.id_dim": "2"},
        tags={"run_date": "2017-12-18", "code": "abc"},
        curve=[
            {"train/loss": 0.7, "validation/auc": 0.6},
            {"train/loss": 0.5, "validation/auc": float("nan")},
        ],
        model_folder=model_folder,
    )


def client_of(registry: Registry) -> Any:
    import mlflow  # after recsys.tracking has imported it without its warnings

    return mlflow.MlflowClient(registry.uri)


def test_versions_count_up_and_are_found_by_their_fingerprint(registry: Registry, model_folder: Path) -> None:
    assert tracking.version_of_fingerprint(registry, NAME, "first") is None
    first = tracking.log_and_register(registry, record_of(model_folder, "first"))
    second = tracking.log_and_register(registry, record_of(model_folder, "second"))
    assert (first.version, second.version) == (1, 2)
    found = tracking.version_of_fingerprint(registry, NAME, "first")
    assert found is not None
    assert (found.version, found.tags["run_date"]) == (1, "2017-12-18")
    assert list(Path.cwd().iterdir()) == [], "nothing is left in the working directory"


def test_parameters_curves_and_tags_are_logged(registry: Registry, model_folder: Path) -> None:
    version = tracking.log_and_register(registry, record_of(model_folder, "logged"))
    client = client_of(registry)
    run_id = client.get_model_version(NAME, str(version.version)).run_id
    run = client.get_run(run_id)
    assert run.data.params == {"train.seed": "22", "mlp.id_dim": "2"}
    assert run.data.tags["code"] == "abc"
    losses = client.get_metric_history(run_id, "train/loss")
    assert [(point.step, point.value) for point in losses] == [(1, 0.7), (2, 0.5)]
    # nan says "no validation rows" and is not a point of the curve.
    assert [point.step for point in client.get_metric_history(run_id, "validation/auc")] == [1]


def test_the_registered_model_scores_alike_through_our_loader_and_mlflows(
    registry: Registry, model_folder: Path, tmp_path: Path
) -> None:
    version = tracking.log_and_register(registry, record_of(model_folder, "scored")).version
    columns = random_columns(20, users=12, items=16)
    scores = load_scorer(tracking.download_model(registry, NAME, version, tmp_path))(columns)
    predicted = tracking.load_pyfunc(registry, NAME, version).predict(pd.DataFrame(columns))
    assert np.array_equal(scores, predicted)
    assert len(np.unique(scores)) > 1


def test_a_version_that_is_not_there_names_the_registry(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model recsys-mlp version 999 is not in the registry sqlite.*run the train"):
        tracking.download_model(registry, NAME, 999, tmp_path)


def test_the_tracking_uri_is_the_setting_then_the_variable_then_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config([]).tracking
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    of_lake = tracking.registry_of(config, "/data/lake")
    assert (of_lake.uri, of_lake.artifact_root) == ("sqlite:////data/lake/mlflow.db", "/data/lake/mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert tracking.registry_of(config, "/data/lake").uri == "http://tracking:5000"
    given = dataclasses.replace(config, uri="http://given:5000")
    assert tracking.registry_of(given, "/data/lake") == Registry(
        uri="http://given:5000", artifact_root=None, experiment="recsys"
    )


def test_sqlite_on_an_object_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match=r"tracking.uri is not set, and SQLite cannot lie in the lake s3a://shop"):
        tracking.registry_of(load_config([]).tracking, "s3a://shop/lake")
