"""What every registered name keeps: trained, saved, loaded as the score job loads it, and asked there for the same
scores, on planted tastes or walks.
"""

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from recsys import columns as c
from recsys.catalog import MODEL_INPUTS
from recsys.config import TrainConfig, load_config
from recsys.families import CLOSED_FORM, FACTORS, FEATURES, HISTORIES, SPARK_FACTORS, SPARK_FEATURES, TOWERS
from recsys.frames.local_rows import local_rows
from recsys.manifest import Inputs, Manifest, RowGroup, SplitFiles
from recsys.models import registry
from recsys.models.interactions import known_of
from recsys.models.registry import Spec, model_spec, names_of
from recsys.spark_training.als import fit_als
from recsys.spark_training.features import fitted
from recsys.training import history_ranker, recommenders
from recsys.training.export import load_scorer, network_with, save_model, state_bytes
from recsys.training.run import TrainingTask, train_with
from recsys.training.towers import TowerTask, load_item_tower, load_user_tower, train_on_towers
from recsys.training.workers import OneWorker
from tests.example_sets import inputs_of, write_split
from tests.models import test_contract, test_interaction_contract, test_sequence_contract
from tests.models.test_contract import ITEMS, USERS, given, likes, tiny
from tests.models.test_sequence_contract import SOME
from tests.planted_tastes import taken_matrix, taken_pairs

Scores = NDArray[Any]

PAIRS = [(user, item) for user in range(USERS) for item in range(ITEMS)]
REGRESSION = {"iterations": 5, "penalty": 0.01, "l1_share": 0.0}
FITTED_BY_SPARK: dict[str, dict[str, Any]] = {
    "gradient_boosted_trees": {"trees": 2, "depth": 2, "step": 0.3, "row_share": 1.0, "bins": 8, "leaf_rows": 1},
    "linear_svm": {"iterations": 5, "penalty": 0.01},
    "linear_regression": REGRESSION,
    "logistic_regression": REGRESSION,
    "als": {"dim": 2, "iterations": 1, "l2": 0.1, "alpha": 10.0, "blocks": 1},
}


@dataclass(frozen=True, kw_only=True)
class Made:
    """Scores (B, I) of the model as the training left it, and of what was loaded from its folder."""

    before: Scores
    after: Scores


def config_of(seed: int) -> TrainConfig:
    return replace(load_config([]).train, epochs=1, batch_size=128, learning_rate=0.02, device="cpu", seed=seed)


def columns_of_pairs(name: str) -> dict[str, NDArray[Any]]:
    columns = given(*(list(side) for side in zip(*PAIRS, strict=True)))
    # What Spark fits reads numbers alone.
    columns[c.USER_PURCHASES_7D] = np.array([1.0 + 3 * likes(*pair) for pair in PAIRS], dtype=np.float32)
    needed = [i.name for i in MODEL_INPUTS]
    return columns if registry.MODELS[name].reads_neighbours else {key: columns[key] for key in needed}


def task_of(folder: Path, spec: Spec, seed: int) -> TrainingTask:
    label = np.array([likes(*pair) for pair in PAIRS])
    split = write_split(folder, c.TRAIN, columns_of_pairs(spec.name), label, [len(PAIRS)])
    manifest = Manifest(
        run_date="2017-12-18", inputs=test_contract.inputs(spec.name), train=split,
        validation=SplitFiles(row_groups=(), positives=0), versions={},
    )  # fmt: skip
    return TrainingTask(spec=spec, config=config_of(seed), folder=str(folder), manifest=manifest)


def network_of(task: TrainingTask, state: bytes) -> Any:
    network = task.spec.build(task.manifest.inputs).eval()
    network.load_state_dict(torch.load(io.BytesIO(state), weights_only=True))
    return network


def logits(network: torch.nn.Module, name: str, inputs: Inputs) -> torch.Tensor:
    columns = columns_of_pairs(name)
    ids, numbers = (np.column_stack([columns[column] for column in of_kind]) for of_kind in inputs.columns)
    with torch.no_grad():
        logit_P: torch.Tensor = network(torch.from_numpy(ids).long(), torch.from_numpy(numbers).float())
    return logit_P.double().reshape(USERS, ITEMS)


def of_features(name: str, folder: Path, seed: int, _: Any) -> Made:
    task = task_of(folder, tiny(name), seed)
    state = train_with(task, OneWorker()).state
    return saved_and_asked(folder / "model", task.spec, task.manifest.inputs, network_of(task, state))


def saved_and_asked(folder: Path, spec: Spec, inputs: Inputs, network: torch.nn.Module) -> Made:
    save_model(folder, spec, inputs, state_bytes(network))
    after = load_scorer(folder)(columns_of_pairs(spec.name)).reshape(USERS, ITEMS)
    return Made(before=torch.sigmoid(logits(network, spec.name, inputs)).numpy(), after=after)


def of_towers(name: str, folder: Path, seed: int, _: Any) -> Made:
    task = task_of(folder, tiny(name), seed)
    words_IW = np.arange(2 * ITEMS, dtype=np.int32).reshape(ITEMS, 2) % 4
    table = {c.ITEM_IDX: np.arange(ITEMS, dtype=np.int32), c.ITEM_WORDS: list(words_IW), c.ROWS: np.full(ITEMS, USERS)}
    pq.write_table(pa.table(table), folder / "items.parquet")
    items = (RowGroup(file="items.parquet", rows=ITEMS),)
    state = train_on_towers(TowerTask(rows=task, items_folder=str(folder), items=items), OneWorker()).state
    network, inputs = network_of(task, state), task.manifest.inputs
    network.take_words(torch.from_numpy(words_IW))
    save_model(folder / "model", task.spec, inputs, state)
    columns = columns_of_pairs(name)
    columns[c.ITEM_WORDS] = words_IW[columns[c.ITEM_IDX]]
    product_P = (load_user_tower(folder / "model")(columns) * load_item_tower(folder / "model")(columns)).sum(axis=1)
    before = logits(network, name, inputs).numpy() * network.temperature
    return Made(before=before, after=product_P.reshape(USERS, ITEMS))


