import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import build_examples, evaluate, score, train
from jobs._candidate_sources import more_sources
from jobs._models import factors_model, require_trained
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError
from recsys.lake.read_features import candidate_tables
from recsys.lake.store import Lake
from recsys.stages import Run
from recsys.tracking import registered_name
from tests.feature_rows import write_rows
from tests.small_lake import RUN_DATE


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, str(tmp_path))


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], overrides)
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def test_neighbours_that_the_lake_does_not_have_are_refused_before_anything_is_named(lake: Lake) -> None:
    run = run_of(lake, "candidates.neighbour_items=50", "features.grains=[item_item]")
    assert candidate_tables(lake, run.config.candidates) == ()
    with pytest.raises(
        InputError,
        match=r"features.item_item has no rows as of \['2017-12-18'\], which candidates.neighbour_items=50 reads. "
        r"Cure: run build_features with features.grains=\[item_item\] among the settings",
    ):
        more_sources(run, [RUN_DATE])


def test_a_model_of_candidates_without_a_training_or_that_ranks_candidates_itself_is_refused(lake: Lake) -> None:
    figures = json.dumps({c.MODEL_NAME: registered_name("mlp"), c.MODEL_VERSION: 1})
    write_rows(lake, tables.RUNS, [{c.STAGE: "train", c.RUN_DATE: RUN_DATE, c.RUN_ID: "one", c.FIGURES: figures}])
    untrained, of_features = (
        run_of(lake, "candidates.factor_items=5", f"candidates.factors_model={name}", "train.model=deepfm")
        for name in ("mf", "mlp")
    )
    with pytest.raises(
        InputError,
        match=r"candidates.factors_model names \['mf'\], of which no training is recorded in .* models with one: "
        r"\['mlp'\]. Cure: run the job train with train.model=mf .* out of candidates.factors_model",
    ):
        require_trained(untrained)
    message = (
        r"factors_model is mlp, a model of features, which ranks candidates itself; expected .*'mf', .*Cure: name one"
    )
    with pytest.raises(ConfigError, match=message):
        factors_model(of_features)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mlp", r"factors_model is mlp, a model of features, which ranks candidates itself; expected .*'mf', .*Cure: "),
        ("linear_svm", r"factors_model is linear_svm, a model of spark_features, which ranks candidates itself"),
        ("fm", r"factors_model is fm, no known model; expected one that ranks all items: \['als', .*Cure: name one of"),
    ],
)
def test_a_model_that_names_no_candidates_is_refused_before_any_stage_runs(lake: Lake, name: str, message: str) -> None:
    run = run_of(lake, "candidates.factor_items=5", f"candidates.factors_model={name}")
    for stage in (build_examples.STAGE, train.STAGE, evaluate.STAGE, score.STAGE):
        with pytest.raises(ConfigError, match=message):
            stage.check(run)


def test_a_pipeline_that_trains_the_model_of_its_candidates_needs_one_that_takes_them(lake: Lake) -> None:
    same = ("candidates.factor_items=5", "candidates.factors_model=mf", "train.model=mf")
    message = (
        r"factors_model and train.model are both mf, which ranks all items: nobody takes .*Expected .*Cure: train mf"
    )
    with pytest.raises(ConfigError, match=message):
        score.STAGE.check(run_of(lake, *same))
    train.STAGE.check(run_of(lake, *same))
    with pytest.raises(InputError, match=r"score.models names \['mlp'\], of which no training"):
        score.STAGE.check(run_of(lake, *same, "score.models=[mlp,mf]"))


def test_examples_go_without_the_lists_of_a_model_that_has_seen_their_labels(lake: Lake) -> None:
    run = run_of(lake, "candidates.factor_items=5", "candidates.factors_model=mf")
    assert more_sources(run, [RUN_DATE]).factors is None
