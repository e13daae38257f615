"""A model of histories from the lake to its lists: trained, measured and published by the same jobs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs import evaluate, score, train
from jobs._taken import newest_histories
from recsys import columns as c
from recsys import tables, tracking
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from recsys.training import run as training_run
from recsys.training import sequences
from recsys.training.workers import OneWorker
from tests.feature_rows import write_rows
from tests.small_lake import DAYS, ITEMS, RUN_DATE, USERS, purchases
from tests.trained_lake import copied, require_lists_by_taste, tracking_uri

# Three jobs, with a training that takes its time.
pytestmark = pytest.mark.long

SMALL = (
    "train.model=gru", "train.epochs=12", "train.batch_size=2", "train.learning_rate=0.02", "train.device=cpu",
    "examples.row_groups=2", "evaluation.bootstrap_samples=100", "score.top_n=6",
)  # fmt: skip


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Without examples.pairs. What users buy first in the validation window is what training shows after their last."""
    lake = copied(trained_lake, tmp_path_factory.mktemp("histories") / "lake")
    first = {c.EVENT_TYPE: c.PURCHASE, c.EVENT_DATE: DAYS.validation, c.SOURCE_FILE: "a file before"}
    again = [
        {**first, c.USER_ID: user, c.ITEM_ID: ITEMS[_shown_after_the_last_of(number)], c.SOURCE_ROW: number}
        for number, user in enumerate(USERS)
    ]
    write_rows(lake, tables.EVENTS, [*purchases(), *again])
    return lake


def _shown_after_the_last_of(user: int) -> int:
    """Even users end with item 6 and have seen 14 before it, or the other way round from user 8 on; odd ones with 7 and
    15, from user 7 on. The others show what follows."""
    if user % 2 == 0:
        return 14 if user < 8 else 6
    return 15 if user < 7 else 7


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(_: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        return [sequences.train_on_sequences(*arguments, OneWorker())]

    monkeypatch.setattr(training_run, "run_on_spark", in_this_process)


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], [f"tracking.uri={tracking_uri(lake)}", *SMALL, *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def test_a_model_of_histories_goes_through_train_evaluate_and_score(lake: Lake) -> None:
    run = run_of(lake)
    train.check(run)
    figures = run_stage(train.STAGE, run).figures
    assert (figures[c.MODEL_NAME], figures[c.FAMILY], figures[c.HISTORY]) == ("recsys-gru", "histories", 50)
    assert (figures[c.ROWS], figures["targets"]) == (len(USERS), len(USERS) * 3), "four purchases each, two a window"
    assert "clean.events=" in figures["delta_versions"]
    measured = run_stage(evaluate.STAGE, run).figures
    assert measured["candidates"] == "all items"
    published = run_stage(score.STAGE, run).figures
    assert published["users"] == len(USERS) + 1
    assert published["candidate_recall"] == measured["candidate_recall"]
    require_lists_by_taste(lake)
    model = tracking.load_pyfunc(registry_of(lake), "recsys-gru", int(figures[c.MODEL_VERSION]))
    scores = model.predict(pd.DataFrame({c.SEQUENCE: [[1, 9, 7], [1, 9, 7], [0]], c.ITEM_IDX: [14, 15, 14]}))
    assert scores[0] > scores[1], "after even items an even one"
    assert np.isnan(scores[2]), "no history"


def registry_of(lake: Lake) -> tracking.Registry:
    return tracking.registry_of(run_of(lake).config.tracking, lake.root)


def test_histories_end_before_the_day(lake: Lake) -> None:
    """The first events of the test window are no part of what is known as of it."""
    day = RUN_DATE - timedelta(days=14)

    def last_of(as_of: Any) -> dict[str, list[int]]:
        rows = newest_histories(run_of(lake), as_of, [c.PURCHASE], 50).collect()
        return {row[c.USER_ID]: [item for item in row[c.SEQUENCE] if item] for row in rows}

    before, after = last_of(day), last_of(day + timedelta(days=7))
    assert {len(items) for items in before.values()} == {7}, "two purchases in each of three windows, and one more"
    assert all(after[user][:7] == items for user, items in before.items())
    assert sum(map(len, after.values())) > sum(map(len, before.values()))


def test_other_event_types_and_a_lake_without_them_are_refused(lake: Lake) -> None:
    with pytest.raises(
        ConfigError, match=r"examples.history_events: unknown \['impression'\]; known: \['view', 'cart'"
    ):
        run_of(lake, "examples.history_events=[impression]")
    with pytest.raises(ConfigError, match=r"examples.history_events is empty; give one or more of \['view', 'cart'"):
        run_of(lake, "examples.history_events=[]")
    message = r"no user took two items in the 365 days before the validation window .*\(event types \['view'\]\). Cure"
    with pytest.raises(InputError, match=message):
        run_stage(train.STAGE, run_of(lake, "examples.history_events=[view]"))
