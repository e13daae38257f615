"""The job on a made log of two days: CSV events and items, a JSON user file, CSV promotions, its own mapping."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession

from jobs import run_pipeline
from jobs.clean_logs import STAGE, add_options
from recsys import columns as c
from recsys import tables
from recsys.arguments import parse_arguments
from recsys.config import load_config
from recsys.errors import ConfigError, DataQualityError, InputError
from recsys.lake.store import Lake
from recsys.stages import Run
from tests.clean.conftest import write_lines
from tests.feature_rows import write_rows

MAPPING = """
note: made up
local_time_zone: America/New_York
events:
  files: "events-*.csv"
  format: csv
  columns: {user_id: user, item_id: item, basket_id: basket, store_id: shop, quantity: n}
  time: {column: at, zone: America/New_York}
  event_type: {constant: purchase}
  amount: {column: price, unit: whole, multiply_by_quantity: true}
items:
  files: items.csv
  format: csv
  columns: {item_id: sku, name: title, category: group}
  eligible: {exclude: {category: [fuel]}}
users: {files: users.jsonl, format: json, columns: {user_id: id}, is_complete: false, attributes: [age]}
promotions:
  files: promotions.csv
  format: csv
  columns: {item_id: sku, store_id: shop}
  period: {week: week, first_week_starts: "2024-04-29"}
  is_mailed: {column: leaflet, false_values: ["0"]}
"""
HEADER = "user,item,at,basket,shop,n,price"
MAY_4 = date(2024, 5, 4)
WRITTEN = tuple(table for table in tables.ALL_TABLES if table.writer == "clean_logs")


def write_log(folder: Path) -> None:
    write_lines(
        folder / "events-1.csv",
        HEADER,
        "u1,i1,2024-05-03 22:30:00,b1,s1,2,1.25",  # Saturday in UTC, Friday in New York
        "u1,i1,2024-05-03 22:30:00,b1,s1,2,1.25",  # said twice
        ",i1,2024-05-03 22:31:00,b2,s1,-1,1.25",
        "u1,i9,2024-05-03 22:32:00,b3,s1,1,1.25",
    )
    write_lines(folder / "events-2.csv", HEADER, "u2,i2,2024-05-04 09:00:00,b4,s1,1,50", "u2,i2")
    write_lines(folder / "items.csv", "sku,title,group", "i1,lamp,light", "i2,petrol,fuel", "i1,bulb,light", "i3,pot,")
    write_lines(folder / "users.jsonl", json.dumps({"id": "u1", "age": 40}), json.dumps({"id": "u5", "age": None}))
    write_lines(folder / "promotions.csv", "sku,shop,week,leaflet", "i1,s1,1,A", "i1,s1,2,0")


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    write_log(tmp_path / "log")
    conf_folder = tmp_path / "conf"
    write_lines(conf_folder / "sources" / "shop.yaml", MAPPING)
    config = load_config([], ["source.name=shop", f"source.input={tmp_path / 'log'}"])
    lake = Lake(spark, str(tmp_path / "lake"))
    return Run(spark=spark, lake=lake, config=config, conf_folder=conf_folder, run_date=None)


def contents(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    """Without what a hash or a file's time makes."""
    unnamed = {c.IDENTITY, c.KNOWN_TS, c.RUN_ID, c.MODIFIED_MS, c.CHECKSUM, c.RULES, c.NUM_BYTES}
    unnamed |= {c.KNOWN_MS, c.FIRST_KNOWN_MS}
    found = {
        table.name: lake.read(table).select(*(n for n in table.column_names if n not in unnamed)).collect()
        for table in WRITTEN
        if table not in tables.OFFER_TABLES  # its mapping has none
    }
    return {name: sorted((tuple(row) for row in rows), key=str) for name, rows in found.items()}


