"""Runs that score changed users alone, beside runs of all users: the same lists, row by row."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.score import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.lake import runs
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, run_stage
from recsys.tables import Table
from recsys.tracking import registered_name
from tests.feature_rows import write_rows
from tests.small_lake import DAYS, ITEMS, RUN_DATE, USERS
from tests.trained_lake import COLD, OPTED_OUT, copied, register_factors, tracking_uri

# Several score jobs a test.
pytestmark = pytest.mark.long

TOMORROW = RUN_DATE + timedelta(days=1)
LISTS = (tables.TOP_N, tables.RULE_AUDIT, tables.PUBLISHING)
SERVED = len(USERS) + 1  # with the one that nobody knows
UNKNOWN = 2  # to the model, the last user and that one: scored each time


@pytest.fixture
def lake(trained_lake: Lake, tmp_path: Path) -> Lake:
    lake = copied(trained_lake, tmp_path / "lake")
    models = [f"{registered_name('mf')}/{register_factors(lake, seed=1)}"]
    # Else each run would measure it.
    recall = {"candidates": "all items", "models": models, "candidate_recall": 1.0}
    runs.record(lake, "evaluate", RUN_DATE, "", 1.0, {}, recall)
    return lake


def scored(lake: Lake, day: date, *overrides: str) -> Figures:
    given = [f"tracking.uri={tracking_uri(lake)}", "score.top_n=4", "publishing.min_overlap=0", *overrides]
    config = load_config([], given)
    run = Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=day)
    return run_stage(STAGE, run).figures


def rows_of_day(lake: Lake, table: Table, day: date) -> list[dict[str, Any]]:
    """All columns but the run's id, which the setting changes."""
    if not lake.exists(table):
        return []
    rows = lake.read(table).where(F.col(c.RUN_DATE) == F.lit(day)).drop(c.RUN_ID).collect()
    return sorted((row.asDict(recursive=True) for row in rows), key=str)


def equal_to_a_run_of_all(lake: Lake, day: date, *overrides: str) -> Figures:
    """The figures of the incremental run, whose tables stand in the end."""
    figures = scored(lake, day, *overrides)
    found = {table.name: rows_of_day(lake, table, day) for table in LISTS}
    ids = lake.read(tables.TOP_N).where(F.col(c.RUN_DATE) == F.lit(day)).select(c.RUN_ID).distinct().collect()
    versions = {table: lake.version(table) for table in LISTS if lake.exists(table)}
    whole = scored(lake, day, "score.incremental=false", *overrides)
    assert whole["why_all_users"] == "score.incremental is false"
    assert found == {table.name: rows_of_day(lake, table, day) for table in LISTS}
    for table, version in versions.items():
        assert version is not None
        lake.restore(table, version)
    assert len(ids) == 1
    assert (figures[c.ROWS], figures["items"]) == (whole[c.ROWS], whole["items"])
    assert figures["users_scored"] + figures["users_kept"] == whole["users"]
    return figures


def next_day(lake: Lake) -> None:
    """Features of the day after, on which nothing happened: what was bought is a day older."""
    for table in (tables.USER_FEATURES, tables.ITEM_FEATURES, tables.USER_ITEM_FEATURES):
        of_days = lake.read(table).where(F.col(c.AS_OF_DATE).isin(RUN_DATE, DAYS.test))
        later = {c.AS_OF_DATE: F.date_add(c.AS_OF_DATE, 1)}
        if table is tables.USER_ITEM_FEATURES:
            later[c.USER_ITEM_RECENCY_DAYS] = F.col(c.USER_ITEM_RECENCY_DAYS) + 1
        lake.append(table, of_days.withColumns(later).localCheckpoint())


def change(lake: Lake, table: Table, where: Column, values: Mapping[str, Column]) -> None:
    changed = {name: F.when(where, value).otherwise(F.col(name)) for name, value in values.items()}
    lake.overwrite(table, lake.read(table).withColumns(changed).localCheckpoint())


