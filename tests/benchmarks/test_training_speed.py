from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.recbole import ndcg_of_pairs, ndcg_of_sequences, side_of, write_pairs, write_sequences
from benchmarks.splits import Split, every_nth_user
from benchmarks.training_speed import peer_overrides, plan_of_ours, require_alike
from recsys.models.factors import FactorScores


def stages_of(*seconds: float, interactions: int = 30) -> list[dict[str, Any]]:
    start, *epochs = seconds
    told = [{"stage": "epoch", "seconds": value, "interactions": interactions} for value in epochs]
    return [{"stage": "start", "seconds": start}, *told]


def test_a_side_reaches_a_figure_at_the_end_of_the_first_epoch_that_has_it() -> None:
    side = side_of(stages_of(5.0, 2.0, 1.0, 3.0), [0.1, 0.3, 0.2])
    assert side.best == 0.3
    assert side.seconds_to(0.1) == 7.0
    assert side.seconds_to(0.2) == 8.0
    assert side.seconds_to(0.31) == float("inf")
    assert side.interactions_per_s == 15.0, "without the start"


def test_a_training_that_tells_too_little_is_no_side() -> None:
    with pytest.raises(SystemExit, match=r"found \['start'\] and 0 figures"):
        side_of(stages_of(1.0), [])
    with pytest.raises(SystemExit, match=r"found \['start', 'epoch'\] and 2 figures"):
        side_of(stages_of(1.0, 2.0), [0.1, 0.2])
    with pytest.raises(SystemExit, match=r"found \['epoch'\] and 0 figures"):
        side_of(stages_of(1.0, 2.0)[1:], [])


def test_there_is_no_figure_where_the_sides_read_other_interactions() -> None:
    ours, theirs = (side_of(stages_of(1.0, 2.0, interactions=number), [0.1]) for number in (30, 31))
    require_alike(ours, ours)
    with pytest.raises(SystemExit, match=r"same interactions; found \[30, 31\]"):
        require_alike(ours, theirs)


def split_of(train: list[tuple[int, int]], other: list[tuple[int, int]]) -> Split:
    pairs = [(np.array([user for user, _ in part]), np.array([item for _, item in part])) for part in (train, other)]
    return Split(users=2, items=4, train=pairs[0], others=(pairs[1],))


def test_vectors_are_ranked_without_what_the_user_took() -> None:
    # User 0 likes items in the order 0, 1, 2, 3 and took 0; user 1 has nothing held out.
    scores = FactorScores(
        user_UD=np.array([[1.0], [1.0]], dtype=np.float32), item_ID=np.array([[4.0], [3], [2], [1]], dtype=np.float32)
    )
    assert ndcg_of_pairs(scores, split_of([(0, 0), (1, 1)], [(0, 1)]), k=2) == 1.0
    assert ndcg_of_pairs(scores, split_of([(0, 0), (1, 1)], [(0, 2)]), k=2) == pytest.approx(1 / np.log2(3))
    assert ndcg_of_pairs(scores, split_of([(0, 0), (1, 1)], [(0, 3)]), k=2) == 0.0


def test_of_sequences_the_last_train_item_is_ranked_among_those_not_before_it() -> None:
    scores = FactorScores(
        user_UD=np.array([[1.0], [-1.0]], dtype=np.float32), item_ID=np.array([[4.0], [3], [2], [1]], dtype=np.float32)
    )
    # User 0: 0 stands before 2, so 1 alone ranks higher; user 1: nothing before 3 but 0, which ranks last anyway.
    split = split_of([(0, 0), (0, 2), (1, 0), (1, 3)], [(0, 3), (1, 1)])
    assert ndcg_of_sequences(scores, split, history=3) == pytest.approx((1 / np.log2(3) + 1) / 2)


def test_recbole_reads_tables_of_its_own_kind(tmp_path: Path) -> None:
    split = split_of([(0, 0), (0, 2), (1, 3)], [(0, 1)])
    (tmp_path / "pairs").mkdir()
    write_pairs(tmp_path / "pairs", split.train, split.others[0])
    valid = (tmp_path / "pairs" / "data" / "data.valid.inter").read_text()
    assert valid == "user_id:token\titem_id:token\n0\t1\n"
    (tmp_path / "sequences").mkdir()
    write_sequences(tmp_path / "sequences", split)
    whole = (tmp_path / "sequences" / "data" / "data.inter").read_text().splitlines()
    assert whole[0] == "user_id:token\titem_id:token\ttimestamp:float"
    assert whole[1:] == ["0\t0\t0", "0\t2\t1", "1\t3\t2", "0\t1\t3"], "what is held out comes last"


def test_threads_are_shared_by_the_workers_and_epochs_are_cut() -> None:
    plan = plan_of_ours("sasrec", ["model.dim=8"], 2, is_quick=False)
    assert (plan.config.workers, plan.config.threads_per_worker, plan.config.epochs) == (2, 1, 10)
    assert plan_of_ours("lightgcn", [], 1, is_quick=False).config.epochs == 20
    assert plan_of_ours("lightgcn", [], 1, is_quick=True).config.epochs == 3
    with pytest.raises(SystemExit, match="must share 2 threads alike, got 3"):
        plan_of_ours("lightgcn", [], 3, is_quick=False)


def test_settings_of_the_peer_are_read_as_numbers_and_words() -> None:
    assert peer_overrides(["learning_rate=0.01", "learner=adam"]) == {"learning_rate": 0.01, "learner": "adam"}


def test_of_every_nth_user_all_pairs_stay_and_both_are_numbered_anew() -> None:
    split = Split(
        users=5,
        items=9,
        train=(np.array([0, 1, 2, 4]), np.array([8, 3, 5, 2])),
        others=((np.array([4]), np.array([8])),),
    )
    half = every_nth_user(split, 2)
    assert (half.users, half.items) == (3, 3)
    assert [part.tolist() for part in half.train] == [[0, 1, 2], [2, 1, 0]]
    assert [part.tolist() for part in half.others[0]] == [[2], [2]]
