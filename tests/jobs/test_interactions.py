"""A model of interactions from the lake to its lists: trained, measured and published by the same jobs."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import evaluate, score, train
from jobs._taken import pair_days
from recsys import columns as c
from recsys import tables, tracking
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError
from recsys.examples.split import cutoffs_of
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, run_stage
from recsys.training import interactions
from recsys.training import run as training_run
from recsys.training.workers import OneWorker
from tests.small_lake import DAYS, RUN_DATE, USERS
from tests.trained_lake import copied, require_lists_by_taste, tracking_uri

SMALL = (
    "train.epochs=20", "train.batch_size=16", "train.learning_rate=0.05", "train.device=cpu", "examples.row_groups=2",
    "evaluation.bootstrap_samples=100", "score.top_n=6",
)  # fmt: skip


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Without examples.pairs: who took what is all that these models learn from."""
    return copied(trained_lake, tmp_path_factory.mktemp("interactions") / "lake")


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(_: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        return [interactions.train_on_pairs(*arguments, OneWorker())]

    monkeypatch.setattr(training_run, "run_on_spark", in_this_process)


def run_of(lake: Lake, model: str, *overrides: str) -> Run:
    config = load_config([], [f"train.model={model}", f"tracking.uri={tracking_uri(lake)}", *SMALL, *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def trained(lake: Lake, model: str) -> Figures:
    return run_stage(train.STAGE, run_of(lake, model)).figures


@pytest.mark.long
@pytest.mark.parametrize("model", ["mf", "gcn"])
def test_a_model_of_interactions_goes_through_train_evaluate_and_score(lake: Lake, model: str) -> None:
    figures = trained(lake, model)
    assert (figures[c.MODEL_NAME], figures[c.FAMILY], figures["epochs"]) == (f"recsys-{model}", "factors", 20)
    assert figures["validation_recall"] == 1.0
    assert ("ids.categories=" in figures["delta_versions"]) == (model == "gcn"), "what nodes are known by is named"
    measured = run_stage(evaluate.STAGE, run_of(lake, model)).figures
    assert measured["candidates"] == "all items"
    published = run_stage(score.STAGE, run_of(lake, model)).figures
    assert published["users"] == len(USERS) + 1
    assert published["candidate_recall"] == measured["candidate_recall"]
    assert published["search_recall"] is None, "the search was exact"
    require_lists_by_taste(lake)
    by_index = run_stage(score.STAGE, run_of(lake, model, "score.search=hnsw")).figures
    assert by_index["search_recall"] == 1.0, "so few items are all found"
    require_lists_by_taste(lake)


def test_a_closed_form_is_registered_with_what_it_was_made_from(lake: Lake) -> None:
    figures = trained(lake, "item_knn")
    assert (figures["epochs"], figures["workers"]) == (0, 1)
    assert "clean.events=" in figures["delta_versions"]
    model = tracking.load_pyfunc(registry_of(lake), "recsys-item_knn", int(figures[c.MODEL_VERSION]))
    scores = model.predict(pd.DataFrame({c.USER_IDX: [0, 0, 99], c.ITEM_IDX: [0, 1, 0]}))
    assert scores[0] > scores[1]
    assert scores[2] != scores[2], "nobody knows user 99"


def test_pairs_are_weighed_by_the_days_of_their_purchases(spark: SparkSession) -> None:
    day = date(2017, 11, 20)
    purchases = [
        (0, 7, date(2017, 11, 19)),
        (0, 7, date(2017, 11, 19)),  # twice on one day
        (0, 7, date(2017, 3, 1)),
        (0, 8, date(2016, 11, 20)),  # the first day that counts
        (1, 7, date(2017, 11, 18)),
    ]
    rows = spark.createDataFrame(purchases, f"{c.USER_IDX} int, {c.ITEM_IDX} int, {c.EVENT_DATE} date")
    names = (c.USER_IDX, c.ITEM_IDX, c.PURCHASE_DAYS, c.NEWEST_DAY)
    found = {tuple(row[name] for name in names) for row in pair_days(rows, day).collect()}
    assert found == {(0, 7, 2, 365), (0, 8, 1, 1), (1, 7, 1, 364)}


def test_own_items_come_by_the_day_of_their_purchase(lake: Lake) -> None:
    model = "recsys-recent", int(trained(lake, "recent")[c.MODEL_VERSION])
    scores = tracking.load_pyfunc(registry_of(lake), *model).predict(
        pd.DataFrame({c.USER_IDX: [0] * 4, c.ITEM_IDX: [0, 8, 6, 1]})
    )
    # In the first window user 0 bought 0 on its first day and 8 on its ninth, in the second 6 on its seventh; others
    # bought 1.
    cut_off = cutoffs_of(RUN_DATE, run_of(lake, "recent").config.examples).validation
    bought = (DAYS.train[0], DAYS.train[0] + timedelta(days=8), DAYS.train[1] + timedelta(days=6))
    assert [int(score) for score in scores] == [*(366 - (cut_off - day).days for day in bought), 0]


def registry_of(lake: Lake) -> tracking.Registry:
    return tracking.registry_of(run_of(lake, "mf").config.tracking, lake.root)


def test_the_files_of_pairs_are_gone_once_the_model_is_registered(lake: Lake) -> None:
    trained(lake, "popular")
    assert not (Path(lake.root) / "interaction_files" / RUN_DATE.isoformat()).exists()


def test_the_models_own_train_settings_lie_under_those_that_are_given() -> None:
    own, given = load_config([], ["train.model=mf"]), load_config([], ["train.model=mf", "train.decay=none"])
    assert (own.train.decay, given.train.decay) == ("linear", "none")
    assert load_config([]).train.decay == "none"


def test_an_unknown_model_lists_all_kinds(lake: Lake) -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'fm'; known models: \['als', 'bsarec', .*'mf', 'mlp'"):
        train.check(run_of(lake, "fm"))


def test_a_lake_without_purchases_before_the_validation_is_refused(lake: Lake) -> None:
    version = lake.version(tables.EVENTS)
    assert version is not None
    lake.overwrite(tables.EVENTS, lake.read(tables.EVENTS).where(F.lit(False)).localCheckpoint())
    with pytest.raises(InputError, match=r"no user bought anything in the 365 days before the validation window of"):
        trained(lake, "popular")
    lake.restore(tables.EVENTS, version)
