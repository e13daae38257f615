"""Two towers from example files to lists: an item that nobody took yet is recommended by its category and its name, or
by its text vector."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import functions as F

from jobs import evaluate, score, train
from recsys import columns as c
from recsys import tables, tracking
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.lake.example_files import write_example_files
from recsys.lake.files import Files
from recsys.lake.store import Lake
from recsys.models.text_encoder import DIMENSIONS
from recsys.stages import Run, run_stage
from recsys.training import run as training_run
from recsys.training import towers
from recsys.training.workers import OneWorker
from tests.example_sets import columns_of
from tests.feature_rows import write_rows
from tests.small_lake import DAYS, ITEMS, RUN_DATE, USERS
from tests.trained_lake import COLD, copied, tracking_uri

# Three jobs, with a training that takes its time.
pytestmark = pytest.mark.long

SMALL = (
    "train.model=two_tower", "train.epochs=10", "train.batch_size=16", "train.learning_rate=0.02", "train.device=cpu",
    "examples.row_groups=2", "evaluation.bootstrap_samples=100", "score.top_n=9",
)  # fmt: skip
CATEGORIES = ("dairy", "bakery")  # of the items that even users like, and of the others
NEW_ITEMS = {"new0": "dairy", "new1": "bakery"}


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = copied(trained_lake, tmp_path_factory.mktemp("towers") / "lake")
    write_rows(lake, tables.EXAMPLES, _examples())
    write_example_files(lake, RUN_DATE, 0, row_groups=2, versions={"clean.events": 0})
    categories = {item: CATEGORIES[number % 2] for number, item in enumerate(ITEMS)} | NEW_ITEMS
    items = [
        {c.ITEM_ID: item, c.CATEGORY: category, c.NAME: category, c.IS_ELIGIBLE: True}
        for item, category in categories.items()
    ]
    write_rows(lake, tables.ITEMS, items)
    write_rows(lake, tables.ITEM_IDS, [{c.ITEM_ID: item, c.ITEM_IDX: idx} for idx, item in enumerate(categories)])
    return lake


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(_: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        return [towers.train_on_towers(*arguments, OneWorker())]

    monkeypatch.setattr(training_run, "run_on_spark", in_this_process)


def _examples() -> list[dict[str, Any]]:
    """Even users took the even items, which are dairy; a fifth of the rows are of the validation."""
    users, items = (part.ravel().tolist() for part in np.meshgrid(range(len(USERS)), range(len(ITEMS)), indexing="ij"))
    given = {c.USER_IDX: users, c.ITEM_IDX: items, c.CATEGORY_IDX: [item % 2 for item in items]}
    columns = {name: column.tolist() for name, column in columns_of(len(users), given).items()}
    return [
        {
            c.RUN_DATE: RUN_DATE,
            c.SPLIT: c.VALIDATION if (user + item // 2) % 5 == 0 else c.TRAIN,
            c.AS_OF_DATE: DAYS.validation,
            c.USER_ID: USERS[user],
            c.ITEM_ID: ITEMS[item],
            c.LABEL: float(user % 2 == item % 2),
            c.EXAMPLE_KEY: number,
            **{name: column[number] for name, column in columns.items()},
        }
        for number, (user, item) in enumerate(zip(users, items, strict=True))
    ]


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], [f"tracking.uri={tracking_uri(lake)}", *SMALL, *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def test_two_towers_go_through_the_jobs_and_recommend_new_items(lake: Lake) -> None:
    run = run_of(lake)
    train.check(run)
    figures = run_stage(train.STAGE, run).figures
    assert (figures[c.MODEL_NAME], figures[c.FAMILY]) == ("recsys-two_tower", "towers")
    assert figures["validation_auc"] == 1.0
    measured = run_stage(evaluate.STAGE, run).figures
    assert (measured["candidates"], measured["candidate_recall"]) == ("all items", 1.0)
    published = run_stage(score.STAGE, run).figures
    assert (published["users"], published["pairs"]) == (len(USERS) + 1, len(USERS) * (len(ITEMS) + len(NEW_ITEMS)))
    lists = lake.read(tables.TOP_N).where(F.col(c.RUN_DATE) == F.lit(RUN_DATE)).collect()
    for user in USERS:
        named = [row[c.ITEM_ID] for row in lists if row[c.USER_ID] == user]
        assert sorted(named) == sorted([*ITEMS[int(user[1:]) % 2 :: 2], f"new{int(user[1:]) % 2}"]), user
    assert {row[c.SOURCE] for row in lists if row[c.USER_ID] == COLD} == {"popular"}
    assert not Files(lake.spark).exists(f"{lake.root}/vector_files")
    require_served_by_mlflow(lake, int(figures[c.MODEL_VERSION]))


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """As shipped, with text vectors on."""
    shutil.copytree(CONF_FOLDER, tmp_path / "conf")
    file = tmp_path / "conf" / "models" / "two_tower.yaml"
    settings = file.read_text()
    assert "text_vectors: false" in settings
    file.write_text(settings.replace("text_vectors: false", "text_vectors: true"))
    return tmp_path / "conf"


@pytest.fixture
def nameless_lake(lake: Lake, tmp_path: Path) -> Lake:
    """Items without names, and new ones without a category too."""
    nameless = copied(lake, tmp_path / "lake")
    items = [{c.ITEM_ID: item, c.IS_ELIGIBLE: True} for item in (*ITEMS, *NEW_ITEMS)]
    write_rows(nameless, tables.ITEMS, items)
    return nameless


def write_text_vectors(lake: Lake, *days: Any) -> None:
    """What even users like points along the first number, what the others like along the second."""
    taste = {item: number % 2 for items in (ITEMS, NEW_ITEMS) for number, item in enumerate(items)}
    rows = [
        {c.ITEM_ID: item, c.AS_OF_DATE: day, c.ITEM_VECTOR: np.eye(DIMENSIONS)[place].tolist()}
        for item, place in taste.items()
        for day in days
    ]
    write_rows(lake, tables.ITEM_VECTORS_FEATURES, rows)


def test_new_items_are_recommended_by_their_text_vectors(nameless_lake: Lake, conf: Path) -> None:
    lake = nameless_lake
    write_text_vectors(lake, DAYS.test, RUN_DATE)
    run = replace(run_of(lake), conf_folder=conf)
    train.check(run)
    trained = run_stage(train.STAGE, run).figures
    assert "features.item_vectors" in trained["delta_versions"]
    run_stage(evaluate.STAGE, run)
    run_stage(score.STAGE, run)
    lists = lake.read(tables.TOP_N).where(F.col(c.RUN_DATE) == F.lit(RUN_DATE)).collect()
    score_of = {(row[c.USER_ID], row[c.ITEM_ID]): row[c.SCORE] for row in lists}
    for user in USERS:
        liked, other = (f"new{(int(user[1:]) + place) % 2}" for place in (0, 1))
        assert score_of[user, liked] > score_of.get((user, other), -np.inf), user


def test_text_vectors_that_the_lake_lacks_are_refused_before_the_start(nameless_lake: Lake, conf: Path) -> None:
    run = replace(run_of(nameless_lake), conf_folder=conf)
    message = r"text_vectors is true, which needs features.item_vectors, and .* has none; .* is \[\]. Cure: `make setup"
    with pytest.raises(InputError, match=message):
        train.check(run)
    train.check(replace(run_of(nameless_lake, "features.grains=[item_vectors]"), conf_folder=conf))
    write_text_vectors(nameless_lake, RUN_DATE + timedelta(days=1))
    train.check(run)
    with pytest.raises(InputError, match=rf"has none of {RUN_DATE} or a day before; "):
        run_stage(train.STAGE, run)


def require_served_by_mlflow(lake: Lake, version: int) -> None:
    import pandas as pd

    registry = tracking.registry_of(run_of(lake).config.tracking, lake.root)
    rows = columns_of(2, {c.USER_IDX: [0, 0], c.ITEM_IDX: [0, 1], c.CATEGORY_IDX: [0, 1]})
    inputs = {name: values.astype(np.int64 if name.endswith("_idx") else np.float64) for name, values in rows.items()}
    inputs[c.ITEM_WORDS] = [[0] * 12] * 2  # type: ignore[assignment]  # a list a row
    scores = tracking.load_pyfunc(registry, "recsys-two_tower", version).predict(pd.DataFrame(inputs))
    assert scores[0] > scores[1], "an even user likes dairy"
