"""How a saved model of histories is asked, on walks through a ring of items."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.errors import InputError, SchemaError
from recsys.models import exact_top
from recsys.models.registry import model_spec
from recsys.training.export import state_bytes
from recsys.training.history_ranker import DESCRIPTION, HistoryRanker, load_ranker, save_history_model
from tests.planted_cycle import ITEMS

GRU = {"dim": 8, "history": 6, "dropout": 0.1, "negatives": 6, "hidden": 8, "layers": 1}
NOTHING = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
ALL = np.ones(ITEMS, dtype=np.bool_)
# Of the fourth all items are unknown to the model.
ASKED_BL = np.array([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6], [9, 0, 0, 0, 0, 0], [ITEMS, 99, 0, 0, 0, 0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last item was never seen."""
    folder = tmp_path_factory.mktemp("histories") / "model"
    torch.manual_seed(5)
    network = model_spec("gru", GRU).build(ITEMS)
    torch.nn.init.normal_(network.item_vectors.weight)
    save_history_model(folder, model_spec("gru", GRU), state_bytes(network), np.arange(ITEMS) < ITEMS - 1)
    return folder


@pytest.fixture(scope="module")
def ranker(folder: Path) -> HistoryRanker:
    return load_ranker(folder)


def test_a_history_is_known_by_its_items(ranker: HistoryRanker) -> None:
    assert ranker.knows(ASKED_BL).tolist() == [True, True, True, False]
    assert ranker.knows_item(np.array([0, ITEMS - 1, ITEMS, -1])).tolist() == [True, False, False, False]


def test_the_best_are_those_of_the_networks_scores(ranker: HistoryRanker) -> None:
    top_BK, score_BK = ranker.among(ALL)(ASKED_BL[:3], NOTHING, ITEMS)
    scores_BI = ranker.network.scores(torch.from_numpy(ASKED_BL[:3])).numpy()
    np.testing.assert_allclose(score_BK[:, :-1], np.take_along_axis(scores_BI, top_BK, axis=1)[:, :-1], rtol=1e-4)
    assert (np.diff(score_BK[:, :-1], axis=1) <= 0).all()
    assert score_BK[:, -1].tolist() == [-np.inf] * 3
    assert (top_BK[:, :-1] != ITEMS - 1).all()


def test_items_that_are_not_allowed_or_left_out_are_not_named(ranker: HistoryRanker) -> None:
    allowed_I = np.arange(ITEMS + 3) != 0
    top_BK, score_BK = ranker.among(allowed_I)(ASKED_BL[:2], (np.array([1, 1, 1]), np.array([2, 4, ITEMS + 1])), ITEMS)
    named = [set(top[score > -np.inf]) for top, score in zip(top_BK, score_BK, strict=True)]
    assert named == [set(range(1, ITEMS - 1)), set(range(1, ITEMS - 1)) - {2, 4}]


def test_small_tiles_find_the_same(ranker: HistoryRanker, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = (np.array([0, 2]), np.array([7, 1]))
    whole = ranker.among(ALL)(ASKED_BL[:3], left_out, 4)
    monkeypatch.setattr(exact_top, "TILE_ITEMS", 3)
    top_BK, score_BK = ranker.among(ALL)(ASKED_BL[:3], left_out, 4)
    assert np.array_equal(top_BK, whole[0])
    np.testing.assert_allclose(score_BK, whole[1], rtol=1e-5)


def test_equal_scores_stand_in_the_items_order_across_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_top, "TILE_ITEMS", 2)
    item_ID = np.array([[1.0], [2.0], [2.0], [0.0], [2.0]], dtype=np.float32)
    ones = np.ones((1, 1), dtype=np.float32)
    top_BK, _ = exact_top.ExactTop(item_ID, np.ones(5, dtype=np.bool_)).top(ones, NOTHING, 3)
    assert top_BK.tolist() == [[1, 2, 4]]


def test_no_user_depends_on_the_others_and_unknown_items_do_not_count(ranker: HistoryRanker) -> None:
    top_BK, score_BK = ranker.among(ALL)(ASKED_BL, NOTHING, 5)
    for row in range(3):
        top_1K, score_1K = ranker.among(ALL)(ASKED_BL[row : row + 1], NOTHING, 5)
        assert np.array_equal(top_1K[0], top_BK[row])
        assert np.array_equal(score_1K[0], score_BK[row])
    with_unknown = np.array([[99, 3, ITEMS, 4, 5, 0]])
    assert np.array_equal(ranker.among(ALL)(with_unknown, NOTHING, 5)[1][0], score_BK[0])


def test_pairs_of_unknown_histories_or_items_have_no_score(ranker: HistoryRanker) -> None:
    scores = ranker.score_pairs(ASKED_BL[[0, 0, 3]], np.array([2, ITEMS - 1, 2]))
    top_BK, score_BK = ranker.among(ALL)(ASKED_BL[:1], NOTHING, ITEMS)
    assert scores[0] == pytest.approx(score_BK[0][top_BK[0] == 2][0], rel=1e-5)
    assert np.isnan(scores[1:]).all()


def test_a_folder_without_or_with_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model of histories in .*histories.json is missing. Cure: run the train"):
        load_ranker(tmp_path)
    (tmp_path / DESCRIPTION).write_text((folder / DESCRIPTION).read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(SchemaError, match=r"histories.json has format 9, expected 1. Cure: train the model again"):
        load_ranker(tmp_path)
