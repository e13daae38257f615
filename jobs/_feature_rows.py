"""Networks of features in the train job: they learn from the newest example files."""

from jobs._learning import Finished, Learning, checkpoints_of, curve_of, examples_for, figures_of, slots, versions_text
from jobs._start import sizes_of, start_of
from recsys import columns as c
from recsys import tables
from recsys.lake.example_files import newest_example_files
from recsys.models.registry import Spec
from recsys.stages import Run
from recsys.tracking import NEIGHBOUR_LISTS, NETWORK_INPUTS
from recsys.training.export import save_model
from recsys.training.run import TrainingTask, train


def inputs_of(run: Run) -> tuple[str, ...]:
    examples = newest_example_files(run.lake, run.day)
    return (examples.folder, examples.manifest.hash)


def _finish(run: Run, spec: Spec) -> Finished:
    (examples, manifest), config = examples_for(run, spec), run.config.train
    task = TrainingTask(
        spec=spec,
        config=config,
        folder=examples.folder,
        manifest=manifest,
        checkpoints=checkpoints_of(run, spec, examples.manifest.hash),
        start=start_of(run, spec, sizes_of(manifest.inputs), manifest.inputs),
    )
    trained = train(task, slots=slots(run))
    return Finished(
        figures={
            **figures_of(trained, config, manifest.train.rows),
            **({c.NEIGHBOURS: manifest.inputs.neighbours} if spec.reads_neighbours else {}),
            "delta_versions": versions_text(manifest.versions),
        },
        manifest=examples.manifest.hash,
        curve=curve_of(trained),
        save=lambda folder: save_model(folder, spec, manifest.inputs, trained.state),
        logged={"inputs": {**NETWORK_INPUTS, **NEIGHBOUR_LISTS}} if spec.reads_neighbours else {},
    )


LEARNING = Learning(reads=(tables.EXAMPLES,), inputs=inputs_of, finish=_finish)
