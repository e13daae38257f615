"""A model of sampled neighbourhoods from feature tables to lists, through the same jobs as all others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from jobs import build_examples, evaluate, score, train
from recsys import columns as c
from recsys import tables, tracking
from recsys.catalog import NEIGHBOUR_INPUTS
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.features.graph import item_neighbour_features, user_neighbour_features
from recsys.features.purchases import item_days
from recsys.lake.example_files import newest_example_files
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from recsys.training import run as training_run
from recsys.training.workers import OneWorker
from tests.example_sets import columns_of, neighbour_lists
from tests.small_lake import DAYS, RUN_DATE, USERS
from tests.trained_lake import copied, tracking_uri

# Four jobs.
pytestmark = pytest.mark.long

SIZE = 4
SMALL = (
    "train.model=graphsage", "train.epochs=40", "train.batch_size=64", "train.learning_rate=0.02", "train.device=cpu",
    "train.best_by=validation_auc", "train.workers=1", "examples.gap_days=0", "examples.row_groups=2",
    f"features.sampled_neighbours={SIZE}", "evaluation.bootstrap_samples=100", "score.top_n=5",
    "examples.ranked_users=500", "examples.train_windows=1",  # none bought before it
)  # fmt: skip
NONE = "features.grains=[]"


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """With the drawn neighbours of the small lake's own purchases, more of them than the models read."""
    lake = copied(trained_lake, tmp_path_factory.mktemp("neighbourhoods") / "lake")
    days, cutoffs = item_days(lake.read(tables.EVENTS)), (*DAYS.train, DAYS.validation, DAYS.test, RUN_DATE)
    lake.overwrite(tables.USER_NEIGHBOURS_FEATURES, user_neighbour_features(days, cutoffs, SIZE))
    lake.overwrite(tables.ITEM_NEIGHBOURS_FEATURES, item_neighbour_features(days, cutoffs, SIZE))
    return lake


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(_: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        return [training_run.train_with(*arguments, OneWorker())]

    monkeypatch.setattr(training_run, "run_on_spark", in_this_process)


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], [f"tracking.uri={tracking_uri(lake)}", *SMALL, *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def test_neighbourhoods_go_through_all_jobs(lake: Lake) -> None:
    run = run_of(lake)
    assert set(run.config.features.grains) == {"user_neighbours", "item_neighbours"}, "the model's file asks for them"
    run_stage(build_examples.STAGE, run)
    examples = newest_example_files(lake, RUN_DATE)
    assert examples.manifest.inputs.neighbours == SIZE
    assert "features.user_neighbours" in examples.manifest.versions
    train.check(run)
    figures = run_stage(train.STAGE, run).figures
    assert (figures[c.MODEL_NAME], figures[c.FAMILY], figures[c.NEIGHBOURS]) == ("recsys-graphsage", "features", SIZE)
    assert figures["validation_auc"] > 0.5
    assert 0 < figures["validation_ndcg"] <= 1, "candidates to rank have neighbours too"
    measured = run_stage(evaluate.STAGE, run).figures
    assert 0 < measured["ndcg_at_10_model"] <= 1
    published = run_stage(score.STAGE, run).figures
    assert published["users"] == len(USERS) + 1
    lists = lake.read(tables.TOP_N).where(F.col(c.RUN_DATE) == F.lit(RUN_DATE)).collect()
    assert {row[c.USER_ID] for row in lists} >= set(USERS)
    assert len({row[c.SCORE] for row in lists}) > len(USERS), "scores differ by user and item"
    require_served_by_mlflow(lake, int(figures[c.MODEL_VERSION]))
    another_model_leaves_them_out(lake)
    without_neighbourhoods_the_jobs_say_so(lake)


def require_served_by_mlflow(lake: Lake, version: int) -> None:
    registry = tracking.registry_of(run_of(lake).config.tracking, lake.root)
    rows = columns_of(2, {c.USER_IDX: [0, 0], c.ITEM_IDX: [0, 1], c.CATEGORY_IDX: [0, 1]})
    inputs: dict[str, Any] = {
        name: values.astype(np.int64 if name.endswith("_idx") else np.float64) for name, values in rows.items()
    }
    lists = neighbour_lists([[0, 2, 4, 6]] * 2, [[0, 2, 4, 6], [1, 3, 5, 7]])
    inputs |= {name: lists[name].tolist() for name in NEIGHBOUR_INPUTS}
    scores = tracking.load_pyfunc(registry, "recsys-graphsage", version).predict(pd.DataFrame(inputs))
    assert len(scores) == 2
    assert scores[0] != scores[1], "the item and its neighbours tell"


def another_model_leaves_them_out(lake: Lake) -> None:
    """The same example files serve every model of features."""
    figures = run_stage(train.STAGE, run_of(lake, "train.model=mlp", "train.epochs=1")).figures
    assert c.NEIGHBOURS not in figures


def without_neighbourhoods_the_jobs_say_so(lake: Lake) -> None:
    run_stage(train.STAGE, run_of(lake))  # the newest model reads neighbourhoods again
    drawn = lake.read(tables.USER_NEIGHBOURS_FEATURES)
    kept = drawn.where(F.col(c.AS_OF_DATE) != F.lit(RUN_DATE)).localCheckpoint()
    lake.overwrite(tables.USER_NEIGHBOURS_FEATURES, kept)
    message = (
        r"features.user_neighbours has no rows as of \['2017-12-18'\], which the model reads. Cure: run build_feat"
    )
    with pytest.raises(InputError, match=message):
        run_stage(score.STAGE, run_of(lake))
    run_stage(build_examples.STAGE, run_of(lake, NONE))
    assert newest_example_files(lake, RUN_DATE).manifest.inputs.neighbours == 0
    with pytest.raises(
        InputError, match=r"graphsage reads neighbourhoods, and the example files in .* hold none. Cure"
    ):
        run_stage(train.STAGE, run_of(lake, "train.seed=99"))
