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
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables, tracking
from recsys.catalog import numeric_inputs
from recsys.config import CandidatesConfig
from recsys.errors import InputError
from recsys.evaluation.lists import truth_of
from recsys.evaluation.ranking import candidate_recall
from recsys.examples.assemble import Ids, assemble
from recsys.examples.labels import purchases_in_windows
from recsys.examples.split import cutoffs_of
from recsys.frames.feature_tables import FeatureTables
from recsys.lake.event_types import event_types_of
from recsys.lake.read_features import FEATURE_TABLES, read_features
from recsys.lake.runs import newest_figures
from recsys.scoring.all_items import LEFT_OUT, Ranker, best_of_all, item_flags, keep_known
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
    """A version in the model registry; one of interactions ranks all items, a network of features its candidates."""

    name: str
    version: int
    ranks: str = c.CANDIDATES

    @property
    def ranks_all_items(self) -> bool:
        return self.ranks == c.ALL_ITEMS


def newest_model(run: Run) -> Model:
    """That of the newest training for the run date or a day before. Raises InputError where there is none."""
    figures = newest_figures(run.lake, "train", run.day)
    if figures is None:
        raise InputError(
            f"no training is recorded in {run.lake.root} for {run.day} or a day before. Cure: run the jobs "
            "build_features, build_examples and train for this run date first, or jobs/run_pipeline.py"
        )
    ranks = figures.get(c.RANKS, c.CANDIDATES)
    return Model(name=figures[c.MODEL_NAME], version=int(figures[c.MODEL_VERSION]), ranks=ranks)


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
    return assemble(pairs, features, read(tables.ITEMS), ids, numeric_inputs(event_types_of(run.lake)))


def scored(run: Run, model: Model, pairs_with_inputs: DataFrame) -> DataFrame:
    """Model inputs give way to `score`; other columns stay."""
    return score_pairs(pairs_with_inputs, _scorer_loader(run, model), run.config.score.batch_rows)


def all_items_lists(run: Run, model: Model, users: DataFrame, n: int, owned: DataFrame | None = None) -> DataFrame:
    """rank, item_id and score of the best `n` of all eligible items, for those of `users` whom the model knows.

    `owned`: pairs of user_id and item_id that must not stand in a list.
    """
    read = run.lake.read
    indexed = users.select(c.USER_ID).join(read(tables.USER_IDS), on=c.USER_ID, how="left")
    if owned is None:
        asked = indexed.withColumn(LEFT_OUT, F.array().cast("array<int>"))
    else:
        own = owned.select(c.USER_ID, c.ITEM_ID).join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
        lists = own.groupBy(c.USER_ID).agg(F.collect_set(c.ITEM_IDX).alias(LEFT_OUT))
        asked = indexed.join(lists, on=c.USER_ID, how="left")
    eligible = read(tables.ITEMS).where(c.IS_ELIGIBLE).join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    best = best_of_all(asked, _ranker_loader(run, model), item_flags(eligible), n)
    return best.join(read(tables.ITEM_IDS), on=c.ITEM_IDX, how="inner").drop(c.ITEM_IDX)


def recall_of_candidates(run: Run, model: Model, window: LabelWindow) -> DataFrame:
    """Per list_kind, the share of the truth that the model can name at all."""
    if not model.ranks_all_items:
        return candidate_recall(window.candidates, window.truth)
    ids = (run.lake.read(tables.USER_IDS), run.lake.read(tables.ITEM_IDS))
    pairs = window.truth.select(c.USER_ID, c.ITEM_ID).distinct()
    indexed = pairs.join(ids[0], on=c.USER_ID, how="inner").join(ids[1], on=c.ITEM_ID, how="inner")
    return candidate_recall(keep_known(indexed, _ranker_loader(run, model)), window.truth)


def candidates_text(model: Model, quotas: CandidatesConfig) -> str:
    return "all items" if model.ranks_all_items else quotas_text(quotas)


def quotas_text(quotas: CandidatesConfig) -> str:
    return f"own {quotas.own_items}, category {quotas.category_items}, popular {quotas.popular_items}"


def _scorer_loader(run: Run, model: Model) -> Callable[[], Scorer]:
    """Ships the model to the executors; the result loads it there, once a process."""
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    return functools.partial(_load_shipped, _ship(run.spark, registry, model))


def _ranker_loader(run: Run, model: Model) -> Callable[[], Ranker]:
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    return functools.partial(_load_shipped_ranker, _ship(run.spark, registry, model))


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


@functools.cache
def _load_shipped_ranker(name: str) -> Ranker:
    """As _load_shipped."""
    from recsys.training.recommenders import load_ranker

    return load_ranker(SparkFiles.get(name))
