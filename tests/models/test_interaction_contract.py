"""What every model of interactions keeps, on planted tastes: even users like even items, odd users odd ones."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError
from recsys.families import CLOSED_FORM, FACTORS
from recsys.manifest import RowGroup
from recsys.models.interactions import Recommender
from recsys.models.ranking_losses import LOSSES
from recsys.models.registry import model_settings, model_spec, names_of
from recsys.training.interactions import PairTask, PairTrained, train_on_pairs
from recsys.training.pair_files import write_pair_files
from recsys.training.workers import OneWorker
from tests.planted_tastes import ITEMS, USERS, found_held_out, taken_matrix, taken_pairs

# Small, so that planted tastes are learned in well under a second; the rest is as shipped.
TINY: dict[str, dict[str, Any]] = {
    **{name: {"ideal_factors": 2} for name in ("bspm", "chebycf", "gf_cf")},
    **{name: {"dim": 4, "negatives": 8, "initial": "random"} for name in names_of(FACTORS)},
}
TINY["neumf"] |= {"hidden": [8, 4]}
TINY["ultragcn"] |= {"negative_weight": 2.0, "item_neighbours": 2}
NAMES = names_of(CLOSED_FORM, FACTORS)
# They know nothing of what a user has not bought yet but how many others did.
BASELINES = ("personal", "popular", "recent")
EVERY_MODEL = pytest.mark.parametrize("name", NAMES)
EVERY_TRAINED = pytest.mark.parametrize("name", names_of(FACTORS))
ALL_USERS = np.arange(USERS)


def settings_of(name: str) -> dict[str, Any]:
    shipped, _ = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
    return {**shipped, **TINY.get(name, {})}


def trained(
    folder: Path, name: str, *, epochs: int, seed: int = 1, model: dict[str, Any] | None = None, **changes: Any
) -> PairTrained:
    config = replace(
        load_config([]).train,
        epochs=epochs, batch_size=64, learning_rate=0.05, seed=seed, weight_decay=0.0, device="cpu",
        best_by="validation_ndcg", **changes,
    )  # fmt: skip
    spec = model_spec(name, {**settings_of(name), **(model or {})})
    row_groups = write_pair_files(folder, *taken_pairs(), row_groups=1, seed=seed)
    if spec.weight is not None:
        weigh(folder, row_groups, spec.weight)
    task = PairTask(
        spec=spec, config=config, folder=str(folder), row_groups=row_groups, users=USERS, items=ITEMS
    )  # fmt: skip
    return train_on_pairs(task, OneWorker())


def weigh(folder: Path, row_groups: Sequence[RowGroup], weight: str) -> None:
    """As the job writes the files of models that learn from more than who took what."""
    for group in row_groups:
        table = pq.read_table(folder / group.file)
        pq.write_table(table.append_column(weight, pa.array(1 + np.arange(len(table)) % 3)), folder / group.file)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recommender]:
    """By name, each made once."""

    @cache
    def of(name: str) -> Recommender:
        if name in names_of(CLOSED_FORM):
            fitted: Recommender = model_spec(name, settings_of(name)).build(taken_matrix())
            return fitted
        torch.set_num_threads(1)
        scores = trained(tmp_path_factory.mktemp("pairs") / name, name, epochs=60).scores
        assert scores is not None
        return scores

    return of


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BASELINES])
def test_the_held_out_item_is_ranked_before_all_that_the_user_does_not_like(
    name: str, fitted: Callable[[str], Recommender]
) -> None:
    assert found_held_out(fitted(name).scores(ALL_USERS)) == USERS


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_teaches_the_planted_tastes(name: str, tmp_path: Path) -> None:
    loss = {**settings_of("mf")["loss"], "name": name, "temperature": 0.5}
    scores = trained(tmp_path, "mf", epochs=40, model={"loss": loss}).scores
    assert scores is not None
    assert found_held_out(scores.scores(ALL_USERS)) == USERS


@EVERY_MODEL
def test_one_user_scores_like_many_and_in_any_order(name: str, fitted: Callable[[str], Recommender]) -> None:
    recommender = fitted(name)
    scores_UI = recommender.scores(ALL_USERS)
    assert scores_UI.shape == (USERS, ITEMS)
    assert scores_UI.dtype == np.float32
    np.testing.assert_allclose(recommender.scores(ALL_USERS[::-1]), scores_UI[::-1], rtol=1e-4, atol=1e-6)
    for user in (0, 7, USERS - 1):
        np.testing.assert_allclose(recommender.scores(np.array([user]))[0], scores_UI[user], rtol=1e-4, atol=1e-6)


@EVERY_MODEL
def test_no_user_gives_no_row(name: str, fitted: Callable[[str], Recommender]) -> None:
    assert fitted(name).scores(np.empty(0, dtype=np.int64)).shape == (0, ITEMS)


@EVERY_TRAINED
def test_mixed_precision_learns_nearly_the_same(name: str, tmp_path: Path) -> None:
    plain, mixed = (
        trained(tmp_path / precision, name, epochs=2, precision=precision).curve
        for precision in ("float32", "bfloat16")
    )
    assert [epoch.train_loss for epoch in mixed] != [epoch.train_loss for epoch in plain]
    assert [e.train_loss for e in mixed] == pytest.approx([e.train_loss for e in plain], rel=0.02)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("chebycf", {"response": "hill"}, r"unknown response 'hill'; known responses: \['line', 'plateau'\]"),
        ("chebycf", {"order": 0}, r"order must be at least 1 and ideal_factors at least 0"),
        ("chebycf", {"rest_order": 9}, r"rest_order must be from 1 to 8, got 9"),
        (
            "chebycf",
            {"rest_order": 3, "degree_power": 0.3},
            r"a rest_order below order needs equal degree_power and ideal_degree_power",
        ),
        ("ease", {"l2": 0}, r"ease.l2 must be above 0, got 0"),
        ("item_knn", {"neighbours": 0}, r"neighbours must be at least 1 and shrink at least 0"),
        ("mf", {"dim": 0}, r"dim and negatives must be at least 1, got 0 and 8"),
        ("mf", {"initial": "warm"}, r"unknown start 'warm'; known starts: \['random', 'spectral'\]"),
        ("neumf", {"hidden": [8]}, r"neumf.hidden must be two widths of at least 1, got \[8\]"),
        (
            "neumf",
            {"user_power": 0.5},
            r"neumf takes no loss.is_cosine and no popularity .*, no teacher, no user_power",
        ),
        (
            "neumf",
            {"loss": {**settings_of("neumf")["loss"], "name": "softmax"}},
            r"neumf takes no loss.name softmax: its layers would meet every item",
        ),
        ("neumf", {"popularity": 0.5}, r"neumf takes no loss.is_cosine and no popularity"),
        ("simplex", {"own_share": 1.0}, r"simplex.own_share must be from 0 to below 1 \(mf has 1\), got 1.0"),
        ("simplex", {"user_power": 0.5}, r"simplex takes no teacher, no user_power and no popularity"),
        ("simplex", {"popularity": 0.5}, r"simplex takes no teacher, no user_power and no popularity"),
        ("ultragcn", {"item_neighbours": 0}, r"ultragcn.item_neighbours must be at least 1, got 0"),
        ("gcn", {"layers": 0}, r"gcn.layers must be at least 1 \(mf has none\), got 0"),
        ("gcn", {"dropout": 1.0}, r"gcn.dropout must be from 0 to below 1, got 1.0"),
        ("lightgcn", {"layers": 0}, r"lightgcn.layers must be at least 1 \(mf has none\), got 0"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_spec(name, {**settings_of(name), **changes})
