"""Two towers in the train job: they learn from the newest example files and a table of items with their words
and, where the model reads them, text vectors."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._feature_rows import inputs_of
from jobs._learning import Finished, Learning, checkpoints_of, curve_of, examples_for, figures_of, slots, versions_text
from jobs._start import sizes_of, start_of
from jobs._text_vectors import require_text_vectors, with_text_vectors
from recsys import columns as c
from recsys import tables
from recsys.features.item_words import item_words
from recsys.lake.example_files import ExampleFiles
from recsys.lake.interaction_files import write_item_files
from recsys.models.registry import Spec
from recsys.models.two_tower import TwoTowerConfig
from recsys.stages import Run
from recsys.tracking import NETWORK_INPUTS
from recsys.training.export import save_model
from recsys.training.run import TrainingTask
from recsys.training.towers import TowerTask, train_towers_on_spark

READS = (tables.EXAMPLES, tables.ITEMS, tables.ITEM_IDS)
_OF_TEXT = (tables.ITEM_VECTORS_FEATURES,)


def _finish(run: Run, spec: Spec) -> Finished:
    (examples, manifest), config, settings = examples_for(run, spec), run.config.train, spec.config
    said = item_words(run.lake.read(tables.ITEMS), buckets=settings.word_buckets, count=settings.words)
    if settings.text_vectors:
        said = with_text_vectors(run, said, run.day)
    read = (tables.ITEMS, *(_OF_TEXT if settings.text_vectors else ()))
    folder, items = write_item_files(
        run.lake, run.day, _items(run, examples, said), row_groups=run.config.examples.row_groups
    )
    rows = TrainingTask(
        spec=spec,
        config=config,
        folder=examples.folder,
        manifest=manifest,
        checkpoints=checkpoints_of(run, spec, examples.manifest.hash),
        start=start_of(run, spec, sizes_of(manifest.inputs), manifest.inputs),
    )
    trained = train_towers_on_spark(TowerTask(rows=rows, items_folder=folder, items=items), slots=slots(run))
    return Finished(
        figures={
            **figures_of(trained, config, manifest.train.rows),
            c.ITEM_WORDS: [settings.word_buckets, settings.words],
            c.ITEM_VECTOR: settings.text_vectors,
            "delta_versions": versions_text({**manifest.versions, **run.lake.versions(read)}),
        },
        manifest=examples.manifest.hash,
        curve=curve_of(trained),
        save=lambda to: save_model(to, spec, manifest.inputs, trained.state),
        logged={"loader": "recsys.training.towers", "inputs": _inputs(settings)},
    )


def _inputs(settings: TwoTowerConfig) -> dict[str, str]:
    of_text = {c.ITEM_VECTOR: "array<float>"} if settings.text_vectors else {}
    return {**NETWORK_INPUTS, c.ITEM_WORDS: "array<long>", **of_text}


def _check(run: Run, spec: Spec) -> None:
    if spec.config.text_vectors:
        require_text_vectors(run)


def _items(run: Run, examples: ExampleFiles, said: DataFrame) -> DataFrame:
    """item_idx, `rows`, how many train rows are of the item, and what is said of it; of every item with an index."""
    files = [f"{examples.folder}/{group.file}" for group in examples.manifest.train.row_groups]
    counted = run.spark.read.parquet(*files).groupBy(c.ITEM_IDX).agg(F.count("*").alias(c.ROWS))
    known = run.lake.read(tables.ITEM_IDS).join(said, on=c.ITEM_ID, how="inner")
    return known.join(counted, on=c.ITEM_IDX, how="left").fillna(0, c.ROWS).drop(c.ITEM_ID)


LEARNING = Learning(reads=READS, reads_of_text=_OF_TEXT, check=_check, inputs=inputs_of, finish=_finish)
