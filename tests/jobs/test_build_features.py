from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import build_features
from jobs._days import events_by_day, known_history_of_items, known_promotions
from jobs._text_vectors import text_vectors
from recsys import columns as c
from recsys import tables
from recsys.catalog import OPTIONAL_GRAINS
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import DataQualityError, InputError
from recsys.frames.local_rows import local_rows
from recsys.lake.read_features import FEATURE_TABLES, read_features
from recsys.lake.store import Lake
from recsys.models import text_encoder
from recsys.stages import Run, run_stage
from tests.feature_rows import FROM_THE_BEGINNING, rows_of, versions_of, write_rows
from tests.purchase_rows import purchase

RUN_DATE = date(2017, 12, 18)
CUTOFFS = [date(2017, 11, 6), date(2017, 11, 20), date(2017, 12, 4), RUN_DATE]
FIRST_DAY = datetime(2017, 10, 30, 12)
SETTINGS = ["examples.label_days=14", "examples.train_windows=1", "examples.gap_days=0"]


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    lake = Lake(spark, str(tmp_path / "lake"))
    log = [purchase(f"u{day % 2}", f"i{day % 3}", FIRST_DAY + timedelta(days=day)) for day in range(49)]
    items = [{c.ITEM_ID: f"i{number}", c.CATEGORY: "dairy", **FROM_THE_BEGINNING} for number in range(3)]
    write_rows(lake, tables.EVENTS, log)
    write_rows(lake, tables.ITEM_HISTORY, items)
    for table in (tables.ITEM_VALUES, tables.PROMOTIONS):
        write_rows(lake, table, [])
    config = load_config([], SETTINGS)
    return Run(spark=spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def test_every_cut_off_gets_its_rows_in_one_commit_a_table_and_a_second_run_replaces_just_them(run: Run) -> None:
    older = {c.USER_ID: "u", c.ITEM_ID: "i", c.AS_OF_DATE: date(2016, 3, 5)}
    run.lake.overwrite(tables.USER_ITEM_FEATURES, rows_of(run.spark, tables.USER_ITEM_FEATURES, [older]))
    outcome = run_stage(build_features.STAGE, run)
    assert outcome.figures == {
        "rows": 24,  # two users, three items, four cut-offs
        "rows_user": 8,
        "rows_user_category": 8,
        "rows_item": 12,
        "rows_user_item": 24,
        "rows_context": 28,  # one hour on seven weekdays
        "rows_store_item": 0,
        "cutoffs": "2017-11-06, 2017-11-20, 2017-12-04, 2017-12-18",
    }
    assert run.lake.versions(FEATURE_TABLES) == {
        table.name: int(table is tables.USER_ITEM_FEATURES) for table in FEATURE_TABLES
    }
    users = read_features(run.lake, CUTOFFS).user.collect()
    purchases = {(row[c.AS_OF_DATE], row[c.USER_ID]): row[c.USER_PURCHASES_28D] for row in users}
    assert purchases[CUTOFFS[0], "u0"] == 4  # 30 October to 5 November: days 0, 2, 4, 6
    assert purchases[RUN_DATE, "u1"] == 14
    first = _user_items(run)
    run_stage(build_features.STAGE, run)
    assert _user_items(run) == first
    assert run.lake.versions(tables.DAY_TABLES) == {"days.item_days": 0, "days.visits": 0}, "no day changed"
    assert {day for _, _, day, *_ in first} == {*CUTOFFS, date(2016, 3, 5)}


def _user_items(run: Run) -> set[tuple[object, ...]]:
    rows = run.lake.read(tables.USER_ITEM_FEATURES).collect()
    assert len(rows) == len(set(rows))
    return set(rows)


def test_events_that_became_known_on_the_border_or_later_are_left_out(run: Run, spark: SparkSession) -> None:
    known = {"u": datetime(2017, 12, 11, 23, 59), "late": datetime(2017, 12, 12)}
    log = [{**purchase(user, "i0", FIRST_DAY), c.KNOWN_TS: at} for user, at in known.items()]
    run.lake.overwrite(tables.EVENTS, rows_of(spark, tables.EVENTS, log))
    config = load_config([], [*SETTINGS, 'features.as_known_on="2017-12-12"'])
    found = events_by_day(replace(run, config=config))
    assert [row[c.USER_ID] for row in found.item_days.collect()] == ["u"]
    assert [row[c.USER_ID] for row in found.visits.collect()] == ["u"]
    assert run.lake.versions(tables.DAY_TABLES) == {}


def test_item_versions_and_promotions_that_became_known_later_are_left_out(run: Run, spark: SparkSession) -> None:
    border, late = date(2017, 12, 12), datetime(2017, 12, 12)
    first = {c.ITEM_ID: "i0", c.CATEGORY: "dairy", c.VALID_TO: border, c.KNOWN_TS: late - timedelta(seconds=1)}
    second = {c.ITEM_ID: "i0", c.CATEGORY: "tea", c.VALID_FROM: border, c.KNOWN_TS: late}
    run.lake.overwrite(tables.ITEM_HISTORY, versions_of(spark, first, second))
    shown = [{c.ITEM_ID: f"i{number}", c.KNOWN_TS: late - timedelta(seconds=number)} for number in range(2)]
    run.lake.overwrite(tables.PROMOTIONS, rows_of(spark, tables.PROMOTIONS, shown))
    before = replace(run, config=load_config([], [*SETTINGS, f'features.as_known_on="{border}"']))
    for asked, categories, items in ((before, ["dairy"], ["i1"]), (run, ["dairy", "tea"], ["i0", "i1"])):
        history = known_history_of_items(asked).collect()
        assert sorted(row[c.CATEGORY] for row in history) == categories
        assert sorted(row[c.ITEM_ID] for row in known_promotions(asked).collect()) == items
    assert [row[c.VALID_TO] for row in known_history_of_items(before).collect()] == [None]


def with_encoder(monkeypatch: pytest.MonkeyPatch, notes: Path) -> None:
    """One that writes down what it was given, in place of the pretrained one."""

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        with notes.open("a") as file:
            file.writelines(f"{text}\n" for text in texts)
        return np.array([[len(text)] for text in texts], dtype=np.float32)

    monkeypatch.setattr(text_encoder, "require_text_extra", lambda: None)
    monkeypatch.setattr(text_encoder, "load_text_encoder", lambda: encode)


@pytest.mark.long
def test_a_text_is_encoded_in_the_run_that_it_first_comes_in(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    with_encoder(monkeypatch, notes)
    days = local_rows(run.spark, [("tea",), ("cup",)], "item_id string")
    named = {"tea": "Green tea", "cup": "Cup", "unsold": "Jug"}
    for change, new in (
        ({}, {"Green tea", "Cup"}),
        ({}, set()),
        ({"tea": "Black tea", "cup": "Green tea"}, {"Black tea"}),
    ):
        notes.write_text("")
        named |= change
        items = [{c.ITEM_ID: item, c.NAME: name} for item, name in named.items()]
        vectors = text_vectors(run, days, rows_of(run.spark, tables.ITEMS, items))
        assert sorted(notes.read_text().splitlines()) == sorted(new)
    assert {row[c.TEXT]: row[c.VECTOR] for row in vectors.collect()} == {"Green tea": [9], "Black tea": [9], "Cup": [3]}


@pytest.mark.long
def test_optional_grains_are_written_where_the_configuration_names_them(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_encoder(monkeypatch, tmp_path / "notes")
    grains = [grain.name for grain in OPTIONAL_GRAINS]
    config = load_config([], [*SETTINGS, f"features.grains={grains}", "features.sequence_length=3"])
    figures = run_stage(build_features.STAGE, replace(run, config=config)).figures
    assert {name: figures[f"rows_{name}"] for name in grains} == {
        "sequence": 8,  # two users, four cut-offs
        "edge": 24,
        "item_item": 0,  # one line a basket
        "user_neighbours": 8,
        "item_neighbours": 12,
        "item_text": 12,  # three items with a category
        "item_vectors": 12,
    }
    newest = run.lake.read(tables.SEQUENCE_FEATURES).where(F.col(c.AS_OF_DATE) == F.lit(RUN_DATE)).collect()
    assert {row[c.USER_ID]: row[c.SEQUENCE_ITEMS] for row in newest} == {
        "u0": ["i2", "i1", "i0"],  # days 44, 46 and 48
        "u1": ["i1", "i0", "i2"],
    }


def test_an_empty_day_is_refused_before_anything_is_written(run: Run) -> None:
    with pytest.raises(
        InputError,
        match=r"no purchase from 2018-04-22 to 2019-04-21 \(history .*; 2019-05-06 to 2019-05-19 \(labels of .*"
        r"clean.events covers 2017-10-30 to 2017-12-17. "
        r"Cure: give a --run-date up to 2017-12-18",
    ):
        run_stage(build_features.STAGE, replace(run, run_date=date(2019, 6, 3)))
    with pytest.raises(InputError, match=r"2015-12-10 to 2016-12-08 \(history before cut-off 2016-12-09\)"):
        run_stage(build_features.STAGE, replace(run, run_date=date(2017, 1, 20)))
    assert run.lake.versions(FEATURE_TABLES) == {}


def test_a_log_without_purchases_is_refused(run: Run, spark: SparkSession) -> None:
    views = rows_of(spark, tables.EVENTS, [purchase("u", "i0", FIRST_DAY, event_type="view")])
    run.lake.overwrite(tables.EVENTS, views)
    with pytest.raises(InputError, match=r"clean.events has no purchase. Cure: run clean_logs"):
        run_stage(build_features.STAGE, run)


def test_an_item_that_is_listed_twice_is_refused(run: Run, spark: SparkSession) -> None:
    run.lake.overwrite(tables.ITEM_HISTORY, versions_of(spark, {c.ITEM_ID: "i0"}, {c.ITEM_ID: "i0"}))
    with pytest.raises(DataQualityError, match=r"found 2 for {'item_id': 'i0', 'valid_from'"):
        run_stage(build_features.STAGE, run)