def test_tables_of_a_small_log_and_the_same_again(run: Run) -> None:
    STAGE.check(run)
    figures = STAGE.run(run)
    first = contents(run.lake)
    assert first["clean.events"] == [
        ("u1", "i1", "purchase", datetime(2024, 5, 4, 2, 30), date(2024, 5, 4), 22, 5, "b1", "s1", None, 2.0, 250,
         0.0, 0, None, None, "events-1.csv", 1),
        ("u2", "i2", "purchase", datetime(2024, 5, 4, 13, 0), date(2024, 5, 4), 9, 6, "b4", "s1", None, 1.0, 5000,
         0.0, 0, None, None, "events-2.csv", 1),
    ]  # fmt: skip
    assert first["clean.items"] == [
        ("i1", "lamp", None, "light", None, None, True),
        ("i2", "petrol", None, "fuel", None, None, False),
        ("i3", "pot", None, None, None, None, True),
    ]
    assert first["clean.users"] == [
        ("u1", False, False, {"age": "40"}), ("u2", False, False, {}), ("u5", False, False, {}),
    ]  # fmt: skip
    beginning = date(2000, 1, 1)
    assert first["clean.item_history"] == [
        (item, beginning, None, *values, "items.csv") for item, *values in first["clean.items"]
    ]
    assert first["clean.user_history"] == [
        ("u1", beginning, None, False, {"age": "40"}, "users.jsonl"), ("u5", beginning, None, False, {}, "users.jsonl"),
    ]  # fmt: skip
    assert first["clean.promotions"] == [
        ("s1", "i1", date(2024, 4, 29), date(2024, 5, 6), False, True),
        ("s1", "i1", date(2024, 5, 6), date(2024, 5, 13), False, False),
    ]
    assert [row[:4] for row in first["clean.quarantine"]] == [
        ("events", "events-1.csv", 2, ["exact_duplicate"]),
        ("events", "events-1.csv", 3, ["amount_out_of_range", "missing_user", "quantity_out_of_range"]),
        ("events", "events-1.csv", 4, ["unknown_item"]),
        ("events", "events-2.csv", 2, ["malformed_row"]),
        ("items", "items.csv", 3, ["key_duplicate"]),
    ]
    rules = ("amount_out_of_range", "exact_duplicate", "missing_user", "quantity_out_of_range", "unknown_item")
    shares = dict.fromkeys(rules, 0.25)
    assert first["ops.quality"] == [
        ("events", "events-1.csv", MAY_4, 4, 1, 2, 1, shares),
        ("events", "events-2.csv", None, 1, 0, 1, 0, {"malformed_row": 1.0}),
        ("events", "events-2.csv", MAY_4, 1, 1, 0, 0, {}),
        ("items", "items.csv", None, 4, 3, 0, 1, {"key_duplicate": 0.25}),
        ("promotions", "promotions.csv", None, 2, 2, 0, 0, {}),
        ("users", "users.jsonl", None, 2, 2, 0, 0, {}),
    ]
    assert first["ids.users"] == [("u1", 0), ("u2", 1), ("u5", 2)]
    assert first["ids.items"] == [("i1", 0), ("i2", 1), ("i3", 2)]
    assert first["ids.categories"] == [("fuel", 0), ("light", 1)]
    files = {(table, file) for table, file, *_ in first["ops.quality"]}
    kinds = {"users.jsonl": {"id": "text", "age": "whole number"}}
    sums = {
        "events-1.csv": (4, 1, 2, 1), "events-2.csv": (2, 1, 1, 0), "items.csv": (4, 3, 0, 1),
        "promotions.csv": (2, 2, 0, 0), "users.jsonl": (2, 2, 0, 0),
    }  # fmt: skip
    assert first["clean.ledger"] == [
        (table, file, [], kinds.get(file, {}), *sums[file]) for table, file in sorted(files)
    ]
    assert first["clean.item_values"] == []
    assert figures == {
        "files": 2, "rows": 2, "rows_read": 6, "rows_quarantined": 3, "rows_duplicate": 1, "items": 3,
        "promotions": 2, "users": 3, "reasons": dict.fromkeys((*rules, "malformed_row"), 1),
    }  # fmt: skip

    before = run.lake.versions(WRITTEN)
    again = STAGE.run(run)
    assert (again["files"], again["rows"], again["items"]) == (0, 0, 3), "a file is taken once"
    assert run.lake.versions(WRITTEN) == before


@pytest.mark.long
def test_a_file_that_is_changed_in_place_leaves_what_it_said_in_the_history(run: Run, tmp_path: Path) -> None:
    log, may, june = tmp_path / "log", datetime(2024, 5, 9, 12), datetime(2024, 6, 9, 12)
    for name in ("items.csv", "users.jsonl", "promotions.csv"):
        set_time(log / name, may)
    STAGE.run(run)
    for table in (tables.ITEMS, tables.PROMOTIONS, tables.ITEM_HISTORY, tables.USER_HISTORY):
        assert {row[c.KNOWN_TS] for row in run.lake.read(table).collect()} == {may}, table.name
    set_time(write_lines(log / "items.csv", "sku,title,group", "i1,lamp,home", "i2,petrol,fuel", "i3,pot,"), june)
    set_time(write_lines(log / "users.jsonl", json.dumps({"id": "u1", "age": 41})), june)
    set_time(write_lines(log / "promotions.csv", "sku,shop,week,leaflet", "i1,s1,1,A", "i1,s1,2,B"), june)
    STAGE.run(run)
    items, users, promotions = (run.lake.read(t).collect() for t in (tables.ITEMS, tables.USERS, tables.PROMOTIONS))
    assert {(row[c.ITEM_ID], row[c.CATEGORY], row[c.KNOWN_TS]) for row in items} == {
        ("i1", "home", june), ("i2", "fuel", may), ("i3", None, may),
    }  # fmt: skip
    assert {(row[c.USER_ID], row[c.KNOWN_TS]) for row in users} == {("u1", june), ("u2", None)}
    # The first week is said as it was; the second is another promotion now.
    assert {(row[c.STARTS_ON], row[c.KNOWN_TS]) for row in promotions} == {
        (date(2024, 4, 29), may), (date(2024, 5, 6), june),
    }  # fmt: skip
    history = run.lake.read(tables.ITEM_HISTORY).where("item_id = 'i1'").collect()
    versions = {(row[c.CATEGORY], row[c.VALID_FROM], row[c.VALID_TO], row[c.KNOWN_TS]) for row in history}
    beginning = date(2000, 1, 1)
    assert versions == {("light", beginning, june.date(), may), ("home", june.date(), None, june)}
    of_users = run.lake.read(tables.USER_HISTORY).collect()
    assert {(row[c.USER_ID], row[c.VALID_FROM], row[c.VALID_TO], row[c.ATTRIBUTES].get("age")) for row in of_users} == {
        ("u1", beginning, june.date(), "40"), ("u1", june.date(), None, "41"), ("u5", beginning, june.date(), None),
    }  # fmt: skip


