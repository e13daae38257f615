"""What evaluate and score share: the trained model on the executors, scored pairs, the last label window."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables, tracking
from recsys.config import CandidatesConfig
from recsys.errors import InputError
from recsys.evaluation.lists import truth_of
from recsys.examples.assemble import Ids, assemble
from recsys.examples.labels import purchases_in_windows
from recsys.examples.split import cutoffs_of
from recsys.frames.feature_tables import FeatureTables
from recsys.lake.read_features import FEATURE_TABLES, read_features
from recsys.lake.runs import newest_figures
from recsys.scoring.candidates import candidates
from recsys.scoring.pairs import Scorer, score_pairs
from recsys.stages import Run
from recsys.tracking import Registry

READS = (
    tables.EVENTS,
    tables.ITEMS,
    tables.USERS,
    tables.USER_IDS,
    tables.ITEM_IDS,
    tables.CATEGORY_IDS,
    *FEATURE_TABLES,
)


@dataclass(frozen=True, kw_only=True)
class LabelWindow:
    """Features of one cut-off, what was bought in the days after it, and candidates for those who bought."""

    features: FeatureTables
    truth: DataFrame
    candidates: DataFrame


@dataclass(frozen=True, kw_only=True)
class Model:
    """A version in the model registry."""

    name: str
    version: int


def newest_model(run: Run) -> Model:
    """That of the newest training for the run date or a day before. Raises InputError where there is none."""
    figures = newest_figures(run.lake, "train", run.day)
    if figures is None:
        raise InputError(
            f"no training is recorded in {run.lake.root} for {run.day} or a day before. Cure: run the jobs "
            "build_features, build_examples and train for this run date first, or jobs/run_pipeline.py"
        )
    return Model(name=figures[c.MODEL_NAME], version=int(figures[c.MODEL_VERSION]))


def model_inputs(run: Run) -> tuple[str, ...]:
    """What a stage that uses the model depends on outside its tables."""
    model = newest_model(run)
    return model.name, str(model.version)


def test_window(run: Run) -> LabelWindow:
    """The last label window before the run date: no model has seen it."""
    settings, lake = run.config.examples, run.lake
    day = cutoffs_of(run.day, settings).test
    features, items, users = read_features(lake, [day]), lake.read(tables.ITEMS), lake.read(tables.USERS)
    purchases = purchases_in_windows(lake.read(tables.EVENTS), [day], settings.label_days)
    truth = truth_of(purchases, items, users, features.user_item).persist()
    buyers = users.join(truth.select(c.USER_ID).distinct(), on=c.USER_ID, how="left_semi")
    return LabelWindow(
        features=features, truth=truth, candidates=candidates(features, items, buyers, run.config.candidates)
    )


def with_inputs(run: Run, pairs: DataFrame, features: FeatureTables) -> DataFrame:
    """Pairs with every column that the model takes."""
    read = run.lake.read
    ids = Ids(users=read(tables.USER_IDS), items=read(tables.ITEM_IDS), categories=read(tables.CATEGORY_IDS))
    return assemble(pairs, features, read(tables.ITEMS), ids)


def scored(run: Run, model: Model, pairs_with_inputs: DataFrame) -> DataFrame:
    """Model inputs give way to `score`; other columns stay."""
    return score_pairs(pairs_with_inputs, _scorer_loader(run, model), run.config.score.batch_rows)


def quotas_text(quotas: CandidatesConfig) -> str:
    return f"own {quotas.own_items}, category {quotas.category_items}, popular {quotas.popular_items}"


def _scorer_loader(run: Run, model: Model) -> Callable[[], Scorer]:
    """Ships the model to the executors; the result loads it there, once a process."""
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    return functools.partial(_load_shipped, _ship(run.spark, registry, model))


@functools.cache
def _ship(spark: SparkSession, registry: Registry, model: Model) -> str:
    """The name of the shipped folder, another for each call: Spark refuses a second folder of one name.

    Once a Spark application. The folder stays until the driver ends: executors that start late fetch it late.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{model.name}-{model.version}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shipped = folder / folder.name
    tracking.download_model(registry, model.name, model.version, folder / "download").rename(shipped)
    spark.sparkContext.addFile(str(shipped), recursive=True)
    return shipped.name


@functools.cache
def _load_shipped(name: str) -> Scorer:
    """Runs on executors only: the driver of scoring needs no torch."""
    from recsys.training.export import load_scorer

    return load_scorer(SparkFiles.get(name))
