from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.explain_row import report
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.lake import runs
from recsys.lake.store import Lake
from recsys.stages import Run
from tests.feature_rows import write_rows

DAY = date(2017, 12, 18)
TRAINED = {"code": "01d", c.MODEL_NAME: "recsys-mlp", c.MODEL_VERSION: 3}


def event(user: str, item: str, day: int, row: int) -> dict[str, Any]:
    at = datetime(2017, 12, day, 9)
    return {
        c.USER_ID: user, c.ITEM_ID: item, c.EVENT_TYPE: "purchase", c.EVENT_TS: at, c.EVENT_DATE: at.date(),
        c.SOURCE_FILE: f"day-{day}.csv", c.SOURCE_ROW: row,
    }  # fmt: skip


def listed(rank: int, item: str, source: str, *evidence: tuple[Any, ...]) -> dict[str, Any]:
    return {
        c.RUN_DATE: DAY, c.SCENE: "home", c.USER_ID: "u", c.RANK: rank, c.ITEM_ID: item, c.SCORE: 0.5, c.SOURCE: source,
        c.REASON: "why", c.EVIDENCE: list(evidence), c.REASON_EN: "Because.", c.REASON_ZH: "因为。", c.RULES: [],
        c.MODEL_NAME: "recsys-mlp", c.MODEL_VERSION: 3, c.RUN_ID: "r2",
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What the log said first is version 0 of clean.events; a line of it was taken back since."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("explain") / "lake"))
    events = [
        event("u", "tea", 4, 1), event("u", "tea", 5, 2), event("u", "tea", 18, 3), event("v", "tea", 5, 4),
        event("u", "cup", 6, 5),
    ]  # fmt: skip
    write_rows(lake, tables.EVENTS, events)
    write_rows(lake, tables.EVENTS, events[1:])
    held = {c.ITEM_ID: "cup", c.CATEGORY: "Crockery", c.VALID_FROM: date(2000, 1, 1)}
    write_rows(lake, tables.ITEM_HISTORY, [held])
    write_rows(lake, tables.LEDGER, [{c.SOURCE_FILE: "day-4.csv", c.CHECKSUM: "0123456789abcdef"}])
    rows = [
        listed(1, "tea", "own", ("bought", "tea", 2, 0.25)),
        listed(2, "pot", "category", ("category", "Crockery", 1, 0.1), ("buyers", "tea", 2, None)),
        listed(3, "jar", "all"),
    ]
    write_rows(lake, tables.TOP_N, rows)
    versions = {"clean.events": 0, "features.user": 7}
    runs.record(lake, "score", DAY, "r2", 1.0, versions, {"code": "c0de"})
    runs.record(lake, "train", date(2017, 12, 17), "r1", 1.0, {"examples.pairs": 4}, TRAINED)
    # Trained since, of the same version: another model, and the same with another version.
    for day, name, version in ((DAY, "recsys-ease", 3), (date(2017, 12, 17), "recsys-mlp", 2)):
        told = {c.MODEL_NAME: name, c.MODEL_VERSION: version}
        runs.record(lake, "train", day, f"other {name}", 1.0, {"examples.pairs": 9}, told)
    runs.record(lake, "score", DAY, "of another scene", 1.0, {"clean.events": 1}, {})
    config, options = load_config([]), {"user": "u", "item": "tea"}
    return Run(spark=spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=None, options=options)


def explained(run: Run, item: str) -> str:
    return report(replace(run, options={"user": "u", "item": item}), [])


def test_a_row_leads_to_model_run_tables_code_and_lines(run: Run) -> None:
    text = explained(run, "tea")
    for part in (
        "2017-12-18, home, user u, rank 1: item tea", "reason why: Because. 因为。",
        "model recsys-mlp version 3, scored by run r2", "score: run r2", "code c0de", "clean.events version 0",
        "features.user version 7", "train: run r1 for 2017-12-17", "examples.pairs version 4", "code 01d",
        "evidence 1: bought tea, 2; the score falls by 0.250000 without it", "rests on 2 lines of the log",
        "2017-12-05 09:00:00 user u purchase tea: day-5.csv record 2",
        "2017-12-04 09:00:00 user u purchase tea: day-4.csv record 1 (SHA-256 0123456789ab…)",
    ):  # fmt: skip
        assert part in text
    assert "record 3" not in text, "the run date itself was not known"
    assert "user v purchase" not in text


def test_a_category_leads_to_what_the_user_bought_of_it_and_popularity_to_all_who_did(run: Run) -> None:
    category, buyers = explained(run, "pot").split("evidence ")[1:]
    assert "category Crockery, 1; the score falls by 0.100000" in category
    assert "day-6.csv record 5" in category
    assert "tea" not in category
    assert "buyers tea, 2; no part of the score" in buyers
    assert "rests on 3 lines" in buyers
    assert "day-5.csv record 4" in buyers


def test_a_row_without_evidence_leads_to_the_users_newest_events(run: Run) -> None:
    assert "no evidence is told: the user's newest events\n  rests on 3 lines" in explained(run, "jar")


def test_a_fused_row_names_all_models(run: Run, tmp_path: Path) -> None:
    lake, name = Lake(run.spark, str(tmp_path / "lake")), "recsys-mlp/3+recsys-ease/1"
    write_rows(lake, tables.EVENTS, [event("u", "tea", 4, 1)])
    write_rows(lake, tables.TOP_N, [{**listed(1, "tea", "mlp+ease"), c.MODEL_NAME: name, c.MODEL_VERSION: None}])
    text = explained(replace(run, lake=lake), "tea")
    assert f"models {name}, scored by run r2\n  train: the lists of these models were fused; the registry has" in text
    assert "candidate from mlp+ease" in text
    assert "version None" not in text


def test_a_row_that_is_not_there_names_those_that_are(run: Run) -> None:
    message = (
        r"no row of 'u' with item 'cake' in home for 2017-12-18; the user's list has \['tea', 'pot', 'jar'\]. Cure"
    )
    with pytest.raises(InputError, match=message):
        explained(run, "cake")
    with pytest.raises(InputError, match=r"in home for 2017-01-01; the user's list has \[\]"):
        explained(replace(run, run_date=date(2017, 1, 1)), "tea")


def test_records_of_other_runs_are_not_taken_for_this_ones(run: Run, tmp_path: Path) -> None:
    lake = Lake(run.spark, str(tmp_path / "lake"))
    write_rows(lake, tables.EVENTS, [event("u", "tea", 4, 1)])
    write_rows(lake, tables.TOP_N, [listed(1, "tea", "own")])
    runs.record(lake, "score", DAY, "another", 1.0, {"clean.events": 9}, {})
    runs.record(lake, "train", DAY, "another", 1.0, {}, {**TRAINED, c.MODEL_VERSION: 4})
    runs.record(lake, "train", DAY, "of ease", 1.0, {}, {**TRAINED, c.MODEL_NAME: "recsys-ease"})
    text = explained(replace(run, lake=lake), "tea")
    assert "score: ops.runs holds no record of it any more" in text
    assert "train: ops.runs holds no record of it any more" in text
    assert "rests on 1 lines" in text