def set_time(file: Path, at: datetime) -> None:
    os.utime(file, (at.timestamp(), at.timestamp()))  # naive UTC, as the tests' own clock


def test_its_input_is_another_when_a_file_or_the_mapping_changes(run: Run, tmp_path: Path) -> None:
    states = [STAGE.inputs(run)]
    assert STAGE.inputs(run) == states[0]
    write_lines(tmp_path / "log" / "events-3.csv", HEADER, "u1,i1,2024-05-05 09:00:00,b5,s1,1,1")
    states.append(STAGE.inputs(run))
    write_lines(run.conf_folder / "sources" / "shop.yaml", MAPPING.replace("made up", "made up again"))
    states.append(STAGE.inputs(run))
    assert len(set(map(tuple, states))) == 3


def test_a_log_of_which_too_much_is_rejected_stops_before_a_table_is_written(run: Run) -> None:
    """Half of the events of events-1 and of events-2 are."""
    strict = replace(run, config=replace(run.config, clean=replace(run.config.clean, alarm_min_rows=2)))
    message = r"file events-1\.csv: 50\.0% of 4 records, clean\.alarm_rejected_share is 0\.4.*Nothing was written"
    with pytest.raises(DataQualityError, match=message):
        STAGE.run(strict)
    assert not [table.name for table in WRITTEN if run.lake.exists(table)]


def test_files_that_are_gone_are_not_forgotten_without_a_word(run: Run) -> None:
    """The ledger is that of an earlier version of the code, which judged the file by other rules."""
    ledger = {c.SOURCE_TABLE: "events", c.SOURCE_FILE: "events-0.csv", c.RULES: "other", c.NUM_BYTES: 1}
    write_rows(run.lake, tables.LEDGER, [{**ledger, c.MODIFIED_MS: 1, c.CHECKSUM: "x"}])
    with pytest.raises(InputError, match=r"1 files .* no longer in the input folder \S*log: \['events-0.csv'\]"):
        STAGE.check(run)
    STAGE.check(replace(run, options={"forget": True}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--from 2024-05-04 --to 2024-05-03",
            r"--from 2024-05-04 lies after --to 2024-05-03: give the earlier day first",
        ),
        ("--from=2024-02-30", r"--from must be a day like 2017-12-18, got '2024-02-30'"),
        ("--from 2024-05-03 --to May --requeue", r"--to must be a day like 2017-12-18, got 'May'"),
    ],
)
def test_a_range_that_is_none_is_refused(run: Run, arguments: str, message: str) -> None:
    """As the command line gives it."""
    parsed = parse_arguments(None, arguments.split(), add_options)
    with pytest.raises(ConfigError, match=message):
        STAGE.check(replace(run, options=parsed.options))


def test_a_range_of_one_day_and_what_waits_may_be_asked_for_together(run: Run) -> None:
    asked = parse_arguments(None, ["--from", "2024-05-03", "--to", "2024-05-03", "--requeue"], add_options).options
    assert asked == {
        "from": "2024-05-03", "to": "2024-05-03", "requeue": True, "forget": False, "stream": False, "every": None,
    }  # fmt: skip
    STAGE.check(replace(run, options=asked))


def test_an_empty_day_leaves_the_lake_alone(run: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "log" / "events-2.csv", HEADER)
    with pytest.raises(InputError, match=r"events-2.csv has no record; of 2 files 1 are empty"):
        STAGE.run(run)
    assert not any(run.lake.exists(table) for table in WRITTEN)


def test_the_chain_refuses_what_a_later_stage_cannot_do_before_it_reads_the_log(run: Run, tmp_path: Path) -> None:
    config = load_config([], ["source.name=shop", f"source.input={tmp_path / 'log'}", "train.model=fm"])
    with pytest.raises(ConfigError, match="unknown model 'fm'; known models: "):
        run_pipeline.run_all(replace(run, config=config))
    assert not run.lake.exists(tables.EVENTS)


def test_counts_that_do_not_add_up_leave_the_lake_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.clean import sources

    counted = sources._rows_by_file

    def one_more(blocks: Sequence[Row], paths: Mapping[str, str]) -> dict[str, int]:
        return {path: rows + 1 for path, rows in counted(blocks, paths).items()}

    monkeypatch.setattr(sources, "_rows_by_file", one_more)
    with pytest.raises(DataQualityError, match=r"items items.csv: read 5, kept 3, quarantined 0, duplicate 1"):
        STAGE.run(run)
    assert not any(run.lake.exists(table) for table in WRITTEN)
