"""Runs, curves and registered models; the only module that knows MLflow."""

import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.catalog import ID_INPUTS, MODEL_INPUTS, NEIGHBOUR_IDS, NEIGHBOUR_INPUTS
from recsys.config import TrackingConfig
from recsys.errors import ConfigError, InputError

logger = logging.getLogger(__name__)

FINGERPRINT = "fingerprint"
FIGURES = "figures"
_MODEL = "model"
_URI_VARIABLE = "MLFLOW_TRACKING_URI"
# What the loader needs; named, because MLflow would otherwise load the model to find out.
_REQUIREMENTS = ("torch==2.12.1", "numpy>=1.26,<2", "pyyaml>=6")
_MAX_TAG_CHARACTERS = 4000
_ID_NAMES = {id_input.name for id_input in ID_INPUTS}
NETWORK_INPUTS = {i.name: "long" if i.name in _ID_NAMES else "double" for i in MODEL_INPUTS}
NEIGHBOUR_LISTS = {name: f"array<{'long' if name in NEIGHBOUR_IDS else 'double'}>" for name in NEIGHBOUR_INPUTS}


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Where runs and models are kept; `artifact_root` is null where the server decides."""

    uri: str
    artifact_root: str | None
    experiment: str


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """One training as it is logged; `curve` holds metrics by name, one mapping an epoch.

    `loader` is the module whose `_load_pyfunc` reads the model folder, `inputs` MLflow's types by column of its input.
    """

    name: str
    fingerprint: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    curve: Sequence[Mapping[str, float]]
    model_folder: Path
    loader: str = "recsys.training.export"
    inputs: Mapping[str, str] = field(default_factory=lambda: dict(NETWORK_INPUTS))


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    name: str
    version: int
    tags: Mapping[str, str]


def registry_of(config: TrackingConfig, lake_root: str) -> Registry:
    """tracking.uri, else the variable MLFLOW_TRACKING_URI, else SQLite in the lake's folder."""
    given = config.uri or os.environ.get(_URI_VARIABLE)
    if given:
        return Registry(uri=given, artifact_root=None, experiment=config.experiment)
    folder = lake_root.removeprefix("file://").removeprefix("file:")
    if "://" in folder:
        raise ConfigError(
            f"tracking.uri is not set, and SQLite cannot lie in the lake {lake_root}. Cure: give tracking.uri (an "
            "MLflow server, or sqlite:///<local file>), or set MLFLOW_TRACKING_URI"
        )
    return Registry(uri=f"sqlite:///{folder}/mlflow.db", artifact_root=f"{folder}/mlflow", experiment=config.experiment)


def registered_name(model: str) -> str:
    return f"recsys-{model}"


def version_of_fingerprint(registry: Registry, name: str, fingerprint: str) -> RegisteredVersion | None:
    """The version that a training with this fingerprint registered, if any: a killed run need not train again."""
    with _client(registry) as client:
        found = [v for v in client.search_model_versions(f"name='{name}'") if v.tags.get(FINGERPRINT) == fingerprint]
    if not found:
        return None
    newest = max(found, key=lambda version: int(version.version))
    return RegisteredVersion(name=name, version=int(newest.version), tags=newest.tags)


def log_and_register(registry: Registry, record: TrainingRecord) -> RegisteredVersion:
    """One MLflow run with parameters, curves and the model; then the model's next version, tags and all at once."""
    with _client(registry) as client:
        import mlflow

        with mlflow.start_run(
            experiment_id=_experiment_id(client, registry), run_name=record.name, tags=_shortened(record.tags)
        ) as run:
            mlflow.log_params(dict(record.params))
            for epoch, metrics in enumerate(record.curve, start=1):
                mlflow.log_metrics(_finite(metrics), step=epoch)
            logged = mlflow.pyfunc.log_model(
                name=_MODEL,
                loader_module=record.loader,
                data_path=str(record.model_folder),
                signature=_signature(record.inputs),
                pip_requirements=list(_REQUIREMENTS),
            )
        tags = {**_shortened(record.tags), FINGERPRINT: record.fingerprint}
        with redirect_stderr(io.StringIO()):  # it announces each version there, whatever its loggers' level
            version = mlflow.register_model(logged.model_uri, record.name, tags=tags)
    logger.info("registered %s version %s (MLflow run %s)", record.name, version.version, run.info.run_id)
    return RegisteredVersion(name=record.name, version=int(version.version), tags=version.tags)


def download_model(registry: Registry, name: str, version: int, destination: Path) -> Path:
    """A local copy of the folder that recsys.training.export.load_scorer takes."""
    with _client(registry):
        import mlflow

        try:
            local = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(destination))
        except mlflow.exceptions.MlflowException as error:
            raise InputError(
                f"model {name} version {version} is not in the registry {registry.uri}: {error}. Cure: run the train "
                "job with this lake, or check tracking.uri"
            ) from error
    (folder,) = (path for path in (Path(local) / "data").iterdir() if path.is_dir())
    return folder


def load_pyfunc(registry: Registry, name: str, version: int) -> Any:
    """MLflow's own generic model: predict on a pandas DataFrame of model inputs."""
    with _client(registry):
        import mlflow

        return mlflow.pyfunc.load_model(f"models:/{name}/{version}")


@contextmanager
def _client(registry: Registry) -> Iterator[Any]:
    """Points MLflow at the registry without its notices, progress bars and usage reports."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # takes seconds, so only where it is needed

        # Importing MLflow sets its loggers up afresh.
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        # MLflow also sets the variable that `registry_of` reads; another lake must not find this one's registry there.
        given = os.environ.get(_URI_VARIABLE)
        _make_database(registry)
        mlflow.set_tracking_uri(registry.uri)
        try:
            yield mlflow.MlflowClient()
        finally:
            os.environ.pop(_URI_VARIABLE, None)
            if given is not None:
                os.environ[_URI_VARIABLE] = given


def _make_database(registry: Registry) -> None:
    """Of the lake's own registry, whole or not at all: MLflow cannot go on with tables it was killed making."""
    file = Path(registry.uri.removeprefix("sqlite:///"))
    if registry.artifact_root is None or file.exists():
        return
    import mlflow

    unfinished = file.with_name(f"{file.name}.making")
    unfinished.unlink(missing_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{unfinished}")
    mlflow.MlflowClient().search_experiments()
    unfinished.replace(file)


def _experiment_id(client: Any, registry: Registry) -> str:
    found = client.get_experiment_by_name(registry.experiment)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(registry.experiment, artifact_location=registry.artifact_root))


def _signature(inputs: Mapping[str, str]) -> Any:
    """Whole and broken numbers of any width are taken; `array<long>` is a list of numbers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array

    kinds = {name: type_.removeprefix("array<").removesuffix(">") for name, type_ in inputs.items()}
    columns: list[Any] = [ColSpec(Array(kind) if inputs[name] != kind else kind, name) for name, kind in kinds.items()]
    return ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec("double")]))


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value == value}


def _shortened(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:_MAX_TAG_CHARACTERS] for name, value in tags.items()}
