"""Baselines that Spark fits, through the same jobs as the networks."""

import pytest

from jobs import evaluate, score, train
from recsys import columns as c
from recsys.lake.store import Lake
from recsys.stages import run_stage
from tests.jobs import test_interactions, test_train
from tests.jobs.test_train import examples_lake as examples_lake
from tests.small_lake import USERS
from tests.trained_lake import copied, require_lists_by_taste

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("als") / "lake")


@pytest.mark.parametrize("name", ["logistic_regression", "linear_regression", "linear_svm", "gradient_boosted_trees"])
def test_a_baseline_of_features_is_registered_with_what_validation_says(examples_lake: Lake, name: str) -> None:
    figures = run_stage(train.STAGE, test_train.run_of(examples_lake, f"train.model={name}")).figures
    assert (figures[c.MODEL_NAME], figures[c.FAMILY]) == (f"recsys-{name}", "spark_features")
    assert figures[c.ROWS] == 240
    assert figures["validation_auc"] > 0.9, "the label is whether one input is above 3"
    assert "clean.events=0" in figures["delta_versions"]


def test_als_goes_through_train_evaluate_and_score(lake: Lake) -> None:
    settings = ("train.model=als",)
    figures = run_stage(train.STAGE, test_interactions.run_of(lake, "als", *settings)).figures
    assert (figures[c.MODEL_NAME], figures[c.FAMILY]) == ("recsys-als", "spark_factors")
    measured = run_stage(evaluate.STAGE, test_interactions.run_of(lake, "als", *settings)).figures
    assert measured["candidates"] == "all items"
    published = run_stage(score.STAGE, test_interactions.run_of(lake, "als", *settings)).figures
    assert published["users"] == len(USERS) + 1
    require_lists_by_taste(lake)
