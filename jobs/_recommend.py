"""What evaluate and score share: the trained model on the executors, scored pairs, the best of all items."""

import atexit
import functools
import importlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs._models import Model
from jobs._neighbours import beside_neighbours
from jobs._taken import ids_of, newest_histories
from jobs._text_vectors import with_text_vectors
from recsys import columns as c
from recsys import tables, tracking
from recsys.catalog import numeric_inputs
from recsys.evaluation.baselines import POPULAR
from recsys.examples.assemble import assemble, assemble_items, assemble_users
from recsys.families import (
    CLOSED_FORM,
    FACTORS,
    FEATURES,
    HISTORIES,
    SPARK_FACTORS,
    SPARK_FEATURES,
    TOWERS,
)
from recsys.features.item_words import item_words
from recsys.frames.feature_tables import FeatureTables
from recsys.lake.interaction_files import write_vector_files
from recsys.lake.read_features import FEATURE_TABLES, NEIGHBOUR_TABLES, candidate_tables, read_features
from recsys.lake.told import told_by
from recsys.scoring.all_items import ASKED, LEFT_OUT, Flags, best_of_all, item_flags, lists_of_all
from recsys.scoring.pairs import INPUT_NAMES, score_pairs
from recsys.scoring.rule_checks import left_out_lists
from recsys.scoring.vectors import with_vectors
from recsys.search_by import EXACT, EXACTLY, SearchBy
from recsys.stages import Run
from recsys.tables import Table
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


def reads_of(run: Run) -> tuple[Table, ...]:
    """With the neighbourhoods and text vectors, where the lake has some, and what candidates come from."""
    return (
        *READS,
        *(table for table in (*NEIGHBOUR_TABLES, tables.ITEM_VECTORS_FEATURES) if run.lake.exists(table)),
        *candidate_tables(run.lake, run.config.candidates),
    )


# What loads a model on the executors; the driver of scoring needs no torch.
_LOADERS = {
    FEATURES: ("recsys.training.export", "load_scorer"),
    CLOSED_FORM: ("recsys.training.recommenders", "load_ranker"),
    FACTORS: ("recsys.training.recommenders", "load_ranker"),
    HISTORIES: ("recsys.training.history_ranker", "load_ranker"),
    TOWERS: ("recsys.training.towers", "load_user_tower"),
    SPARK_FEATURES: ("recsys.training.export", "load_scorer"),
    SPARK_FACTORS: ("recsys.training.recommenders", "load_ranker"),
}


def with_inputs(run: Run, model: Model, pairs: DataFrame, features: FeatureTables, as_of: date) -> DataFrame:
    """Pairs of the day with every column that the model takes."""
    read = run.lake.read
    rows = assemble(pairs, features, read(tables.ITEMS), ids_of(run.lake), numeric_inputs(told_by(run.lake)))
    return beside_neighbours(run, rows, as_of_dates=[as_of], size=model.neighbours) if model.neighbours else rows


def scored(run: Run, model: Model, pairs_with_inputs: DataFrame) -> DataFrame:
    """Model inputs give way to `score`; other columns stay."""
    return score_pairs(pairs_with_inputs, loader(run, model), run.config.score.batch_rows)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """`users`: user_id and what the model knows a user by, `asked`; `load` loads the ranker on the executors, which
    looks for the best items as `by` says. `known`: user_id of those whom the model knows; None: the ranker says it."""

    users: DataFrame
    load: Callable[[], Any]
    by: SearchBy = EXACTLY
    known: DataFrame | None = None

    @property
    def load_searching(self) -> Callable[[], Any]:
        return self.load if self.by.method == EXACT else functools.partial(_load_searching, self.load, self.by)


def _load_searching(load: Callable[[], Any], by: SearchBy) -> Any:
    return replace(load(), by=by)


def asking(run: Run, model: Model, as_of: date) -> Asking:
    """Of a model that ranks all items. What it is asked with ends before the day."""
    settings = run.config.score
    by = SearchBy(method=settings.search, effort=settings.search_effort) if model.has_vectors else EXACTLY
    return replace(_asking(run, model, as_of), by=by)


def _asking(run: Run, model: Model, as_of: date) -> Asking:
    if model.family == TOWERS:
        return _by_vectors(run, model, as_of)
    if model.family == HISTORIES:
        histories = newest_histories(run, as_of, model.history_events, model.history)
        return Asking(users=histories.withColumnRenamed(c.SEQUENCE, ASKED), load=loader(run, model))
    users = run.lake.read(tables.USER_IDS).select(c.USER_ID, F.col(c.USER_IDX).alias(ASKED))
    return Asking(users=users, load=loader(run, model))


