"""Trains the configured model in Horovod processes, then registers it in MLflow.

A network of features learns from the newest example files, a model of interactions from who bought what.
"""

import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jobs._interactions import (
    Spec,
    interactions_curve,
    interactions_figures,
    interactions_inputs,
    interactions_spec,
    trained_on_interactions,
)
from recsys import columns as c
from recsys import tables, tracking
from recsys.app import main
from recsys.config import load_yaml, model_file
from recsys.errors import ConfigError
from recsys.lake.example_files import ExampleFiles, newest_example_files
from recsys.lake.files import Files
from recsys.lake.interaction_files import delete_interaction_files
from recsys.models.interaction_registry import CLOSED_FORM_MODELS, INTERACTION_MODELS, is_interaction_model
from recsys.models.registry import MODELS, ModelSpec, model_spec
from recsys.stages import Figures, Run, Stage, code_hash
from recsys.tracking import RegisteredVersion, TrainingRecord
from recsys.training.export import save_model
from recsys.training.recommenders import save_recommender
from recsys.training.run import Trained, TrainingTask, require_slots, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a training leaves behind, whatever it learned from; `save` writes the model into a folder.

    `logged`: how the record differs from that of a network.
    """

    spec: ModelSpec | Spec
    figures: Figures
    manifest: str
    curve: list[dict[str, float]]
    save: Callable[[Path], None]
    logged: dict[str, Any] = field(default_factory=dict)


def run(run: Run) -> Figures:
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    name = tracking.registered_name(run.config.train.model)
    standing = tracking.version_of_fingerprint(registry, name, run.run_id)
    if standing is not None:
        logger.info("%s version %d was registered by this very run before; kept", name, standing.version)
        return _figures_of(standing)
    finished = (_finished_on_interactions if is_interaction_model(run.config.train.model) else _finished_on_examples)(
        run
    )
    with tempfile.TemporaryDirectory() as folder:
        model_folder = Path(folder) / "exported"
        finished.save(model_folder)
        record = TrainingRecord(
            name=name,
            fingerprint=run.run_id,
            params=_params(run, finished.spec),
            tags=_tags(run, finished),
            curve=finished.curve,
            model_folder=model_folder,
            **finished.logged,
        )
        registered = tracking.log_and_register(registry, record)
    Files(run.spark).delete(_checkpoints(run))
    delete_interaction_files(run.lake, run.day)
    return _figures_of(registered)


def _finished_on_examples(run: Run) -> Finished:
    examples, spec = newest_example_files(run.lake, run.day), _spec(run)
    task = TrainingTask(
        spec=spec, config=run.config.train, folder=examples.folder, manifest=examples.manifest,
        checkpoints=f"{_checkpoints(run)}/{_checkpoint_key(run, examples, spec)}",
    )  # fmt: skip
    trained = train(task, slots=_slots(run))
    return Finished(
        spec=spec,
        figures={**_figures(task, trained), c.RANKS: c.CANDIDATES},
        manifest=examples.manifest.hash,
        curve=_curve(trained),
        save=lambda folder: save_model(folder, spec, examples.manifest.inputs, trained.state),
    )


def _finished_on_interactions(run: Run) -> Finished:
    spec = _interactions_spec(run)
    task, trained = trained_on_interactions(run, spec, slots=_slots(run))
    scores = trained.scores
    assert scores is not None, "the leader returns what it learned"
    return Finished(
        spec=spec,
        figures={**interactions_figures(run, task, trained), c.RANKS: c.ALL_ITEMS},
        manifest="",
        curve=interactions_curve(trained),
        save=lambda folder: save_recommender(folder, spec.name, scores, trained.known),
        logged={"loader": "recsys.training.recommenders", "inputs": {c.USER_IDX: "long", c.ITEM_IDX: "long"}},
    )


# How a training runs, not what comes out of it: a broken one may go on with other values of these.
_FREE_SETTINGS = (
    "workers", "threads_per_worker", "worker_memory_mb", "device", "start_timeout_s", "step_timeout_s",
    "checkpoint_steps", "max_restarts", "profile",
)  # fmt: skip


def _checkpoints(run: Run) -> str:
    return f"{run.lake.root}/checkpoints/{run.day.isoformat()}/{run.config.train.model}"


def _checkpoint_key(run: Run, examples: ExampleFiles, spec: ModelSpec) -> str:
    settings = {key: value for key, value in asdict(run.config.train).items() if key not in _FREE_SETTINGS}
    state = [code_hash(), examples.manifest.hash, asdict(spec.config), settings]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]


def check(run: Run) -> None:
    """What can be refused before the stages that come first in a pipeline have run."""
    _require_model(run.config.train.model)
    _interactions_spec(run) if is_interaction_model(run.config.train.model) else _spec(run)
    tracking.registry_of(run.config.tracking, run.lake.root)
    require_slots(run.config.train, _slots(run))


def inputs(run: Run) -> Sequence[str]:
    if is_interaction_model(run.config.train.model):
        return interactions_inputs(run, _interactions_spec(run))
    examples = newest_example_files(run.lake, run.day)
    settings = json.dumps(asdict(_spec(run).config), sort_keys=True)
    return (examples.folder, examples.manifest.hash, hashlib.sha256(settings.encode()).hexdigest())


def _require_model(name: str) -> None:
    known = sorted([*MODELS, *CLOSED_FORM_MODELS, *INTERACTION_MODELS])
    if name not in known:
        raise ConfigError(f"train.model: unknown model {name!r}; known models: {known}")


def _slots(run: Run) -> int:
    return run.spark.sparkContext.defaultParallelism


def _spec(run: Run) -> ModelSpec:
    name = run.config.train.model
    return model_spec(name, load_yaml(model_file(run.conf_folder, name)))


def _interactions_spec(run: Run) -> Spec:
    return interactions_spec(model_file(run.conf_folder, run.config.train.model))


def _figures(task: TrainingTask, trained: Trained) -> Figures:
    last, best = trained.curve[-1], trained.best
    seconds = sum(task.manifest.train.rows / epoch.rows_per_s for epoch in trained.curve)
    return {
        c.ROWS: task.manifest.train.rows,
        "epochs": len(trained.curve),
        "best_epoch": trained.best_epoch,
        "train_loss": last.train_loss,
        "validation_loss": best.validation_loss,
        "validation_auc": best.validation_auc,
        "rows_per_s": round(len(trained.curve) * task.manifest.train.rows / seconds),
        "workers": task.config.workers,
        **({"profile_s": _rounded(trained.seconds)} if task.config.profile else {}),
        "delta_versions": ", ".join(f"{name}={v}" for name, v in sorted(task.manifest.versions.items())),
    }


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {phase: round(value, 2) for phase, value in seconds.items()}


def _figures_of(version: RegisteredVersion) -> Figures:
    """The figures travel with the registered version, so that a run that finds it reports the same."""
    return {
        **json.loads(version.tags[tracking.FIGURES]),
        c.MODEL_NAME: version.name,
        c.MODEL_VERSION: version.version,
    }


def _params(run: Run, spec: ModelSpec | Spec) -> dict[str, str]:
    sections = {**run.config.settings_of(STAGE.settings), spec.name: asdict(spec.config)}
    return {f"{section}.{key}": str(value) for section, values in sections.items() for key, value in values.items()}


def _tags(run: Run, finished: Finished) -> dict[str, str]:
    return {
        c.RUN_DATE: run.day.isoformat(),
        "code": code_hash(),
        "manifest": finished.manifest,
        "delta_versions": finished.figures["delta_versions"],
        tracking.FIGURES: json.dumps(finished.figures),
    }


def _curve(trained: Trained) -> list[dict[str, float]]:
    return [
        {
            "train/loss": epoch.train_loss,
            "train/rows_per_s": epoch.rows_per_s,
            "validation/loss": epoch.validation_loss,
            "validation/auc": epoch.validation_auc,
        }
        for epoch in trained.curve
    ]


STAGE = Stage(
    name="train",
    reads=(tables.EXAMPLES,),
    writes=(),
    settings=("examples", "candidates", "train", "tracking"),
    run=run,
    check=check,
    inputs=inputs,
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
