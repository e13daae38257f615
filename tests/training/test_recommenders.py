"""How a saved recommender is asked: what it does not know it does not name."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.models.factors import FactorScores
from recsys.models.interactions import Known
from recsys.models.rough_top import rough_tile
from recsys.training import vector_ranker
from recsys.training.recommenders import ARRAYS, Ranker, load_ranker, save_recommender

USERS, ITEMS = np.array([[1.0], [2.0]], dtype=np.float32), np.array([[3.0], [1.0], [2.0], [9.0]], dtype=np.float32)
RANKER = Ranker(
    recommender=FactorScores(user_UD=USERS, item_ID=ITEMS),
    known=Known(user_U=np.array([True, False]), item_I=np.array([True, True, True, False])),
)
NOTHING = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def test_unknown_items_and_those_that_are_not_allowed_or_left_out_are_not_named() -> None:
    top_BK, score_BK = RANKER.among(np.array([True, True, True, True]))(np.array([0, 1]), NOTHING, 2)
    assert top_BK.tolist() == [[0, 2], [0, 2]]
    assert score_BK.tolist() == [[3, 2], [6, 4]]
    left_out = (np.array([1, 1]), np.array([0, 5]))
    top_BK, score_BK = RANKER.among(np.array([True, True, False, True, True]))(np.array([0, 1]), left_out, 2)
    assert top_BK[0].tolist() == [0, 1]
    assert (top_BK[1, 0], score_BK[1].tolist()) == (1, [2, -np.inf])


def test_items_that_came_after_the_training_are_not_allowed_and_shorter_flags_are_filled_up() -> None:
    _, score_BK = RANKER.among(np.array([False, True]))(np.array([0]), NOTHING, 2)
    assert score_BK.tolist() == [[1, -np.inf]]


def test_pairs_of_unknown_ids_have_no_score() -> None:
    scores = RANKER.score_pairs(np.array([0, 0, 1, 9, -1]), np.array([2, 3, 0, 0, 0]))
    assert scores == pytest.approx([2.0, *[np.nan] * 4], nan_ok=True)


def test_users_beyond_those_of_the_training_are_not_known() -> None:
    assert RANKER.knows(np.array([-1, 0, 1, 2])).tolist() == [False, True, False, False]


def test_a_saved_model_is_mapped_and_names_the_same(tmp_path: Path) -> None:
    save_recommender(tmp_path, "mf", RANKER.recommender, RANKER.known)
    loaded = load_ranker(tmp_path)
    assert isinstance(loaded.recommender, FactorScores)
    arrays = (loaded.recommender.user_UD, loaded.recommender.item_ID, loaded.known.user_U, loaded.known.item_I)
    assert {type(array) for array in arrays} == {np.memmap}
    allowed_I, asked_B = np.ones(4, dtype=np.bool_), np.array([0, 1])
    for found, expected in zip(*(one.among(allowed_I)(asked_B, NOTHING, 2) for one in (loaded, RANKER)), strict=True):
        assert found.tolist() == expected.tolist()
    assert rough_tile(loaded.recommender.item_ID).length == 9


def test_a_model_that_was_saved_before_is_read_whole(tmp_path: Path) -> None:
    save_recommender(tmp_path, "mf", RANKER.recommender, RANKER.known)
    arrays = {file.name.removesuffix(".npy"): np.load(file) for file in (tmp_path / ARRAYS).iterdir()}
    np.savez(tmp_path / "arrays.npz", **arrays)
    for file in (tmp_path / ARRAYS).iterdir():
        file.unlink()
    assert load_ranker(tmp_path).score_pairs(np.array([0]), np.array([2])) == pytest.approx([2.0])


def test_vectors_of_parquet_files_are_mapped_from_one_file_of_the_node(tmp_path: Path) -> None:
    url = str(tmp_path / "vectors.parquet")
    rows = {
        "item_idx": pa.array([2, 0], pa.int32()),
        "vector": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(rows), url)
    first = vector_ranker.load_ranker([url], tmp_path)
    Path(url).unlink()
    again = vector_ranker.load_ranker([url], tmp_path)
    for ranker in (first, again):
        assert {type(ranker.item_ID), type(ranker.known_I)} == {np.memmap}
        assert (ranker.item_ID.tolist(), ranker.known_I.tolist()) == ([[3, 4], [0, 0], [1, 2]], [True, False, True])
    top_BK, score_BK = again.among(np.ones(3, dtype=np.bool_))(np.array([[1.0, 0.0]], dtype=np.float32), NOTHING, 2)
    assert (top_BK.tolist(), score_BK.tolist()) == ([[0, 2]], [[3, 1]])
    assert len(list(tmp_path.iterdir())) == 2
