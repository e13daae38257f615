"""Trains the configured model in Horovod processes, baselines by Spark itself, then registers it in MLflow.

A network of features learns from the newest example files; other families from who took what, and in what order.
"""

import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jobs import _feature_rows, _histories, _interactions, _spark_factors, _spark_features, _start, _towers
from jobs._learning import Finished, Learning, checkpoints, failures, slots
from jobs._models import require_factors_model
from jobs._start import require_may_start
from recsys import columns as c
from recsys import tracking
from recsys.app import main
from recsys.config import model_file
from recsys.families import CLOSED_FORM, FACTORS, FEATURES, HISTORIES, SPARK_FACTORS, SPARK_FEATURES, TOWERS
from recsys.lake.files import Files
from recsys.lake.interaction_files import delete_interaction_files
from recsys.models.registry import MODELS, Spec, model_settings, model_spec, require_known
from recsys.stages import Figures, Run, Stage, code_hash
from recsys.tables import Table
from recsys.tracking import RegisteredVersion, TrainingRecord
from recsys.training.objective import require_objective, require_users_to_rank
from recsys.training.run import require_retries, require_slots

logger = logging.getLogger(__name__)

_LEARNING: dict[str, Learning] = {
    FEATURES: _feature_rows.LEARNING,
    CLOSED_FORM: _interactions.LEARNING,
    FACTORS: _interactions.LEARNING,
    HISTORIES: _histories.LEARNING,
    TOWERS: _towers.LEARNING,
    SPARK_FEATURES: _spark_features.LEARNING,
    SPARK_FACTORS: _spark_factors.LEARNING,
}


def run(run: Run) -> Figures:
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    name = tracking.registered_name(run.config.train.model)
    standing = tracking.version_of_fingerprint(registry, name, run.run_id)
    if standing is not None:
        logger.info("%s version %d was registered by this very run before; kept", name, standing.version)
        return _figures_of(standing)
    spec = _spec(run)
    finished = _LEARNING[spec.family].finish(run, spec)
    with tempfile.TemporaryDirectory() as folder:
        model_folder = Path(folder) / "exported"
        finished.save(model_folder)
        record = TrainingRecord(
            name=name,
            fingerprint=run.run_id,
            params=_params(run, spec),
            tags=_tags(run, spec, finished),
            curve=finished.curve,
            model_folder=model_folder,
            **finished.logged,
        )
        registered = tracking.log_and_register(registry, record)
    Files(run.spark).delete(checkpoints(run))
    delete_interaction_files(run.lake, run.day)
    return _figures_of(registered)


def check(run: Run) -> None:
    """What can be refused before the stages that come first in a pipeline have run."""
    spec = _spec(run)
    require_factors_model(run)
    _LEARNING[spec.family].check(run, spec)
    tracking.registry_of(run.config.tracking, run.lake.root)
    require_slots(run.config.train, slots(run))
    require_retries(run.config.train, failures(run))


def inputs(run: Run) -> Sequence[str]:
    spec = _spec(run)
    settings = json.dumps(asdict(spec.config), sort_keys=True)
    return (*_LEARNING[spec.family].inputs(run), hashlib.sha256(settings.encode()).hexdigest())


def reads_of(run: Run) -> tuple[Table, ...]:
    require_known(run.config.train.model)
    kind = MODELS[run.config.train.model]
    learning = _LEARNING[kind.family]
    of_nodes = learning.reads_of_nodes if kind.reads_nodes else ()
    of_text = learning.reads_of_text if learning.reads_of_text and _spec(run).config.text_vectors else ()
    of_start = _start.READS if run.config.train.start_from is not None else ()
    return tuple(dict.fromkeys((*learning.reads, *of_nodes, *of_text, *of_start)))


def _spec(run: Run) -> Spec:
    name = run.config.train.model
    require_known(name)
    settings, _ = model_settings(model_file(run.conf_folder, name))
    spec = model_spec(name, settings)
    require_may_start(spec, run.config.train)
    require_objective(spec.family, run.config.train)
    require_users_to_rank(spec.family, run.config.train.best_by, run.config.examples.ranked_users)
    return spec


def _figures_of(version: RegisteredVersion) -> Figures:
    """The figures travel with the registered version, so that a run that finds it reports the same."""
    return {
        **json.loads(version.tags[tracking.FIGURES]),
        c.MODEL_NAME: version.name,
        c.MODEL_VERSION: version.version,
    }


def _params(run: Run, spec: Spec) -> dict[str, str]:
    sections = {**run.config.settings_of(STAGE.settings), spec.name: asdict(spec.config)}
    return {f"{section}.{key}": str(value) for section, values in sections.items() for key, value in values.items()}


def _tags(run: Run, spec: Spec, finished: Finished) -> dict[str, str]:
    return {
        c.RUN_DATE: run.day.isoformat(),
        "code": code_hash(),
        "manifest": finished.manifest,
        "delta_versions": finished.figures["delta_versions"],
        tracking.FIGURES: json.dumps({**finished.figures, c.FAMILY: spec.family}),
    }


STAGE = Stage(
    name="train",
    reads=reads_of,
    writes=(),
    settings=("examples", "candidates", "train", "tracking"),
    run=run,
    check=check,
    inputs=inputs,
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
