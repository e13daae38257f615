"""A model of histories on the slice of the real log, through the real jobs, with two Horovod workers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys import columns as c
from recsys import tables
from tests.e2e.conftest import Finished, frame

GRU = ("train.model=gru", "train.workers=2", "train.epochs=3", "train.batch_size=32")


@pytest.mark.long
def test_two_workers_train_a_model_of_histories_that_serves_every_user(
    finished_lake: tuple[Path, Finished], job: Callable[..., Finished], tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(finished_lake[0], lake)
    for name in ("train", "evaluate", "score"):
        done = job(name, lake, *GRU)
        assert done.code == 0, done.err
    runs = {row[c.STAGE]: row for row in frame(lake, tables.RUNS).to_dict("records")}
    assert '"workers": 2' in runs["train"][c.FIGURES]
    metrics = frame(lake, tables.METRICS)
    of_model = metrics[(metrics[c.RECOMMENDER] == "model") & (metrics[c.METRIC] == "ndcg")]
    assert set(of_model[c.MODEL_NAME]) == {"recsys-gru"}
    assert (of_model[c.VALUE] > 0).all()
    top_n, users = frame(lake, tables.TOP_N), frame(lake, tables.USERS)
    assert set(top_n[c.USER_ID]) == set(users[~users[c.IS_OPTED_OUT]][c.USER_ID])
    assert set(top_n[c.MODEL_NAME]) == {"recsys-gru"}
    assert (top_n.groupby(c.USER_ID)[c.RANK].agg(list).map(sorted).map(tuple) == tuple(range(1, 11))).all()