def _by_vectors(run: Run, model: Model, as_of: date) -> Asking:
    """Users with features of the day; items are all that have an index, those that nobody took too."""
    read, features = run.lake.read, read_features(run.lake, [as_of])
    ids = ids_of(run.lake)
    of_day, buckets, count = F.lit(as_of).alias(c.AS_OF_DATE), *model.item_words
    users = assemble_users(features.user.select(c.USER_ID, of_day), features, ids)
    items = assemble_items(read(tables.ITEM_IDS).select(c.ITEM_ID, of_day), features, read(tables.ITEMS), ids)
    said = item_words(read(tables.ITEMS), buckets=buckets, count=count)
    names = (*INPUT_NAMES, c.ITEM_WORDS)
    if model.reads_text_vectors:
        said, names = with_text_vectors(run, said, as_of), (*names, c.ITEM_VECTOR)
    # The vectors' rows are named by the index, which is an input too.
    named = items.join(said, on=c.ITEM_ID, how="inner").withColumn(c.IDX, F.col(c.ITEM_IDX))
    of_items = with_vectors(named, loader(run, model, "load_item_tower"), names)
    files = write_vector_files(run.lake, as_of, of_items.select(F.col(c.IDX).alias(c.ITEM_IDX), c.VECTOR))
    of_users = with_vectors(users, loader(run, model, "load_user_tower"), INPUT_NAMES)
    asked = of_users.select(c.USER_ID, F.col(c.VECTOR).alias(ASKED))
    return Asking(users=asked, load=functools.partial(_load_vectors, files), known=features.user.select(c.USER_ID))


def all_items_lists(run: Run, asked: Asking, n: int, owned: DataFrame | None = None) -> DataFrame:
    """rank, item_id and score of the best `n` of all eligible items, for those users whom the model knows.

    `owned`: pairs of user_id and item_id that must not stand in a list.
    """
    best = best_of_all(*_asked_of_all(run, asked, owned), n)
    return best.join(run.lake.read(tables.ITEM_IDS), on=c.ITEM_IDX, how="inner").drop(c.ITEM_IDX)


def longer_lists(run: Run, asked: Asking, n: int, owned: DataFrame | None) -> DataFrame:
    """The same, as a row a user with lists of item_idx and score."""
    return lists_of_all(*_asked_of_all(run, asked, owned), n)


def _asked_of_all(
    run: Run, asked: Asking, owned: DataFrame | None
) -> tuple[DataFrame, Callable[[], Any], Callable[[], Flags]]:
    read = run.lake.read
    if owned is None:
        users = asked.users.withColumn(LEFT_OUT, F.array().cast("array<int>"))
    else:
        lists = left_out_lists(owned.select(c.USER_ID, c.ITEM_ID), read(tables.ITEM_IDS))
        users = asked.users.join(lists, on=c.USER_ID, how="left")
    eligible = read(tables.ITEMS).where(c.IS_ELIGIBLE).join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    flags = _ship_flags(run.spark, item_flags(eligible).tobytes())
    return users, asked.load_searching, functools.partial(_load_flags, flags)


def with_popular(ranked: DataFrame, baselines: DataFrame, key: Sequence[str]) -> DataFrame:
    """The columns that both have; where `ranked` has no list of a key, the popular one among the baselines' lists."""
    popular = baselines.where(F.col(c.RECOMMENDER) == POPULAR).join(ranked, on=list(key), how="left_anti")
    shared = [name for name in ranked.columns if name in popular.columns]
    return ranked.select(*shared).unionByName(popular.select(*shared))


def loader(run: Run, model: Model, function: str = "") -> Callable[[], Any]:
    """Ships the model to the executors; the result loads its scorer, ranker or tower there, once a process."""
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    module, usual = _LOADERS[model.family]
    return functools.partial(_load_shipped, _ship(run.spark, registry, model), module, function or usual)


@functools.cache
def _ship(spark: SparkSession, registry: Registry, model: Model) -> str:
    """The name of the shipped folder, another for each call: Spark refuses a second folder of one name.

    Once a Spark application. The folder stays until the driver ends: executors that start late fetch it late.
    """
    folder = _folder(f"{model.name}-{model.version}-")
    shipped = folder / folder.name
    tracking.download_model(registry, model.name, model.version, folder / "download").rename(shipped)
    spark.sparkContext.addFile(str(shipped), recursive=True)
    return shipped.name


@functools.cache
def _ship_flags(spark: SparkSession, flags: bytes) -> str:
    """The name of the shipped file: a byte an item, once a Spark application for the same items."""
    folder = _folder("flags-")
    file = folder / f"{folder.name}.npy"
    np.save(file, np.frombuffer(flags, dtype=np.bool_), allow_pickle=False)
    spark.sparkContext.addFile(str(file))
    return file.name


def _folder(prefix: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _load_flags(name: str) -> Flags:
    """Mapped: runs on executors only."""
    flags: Flags = np.load(SparkFiles.get(name), mmap_mode="r", allow_pickle=False)
    return flags


@functools.cache
def _load_shipped(name: str, module: str, function: str) -> Any:
    return getattr(importlib.import_module(module), function)(SparkFiles.get(name))


@functools.cache
def _load_vectors(files: tuple[str, ...]) -> Any:
    """Runs on executors only, as what it imports."""
    from recsys.training.vector_ranker import load_ranker

    return load_ranker(files, Path(SparkFiles.getRootDirectory()))
