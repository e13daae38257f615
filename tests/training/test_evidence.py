"""Reasons are true: without the evidence a score is less by the contribution that was stated."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.config import CONF_FOLDER
from recsys.models.evidence import NONE, by_vectors, parts, rows_of
from recsys.models.factors import FactorScores
from recsys.models.interactions import Known, interaction_matrix, known_of
from recsys.models.registry import model_settings, model_spec
from recsys.training.export import state_bytes
from recsys.training.history_ranker import load_ranker, save_history_model
from recsys.training.recommenders import Ranker
from recsys.training.vector_ranker import VectorRanker

USERS, ITEMS = 12, 9
PAIRS = [(user, item) for user in range(USERS) for item in range(ITEMS) if (user * item + user + item) % 4 in (0, 1)]
MATRIX = interaction_matrix(*(np.array(side) for side in zip(*PAIRS, strict=True)), users=USERS, items=ITEMS)
ASKED = np.array([3, 0, 7])
ITEM_BK = np.array([[0, 1, 2], [5, 8, NONE], [4, 3, 1]])
NOTHING = np.zeros((3, 0), dtype=np.int64)


def fitted(name: str) -> Any:
    settings, _ = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
    small = {"ideal_factors": 3} if "ideal_factors" in settings else {}
    return model_spec(name, {**settings, **small}).build(MATRIX)


def ranker_of(recommender: Any) -> Ranker:
    return Ranker(recommender=recommender, known=known_of(MATRIX))


@pytest.mark.parametrize("name", ["ease", "item_knn", "gf_cf", "bspm", "chebycf"])
def test_an_item_taken_out_of_the_history_takes_its_contribution_along(name: str) -> None:
    model = fitted(name)
    own_BH, contribution_BKH = ranker_of(model).evidence(ASKED, NOTHING, ITEM_BK)
    assert ranker_of(model).num_taken(ASKED, NOTHING).tolist() == (own_BH != NONE).sum(axis=1).tolist()
    for row, user in enumerate(ASKED):
        own = [item for item in own_BH[row] if item != NONE]
        assert own == [item for taker, item in PAIRS if taker == user], "what the user took, and nothing else"
        for at, item in enumerate(own):
            without = MATRIX.copy().tolil()
            without[user, item] = 0
            fell_I = (model.scores(ASKED[row : row + 1]) - replace(model, history_UI=without.tocsr()).scores(
                ASKED[row : row + 1]))[0]  # fmt: skip
            expected = [0.0 if wanted == NONE else fell_I[wanted] for wanted in ITEM_BK[row]]
            assert contribution_BKH[row, :, at] == pytest.approx(expected, abs=1e-5)
    assert np.abs(contribution_BKH).max() > 0.01


def test_the_part_of_a_vector_taken_away_takes_its_contribution_along() -> None:
    generator = np.random.default_rng(5)
    user_BD, item_ID = (generator.normal(size=(rows, 4)).astype(np.float32) for rows in (3, ITEMS))
    taken_BH = np.array([[1, 4, 6], [2, NONE, NONE], [NONE, NONE, NONE]])
    contribution_BKH = by_vectors(user_BD, item_ID, taken_BH, ITEM_BK)
    for row, at in ((0, 0), (0, 2), (1, 0)):
        less_D = user_BD[row] - parts(user_BD, item_ID, taken_BH)[row, at]
        fell = [0.0 if item == NONE else (user_BD[row] - less_D) @ item_ID[item] for item in ITEM_BK[row]]
        assert contribution_BKH[row, :, at] == pytest.approx(fell)
    assert (contribution_BKH[1, :, 1:] == 0).all()
    assert (contribution_BKH[2] == 0).all()


def test_a_users_vector_that_is_a_taken_items_own_is_put_down_to_that_item() -> None:
    item_ID = np.eye(4, dtype=np.float32)
    contribution_BKH = by_vectors(2 * item_ID[1:2], item_ID, np.array([[0, 1, 2]]), np.array([[1, 3]]))
    assert contribution_BKH[0, 0] == pytest.approx([0.0, 2 / 1.1, 0.0])  # 1 / (1 + the ridge of 0.1)
    assert contribution_BKH[0, 1] == pytest.approx([0.0, 0.0, 0.0])


def test_items_that_the_model_does_not_know_are_no_evidence() -> None:
    vectors = FactorScores(user_UD=np.ones((2, 2), np.float32), item_ID=np.ones((3, 2), np.float32))
    known = Known(user_U=np.ones(2, np.bool_), item_I=np.array([True, False, True]))
    taken_BH, contribution_BKH = Ranker(recommender=vectors, known=known).evidence(
        np.array([0]), np.array([[1, 2, 7]]), np.array([[0]])
    )
    assert taken_BH.tolist() == [[NONE, 2, NONE]]
    assert Ranker(recommender=vectors, known=known).num_taken(np.array([0]), taken_BH).tolist() == [1]
    assert contribution_BKH[0, 0, 0] == contribution_BKH[0, 0, 2] == 0


def test_models_that_add_up_nothing_tell_nothing() -> None:
    taken_BH, contribution_BKH = ranker_of(fitted("user_knn")).evidence(ASKED, np.array([[1], [2], [3]]), ITEM_BK)
    assert (taken_BH.shape, contribution_BKH.shape) == ((3, 0), (3, 3, 0))
    assert ranker_of(fitted("user_knn")).num_taken(ASKED, ITEM_BK).tolist() == [0, 0, 0]


def test_vectors_of_features_are_parted_the_same_way() -> None:
    item_ID = np.eye(4, dtype=np.float32)
    ranker = VectorRanker(item_ID=item_ID, known_I=np.ones(4, np.bool_))
    _, contribution_BKH = ranker.evidence(2 * item_ID[1:2], np.array([[0, 1, 2]]), np.array([[1, 3]]))
    assert contribution_BKH[0, 0, 1] == pytest.approx(2 / 1.1)


def test_a_network_is_asked_again_without_the_evidence(tmp_path: Path) -> None:
    config = {"dim": 8, "history": 6, "dropout": 0.1, "negatives": 6, "hidden": 8, "layers": 1}
    torch.manual_seed(5)
    network = model_spec("gru", config).build(ITEMS)
    torch.nn.init.normal_(network.item_vectors.weight)
    save_history_model(tmp_path, model_spec("gru", config), state_bytes(network), np.ones(ITEMS, np.bool_))
    ranker = load_ranker(tmp_path)
    asked_BL = np.array([[3, 4, 3, 5, 0, 0], [9, 9, 0, 0, 0, 0]])
    item_BK = np.array([[0, 1], [5, NONE]])
    taken_BH, contribution_BKH = ranker.evidence(asked_BL, np.array([[2, 4], [8, NONE]]), item_BK)
    assert taken_BH.tolist() == [[2, 4], [8, NONE]]
    without = np.array([[4, 5, 0, 0, 0, 0], [3, 4, 3, 0, 0, 0]])
    for at, rest in enumerate(without):
        for place, item in enumerate(item_BK[0]):
            both = ranker.score_pairs(np.stack([asked_BL[0], rest]), np.array([item, item]))
            assert contribution_BKH[0, place, at] == pytest.approx(both[0] - both[1], abs=1e-5)
    # Of the other user nothing is left: all of the score is owed to the one item.
    whole = ranker.score_pairs(asked_BL[1:], np.array([5]))
    assert contribution_BKH[1, 0] == pytest.approx([whole[0], 0.0], abs=1e-5)
    assert (contribution_BKH[1, 1] == 0).all()


def test_rows_of_a_matrix_are_filled_up() -> None:
    start, items = np.array([0, 2, 2, 5]), np.array([4, 7, 1, 2, 3])
    assert rows_of(start, items, np.array([2, 1, 0])).tolist() == [[1, 2, 3], [NONE] * 3, [4, 7, NONE]]