def test_on_a_day_without_events_all_lists_are_kept(lake: Lake) -> None:
    first = scored(lake, RUN_DATE)
    assert (first["users_scored"], first["users_kept"]) == (SERVED, 0)
    assert first["why_all_users"] == "what the last lists were made from is not recorded"
    next_day(lake)
    second = equal_to_a_run_of_all(lake, TOMORROW)
    assert (second["users_scored"], second["users_kept"], second["pairs"]) == (UNKNOWN, SERVED - UNKNOWN, 0)
    assert second["why_all_users"] is None

    of_item = (F.col(c.AS_OF_DATE) == F.lit(TOMORROW)) & (F.col(c.ITEM_ID) == ITEMS[2])
    change(lake, tables.ITEM_FEATURES, of_item, {c.ITEM_BUYERS_28D: F.lit(90)})
    popular = equal_to_a_run_of_all(lake, TOMORROW)
    assert (popular["users_scored"], popular["pairs"]) == (UNKNOWN, 0)


def test_users_who_bought_came_or_left_and_lists_by_popularity_are_made_again(lake: Lake) -> None:
    scored(lake, RUN_DATE)
    next_day(lake)
    is_tomorrow = F.col(c.AS_OF_DATE) == F.lit(TOMORROW)
    bought = is_tomorrow & (F.col(c.USER_ID) == "u03") & (F.col(c.ITEM_ID) == "i05")
    change(
        lake, tables.USER_ITEM_FEATURES, bought,
        {c.USER_ITEM_PURCHASES_365D: F.lit(3), c.USER_ITEM_RECENCY_DAYS: F.lit(1)},
    )  # fmt: skip
    change(lake, tables.ITEM_FEATURES, is_tomorrow & (F.col(c.ITEM_ID) == ITEMS[2]), {c.ITEM_BUYERS_28D: F.lit(90)})
    change(lake, tables.USERS, F.col(c.USER_ID) == OPTED_OUT, {c.IS_OPTED_OUT: F.lit(False)})
    change(lake, tables.USERS, F.col(c.USER_ID) == "u04", {c.IS_OPTED_OUT: F.lit(True)})
    seen = {c.STORE_ID: F.lit("s1"), c.EVENT_DATE: F.lit(RUN_DATE), c.SOURCE_FILE: F.lit("late")}
    event = lake.read(tables.EVENTS).where(F.col(c.USER_ID) == "u02").limit(1).withColumns(seen)
    view = event.withColumns({c.USER_ID: F.lit(COLD), c.EVENT_TYPE: F.lit(c.VIEW)})
    lake.append(tables.EVENTS, event.withColumn(c.ITEM_ID, F.lit("i09")).unionByName(view).localCheckpoint())
    figures = equal_to_a_run_of_all(lake, TOMORROW)
    # u03 bought, `gone` is back, u11 and `cold` are not known to the model.
    assert (figures["users_scored"], figures["users_kept"]) == (4, SERVED - 4)
    lists = rows_of_day(lake, tables.TOP_N, TOMORROW)
    of_cold = sorted((row[c.RANK], row[c.ITEM_ID], row[c.SOURCE]) for row in lists if row[c.USER_ID] == COLD)
    assert of_cold[:2] == [(1, "i09", "store"), (2, ITEMS[2], "popular")], (
        "what was bought where the user looked around"
    )
    assert {row[c.USER_ID] for row in lists} == {*USERS, COLD, OPTED_OUT} - {"u04"}


def test_an_item_that_may_be_recommended_no_more_touches_the_lists_that_named_it(lake: Lake) -> None:
    scored(lake, RUN_DATE)
    named = lake.read(tables.TOP_N).where(F.col(c.SOURCE) == "all").groupBy(c.ITEM_ID).count().collect()
    # None of the four most popular ones, which are the list of the others.
    item, users = max((row[c.ITEM_ID], row["count"]) for row in named if row[c.ITEM_ID] not in ITEMS[:4])
    change(lake, tables.ITEMS, F.col(c.ITEM_ID) == item, {c.IS_ELIGIBLE: F.lit(False)})
    figures = equal_to_a_run_of_all(lake, RUN_DATE)
    assert (figures["users_scored"], figures["users_kept"]) == (users + UNKNOWN, SERVED - users - UNKNOWN)
    assert 0 < users < SERVED - UNKNOWN

    change(lake, tables.ITEMS, F.col(c.ITEM_ID) == item, {c.IS_ELIGIBLE: F.lit(True)})
    back = equal_to_a_run_of_all(lake, RUN_DATE)
    assert (back["users_scored"], back["users_kept"]) == (SERVED, 0)
    assert back["why_all_users"] == "items may be recommended that could not in the last run"


