"""What the train job needs of each family of models, and what these have in common."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from recsys import columns as c
from recsys.config import TrainConfig
from recsys.errors import InputError
from recsys.lake.example_files import ExampleFiles, newest_example_files
from recsys.lake.runs import origins
from recsys.manifest import Manifest
from recsys.models.registry import Spec
from recsys.stages import Figures, Run, code_hash
from recsys.tables import Table
from recsys.training.run import Trained

# How a training runs, not what comes out of it: a broken one may go on with other values of these.
_FREE_SETTINGS = (
    "workers", "threads_per_worker", "worker_memory_mb", "device", "start_timeout_s", "step_timeout_s",
    "checkpoint_steps", "max_restarts", "elastic", "min_workers", "max_resets", "profile",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a training leaves behind, whatever it learned from; `save` writes the model into a folder.

    `logged`: how the record differs from that of a network of features.
    """

    figures: Figures
    curve: list[dict[str, float]]
    save: Callable[[Path], None]
    manifest: str = ""
    logged: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Learning:
    """`inputs`: the state of what lies outside the tables; `reads_of_nodes`: read for models of node features alone,
    `reads_of_text` for those with text_vectors; `check`: see check of the train job."""

    reads: tuple[Table, ...]
    finish: Callable[[Run, Spec], Finished]
    reads_of_nodes: tuple[Table, ...] = ()
    reads_of_text: tuple[Table, ...] = ()
    check: Callable[[Run, Spec], None] = lambda _, __: None
    inputs: Callable[[Run], Sequence[str]] = lambda _: ()


def examples_for(run: Run, spec: Spec) -> tuple[ExampleFiles, Manifest]:
    """The newest example files, and their manifest with what the model reads of them.

    Raises InputError where that is not there.
    """
    examples = newest_example_files(run.lake, run.day)
    inputs = examples.manifest.inputs
    if spec.reads_neighbours and not inputs.neighbours:
        raise InputError(
            f"{spec.name} reads neighbourhoods, and the example files in {examples.folder} hold none. Cure: run "
            f"build_features and build_examples with train.model={spec.name}, or with "
            "features.grains=[user_neighbours,item_neighbours], among the settings"
        )
    neighbours = inputs.neighbours if spec.reads_neighbours else 0
    return examples, replace(examples.manifest, inputs=replace(inputs, neighbours=neighbours))


def checkpoints(run: Run) -> str:
    return f"{run.lake.root}/checkpoints/{run.day.isoformat()}/{run.config.train.model}"


def checkpoints_of(run: Run, spec: Spec, rows: str) -> str:
    """The folder of this very training; `rows` names what it learns from."""
    settings = {key: value for key, value in asdict(run.config.train).items() if key not in _FREE_SETTINGS}
    state = [code_hash(), rows, asdict(spec.config), settings]
    key = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]
    return f"{checkpoints(run)}/{key}"


def rows_of_tables(run: Run, reads: Sequence[Table]) -> str:
    """Names what is learned where it is made from tables by the settings of the examples."""
    return json.dumps([origins(run.lake, reads, run.run_date), asdict(run.config.examples)], sort_keys=True)


def slots(run: Run) -> int:
    return run.spark.sparkContext.defaultParallelism


def failures(run: Run) -> int:
    """Of one task after which Spark gives a job up; a local session's master says it, such as local[2,8]."""
    context = run.spark.sparkContext
    master = str(context.master)
    if master.startswith("local"):
        found = re.fullmatch(r"local\[[^,]+,\s*(\d+)\]", master)
        return int(found[1]) if found else 1
    return int(context.getConf().get("spark.task.maxFailures", "4") or 4)


def versions_text(versions: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={version}" for name, version in sorted(versions.items()))


def figures_of(trained: Trained, config: TrainConfig, rows: int) -> Figures:
    seconds = sum(rows / epoch.rows_per_s for epoch in trained.curve)
    return {
        c.ROWS: rows,
        "epochs": len(trained.curve),
        "best_epoch": trained.best_epoch,
        "train_loss": trained.curve[-1].train_loss,
        **_known(trained.best.validation),
        "rows_per_s": round(len(trained.curve) * rows / seconds),
        "workers": config.workers,
        **({"profile_s": _rounded(trained.seconds)} if config.profile else {}),
    }


def curve_of(trained: Trained) -> list[dict[str, float]]:
    return [
        {
            "train/loss": epoch.train_loss,
            "train/rows_per_s": epoch.rows_per_s,
            **{name.replace("_", "/", 1): value for name, value in _known(epoch.validation).items()},
            **{f"system/leader_{name}": value for name, value in epoch.system.items()},
        }
        for epoch in trained.curve
    ]


def _known(validation: Mapping[str, float]) -> dict[str, float]:
    """Without rows to validate on a figure is nan, which is no JSON: Spark would read nothing of such a record."""
    return {name: value for name, value in validation.items() if not math.isnan(value)}


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {phase: round(value, 2) for phase, value in seconds.items()}
