"""Baselines of features in the train job: Spark fits them on the newest example files, a network takes them over."""

from dataclasses import asdict

from jobs._feature_rows import inputs_of
from jobs._learning import Finished, Learning, examples_for, versions_text
from recsys import columns as c
from recsys import tables
from recsys.models.registry import Spec
from recsys.spark_training.features import fitted
from recsys.stages import Run
from recsys.training.export import network_with, save_model, state_bytes
from recsys.training.row_validation import measured
from recsys.training.run import require_trainable


def _finish(run: Run, spec: Spec) -> Finished:
    examples, manifest = examples_for(run, spec)
    groups = manifest.train.row_groups
    require_trainable(manifest, examples.folder)
    rows = run.spark.read.parquet(*(f"{examples.folder}/{group.file}" for group in groups))
    arrays = fitted(
        spec.name, rows, manifest.inputs, partitions=len(groups), seed=run.config.train.seed, **asdict(spec.config)
    )
    network = network_with(spec, manifest.inputs, arrays)
    return Finished(
        figures={
            c.ROWS: manifest.train.rows,
            "epochs": 0,
            **measured(network, examples.folder, manifest),
            "delta_versions": versions_text(manifest.versions),
        },
        manifest=examples.manifest.hash,
        curve=[],
        save=lambda folder: save_model(folder, spec, manifest.inputs, state_bytes(network)),
    )


LEARNING = Learning(reads=(tables.EXAMPLES,), inputs=inputs_of, finish=_finish)
