"""Two towers in the train job: they learn from the newest example files and a table of items with their words."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._feature_rows import inputs_of
from jobs._learning import Finished, Learning, checkpoints_of, curve_of, examples_for, figures_of, slots, versions_text
from jobs._start import sizes_of, start_of
from recsys import columns as c
from recsys import tables
from recsys.features.item_words import item_words
from recsys.lake.example_files import ExampleFiles
from recsys.lake.interaction_files import write_item_files
from recsys.models.registry import Spec
from recsys.stages import Run
from recsys.tracking import NETWORK_INPUTS
from recsys.training.export import save_model
from recsys.training.run import TrainingTask
from recsys.training.towers import TowerTask, train_towers_on_spark

READS = (tables.EXAMPLES, tables.ITEMS, tables.ITEM_IDS)


def _finish(run: Run, spec: Spec) -> Finished:
    (examples, manifest), config, settings = examples_for(run, spec), run.config.train, spec.config
    words = item_words(run.lake.read(tables.ITEMS), buckets=settings.word_buckets, count=settings.words)
    folder, items = write_item_files(
        run.lake, run.day, _items(run, examples, words), row_groups=run.config.examples.row_groups
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
            "delta_versions": versions_text({**manifest.versions, **run.lake.versions((tables.ITEMS,))}),
        },
        manifest=examples.manifest.hash,
        curve=curve_of(trained),
        save=lambda to: save_model(to, spec, manifest.inputs, trained.state),
        logged={"loader": "recsys.training.towers", "inputs": {**NETWORK_INPUTS, c.ITEM_WORDS: "array<long>"}},
    )


def _items(run: Run, examples: ExampleFiles, words: DataFrame) -> DataFrame:
    """item_idx, item_words and `rows`, how many train rows are of the item; of every item with an index."""
    files = [f"{examples.folder}/{group.file}" for group in examples.manifest.train.row_groups]
    counted = run.spark.read.parquet(*files).groupBy(c.ITEM_IDX).agg(F.count("*").alias(c.ROWS))
    with_words = run.lake.read(tables.ITEM_IDS).join(words, on=c.ITEM_ID, how="inner")
    return (
        with_words.join(counted, on=c.ITEM_IDX, how="left").fillna(0, c.ROWS).select(c.ITEM_IDX, c.ITEM_WORDS, c.ROWS)
    )


LEARNING = Learning(reads=READS, inputs=inputs_of, finish=_finish)
