"""Graph models on the slice of the real log, through the real jobs, with two Horovod workers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys import columns as c
from recsys import tables
from tests.e2e.conftest import Finished, frame

SMALL = ("train.workers=2", "train.epochs=2")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "jobs"),
    [("graphsage", ("build_features", "build_examples", "train", "evaluate", "score")), ("gcn", ("train", "score"))],
)
def test_two_workers_train_a_graph_model_that_serves_every_user(
    name: str, jobs: tuple[str, ...], finished_lake: tuple[Path, Finished], job: Callable[..., Finished], tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(finished_lake[0], lake)
    for stage in jobs:
        done = job(stage, lake, f"train.model={name}", *SMALL)
        assert done.code == 0, done.err
    runs = {row[c.STAGE]: row for row in frame(lake, tables.RUNS).to_dict("records")}
    assert '"workers": 2' in runs["train"][c.FIGURES]
    top_n, users = frame(lake, tables.TOP_N), frame(lake, tables.USERS)
    assert set(top_n[c.USER_ID]) == set(users[~users[c.IS_OPTED_OUT]][c.USER_ID])
    assert set(top_n[c.MODEL_NAME]) == {f"recsys-{name}"}
