"""Networks of features in the train job: they learn from the newest example files."""

from jobs._learning import Finished, Learning, checkpoints_of, curve_of, figures_of, slots, versions_text
from recsys import tables
from recsys.lake.example_files import newest_example_files
from recsys.models.registry import Spec
from recsys.stages import Run
from recsys.training.export import save_model
from recsys.training.run import TrainingTask, train


def inputs_of(run: Run) -> tuple[str, ...]:
    examples = newest_example_files(run.lake, run.day)
    return (examples.folder, examples.manifest.hash)


def _finish(run: Run, spec: Spec) -> Finished:
    examples, config = newest_example_files(run.lake, run.day), run.config.train
    manifest = examples.manifest
    task = TrainingTask(
        spec=spec,
        config=config,
        folder=examples.folder,
        manifest=manifest,
        checkpoints=checkpoints_of(run, spec, manifest.hash),
    )
    trained = train(task, slots=slots(run))
    return Finished(
        figures={
            **figures_of(trained, config, manifest.train.rows),
            "delta_versions": versions_text(manifest.versions),
        },
        manifest=manifest.hash,
        curve=curve_of(trained),
        save=lambda folder: save_model(folder, spec, manifest.inputs, trained.state),
    )


LEARNING = Learning(reads=(tables.EXAMPLES,), inputs=inputs_of, finish=_finish)