def of_pairs(name: str, folder: Path, seed: int, _: Any) -> Made:
    trained = test_interaction_contract.trained(folder, name, epochs=1, seed=seed)
    assert trained.scores is not None
    users = np.arange(test_interaction_contract.USERS)
    recommenders.save_recommender(folder / "model", name, trained.scores, trained.known, trained.state)
    return Made(before=trained.scores.scores(users), after=of_all(recommenders.load_ranker(folder / "model"), users))


def of_histories(name: str, folder: Path, seed: int, _: Any) -> Made:
    spec, items = test_sequence_contract.spec_of(name, dropout=0.3, negatives=4), test_sequence_contract.ITEMS
    state = test_sequence_contract.trained(folder, spec, epochs=1, seed=seed).state
    network = spec.build(items).eval()
    network.load_state_dict(torch.load(io.BytesIO(state), weights_only=True))
    history_ranker.save_history_model(folder / "model", spec, state, np.ones(items, dtype=np.bool_))
    with torch.no_grad():
        before = network.scores(SOME).numpy()
    return Made(before=before, after=of_all(history_ranker.load_ranker(folder / "model"), SOME.numpy()))


def of_all(ranker: Any, asked: NDArray[Any]) -> Scores:
    """From whole lists back to the items' order."""
    items = len(ranker.known_I if hasattr(ranker, "known_I") else ranker.known.item_I)
    nobody = np.empty(0, dtype=np.int64)
    item_BI, score_BI = ranker.among(np.ones(items, dtype=np.bool_))(asked, (nobody, nobody), items)
    scores = np.full((len(asked), items), np.nan)
    np.put_along_axis(scores, item_BI, score_BI, axis=1)
    return scores


def of_spark_features(name: str, folder: Path, seed: int, spark: Any) -> Made:
    spec, inputs = model_spec(name, FITTED_BY_SPARK[name]), inputs_of(USERS, ITEMS, 1)
    label = [float(likes(*pair)) for pair in PAIRS]
    rows = pa.table({**columns_of_pairs(name), c.LABEL: label, c.EXAMPLE_KEY: np.arange(len(PAIRS))})
    folder.mkdir()
    pq.write_table(rows, folder / "rows.parquet")
    frame = spark.read.parquet(str(folder / "rows.parquet"))
    arrays = fitted(name, frame, inputs, partitions=1, seed=seed, **asdict(spec.config))
    return saved_and_asked(folder / "model", spec, inputs, network_with(spec, inputs, arrays))


def of_spark_factors(name: str, folder: Path, seed: int, spark: Any) -> Made:
    pairs = [tuple(map(int, pair)) for pair in zip(*taken_pairs(), strict=True)]
    frame = local_rows(spark, pairs, f"{c.USER_IDX} int, {c.ITEM_IDX} int")
    spec = model_spec(name, FITTED_BY_SPARK[name])
    factors = fit_als(frame, seed=seed, **asdict(spec.config))
    sides = ((factors.users, c.USER_IDX), (factors.items, c.ITEM_IDX))
    vectors = (np.array([row[c.VECTOR] for row in side.orderBy(key).collect()], np.float32) for side, key in sides)
    scores = spec.build(tuple(vectors))
    recommenders.save_recommender(folder / "model", name, scores, known_of(taken_matrix()))
    users = np.arange(test_interaction_contract.USERS)
    return Made(before=scores.scores(users), after=of_all(recommenders.load_ranker(folder / "model"), users))


MAKERS: dict[str, Callable[[str, Path, int, Any], Made]] = {
    FEATURES: of_features,
    TOWERS: of_towers,
    CLOSED_FORM: of_pairs,
    FACTORS: of_pairs,
    HISTORIES: of_histories,
    SPARK_FEATURES: of_spark_features,
    SPARK_FACTORS: of_spark_factors,
}
BY_SPARK = (SPARK_FEATURES, SPARK_FACTORS)
# A second seed gives the same.
WITHOUT_CHANCE = (*names_of(CLOSED_FORM), *names_of(SPARK_FEATURES))
EVERY_NAME = [
    pytest.param(n, marks=[pytest.mark.long] if registry.MODELS[n].family in BY_SPARK else []) for n in names_of()
]


@pytest.mark.parametrize("name", EVERY_NAME)
def test_trained_saved_and_loaded_it_scores_alike_and_a_second_time_too(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    family = registry.MODELS[name].family
    spark = request.getfixturevalue("spark") if family in BY_SPARK else None
    first, again, other = (MAKERS[family](name, tmp_path / str(run), seed, spark) for run, seed in enumerate((1, 1, 2)))
    assert first.after.shape == first.before.shape
    assert np.isfinite(first.after).all()
    np.testing.assert_allclose(first.after, first.before, rtol=1e-4, atol=1e-6)
    # All planted items have as many takers.
    assert (len(np.unique(first.after.round(6))) > 1) == (name != "popular"), "it tells items apart"
    assert np.array_equal(again.after, first.after)
    assert np.array_equal(other.after, first.after) == (name in WITHOUT_CHANCE)