RULES = [
    {c.RULE_ID: "gone", c.KIND: "block", c.ITEM_IDS: ["i03"]},
    {c.RULE_ID: "young", c.KIND: "age_limit", c.ITEM_IDS: ["i01", "i04", "i07", "i10"], c.MIN_AGE: 18},
    {c.RULE_ID: "two_of_each", c.KIND: "at_most", c.ATTRIBUTE: c.CATEGORY, c.K: 2, c.PRIORITY: 1},
]


def test_under_rules_whom_they_ask_other_things_of_is_scored_again(lake: Lake) -> None:
    scored(lake, RUN_DATE)
    write_rows(lake, tables.BUSINESS_RULES, RULES)
    added = equal_to_a_run_of_all(lake, RUN_DATE)
    assert added["why_all_users"] == "the model, the code, settings, rules or items are others than in the last run"
    assert (added["users_scored"], added["users_kept"]) == (SERVED, 0)

    change(lake, tables.USERS, F.col(c.USER_ID) == "u05", {c.ATTRIBUTES: F.create_map(F.lit("age"), F.lit("35-44"))})
    older = equal_to_a_run_of_all(lake, RUN_DATE)
    assert (older["users_scored"], older["users_kept"], older["why_all_users"]) == (
        1 + UNKNOWN,
        SERVED - 1 - UNKNOWN,
        None,
    )
    audited = rows_of_day(lake, tables.RULE_AUDIT, RUN_DATE)
    assert {row[c.RULE_ID]: row[c.NUM_USERS_CHANGED] for row in audited}["two_of_each"] > 1


def test_what_must_be_left_out_is_the_users_own(lake: Lake) -> None:
    settings = ("score.exclude_bought_days={home: 20}", "score.diversity=mmr", "score.diversity_by=vector")
    scored(lake, RUN_DATE, *settings)
    bought = lake.read(tables.EVENTS).where(F.col(c.USER_ID) == "u05").limit(1)
    best = [row[c.ITEM_ID] for row in rows_of(lake, "u05") if row[c.RANK] == 1]
    again = {c.ITEM_ID: F.lit(best[0]), c.EVENT_DATE: F.lit(RUN_DATE - timedelta(days=1)), c.SOURCE_FILE: F.lit("late")}
    lake.append(tables.EVENTS, bought.withColumns(again).localCheckpoint())
    figures = equal_to_a_run_of_all(lake, RUN_DATE, *settings)
    assert (figures["users_scored"], figures["users_kept"]) == (1 + UNKNOWN, SERVED - 1 - UNKNOWN)
    assert best[0] not in {row[c.ITEM_ID] for row in rows_of(lake, "u05")}


def rows_of(lake: Lake, user: str) -> list[dict[str, Any]]:
    return [row for row in rows_of_day(lake, tables.TOP_N, RUN_DATE) if row[c.USER_ID] == user]


def test_another_version_of_the_model_scores_all(lake: Lake) -> None:
    scored(lake, RUN_DATE)
    version = register_factors(lake, seed=2)
    figures = equal_to_a_run_of_all(lake, RUN_DATE)
    assert (figures["users_scored"], figures["users_kept"]) == (SERVED, 0)
    assert figures["why_all_users"] == "the model, the code, settings, rules or items are others than in the last run"
    assert {row[c.MODEL_VERSION] for row in rows_of_day(lake, tables.TOP_N, RUN_DATE)} == {version}


def test_fingerprints_that_lag_behind_the_lists_are_not_believed(lake: Lake) -> None:
    scored(lake, RUN_DATE)
    version = lake.version(tables.SCORED_INPUTS)
    assert version is not None
    change(lake, tables.USER_ITEM_FEATURES, F.col(c.USER_ID) == "u02", {c.USER_ITEM_PURCHASES_365D: F.lit(7)})
    changed = scored(lake, RUN_DATE)
    assert changed["users_scored"] == 1 + UNKNOWN
    # As a run leaves it that is killed between its commits.
    lake.restore(tables.SCORED_INPUTS, version)
    figures = equal_to_a_run_of_all(lake, RUN_DATE)
    assert (figures["users_scored"], figures["users_kept"]) == (SERVED, 0)
    assert figures["why_all_users"] == "recs.scored_inputs is not of the run that published the last lists"
