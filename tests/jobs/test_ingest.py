"""Files that come day by day end in the tables of one run over all of them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import clean_logs
from jobs.clean_logs import STAGE, add_options, work
from recsys import columns as c
from recsys import tables
from recsys.arguments import parse_arguments
from recsys.config import load_config
from recsys.errors import ConfigError, SchemaError
from recsys.frames.as_of import known_by
from recsys.lake.store import Lake
from recsys.stages import Figures, Outcome, Run, Stage, run_stage
from tests.clean.conftest import write_lines

MAPPING = """
local_time_zone: UTC
events:
  files: "day-*.csv"
  format: csv
  columns: {user_id: user, item_id: item, quantity: n}
  time: {column: at, zone: UTC}
  event_type: {constant: purchase}
  amount: {column: price, unit: whole}
items: {files: items.csv, format: csv, columns: {item_id: sku}}
"""
pytestmark = pytest.mark.long
# The same log where items are what the event files say of them.
REPEATED = MAPPING.replace(
    "items: {files: items.csv, format: csv, columns: {item_id: sku}}",
    'items: {files: "day-*.csv", format: csv, is_repeated: true, columns: {item_id: item, name: title}}',
)
HEADER = "user,item,at,n,price,title"
DAYS = {
    "day-1.csv": (
        "u1,i1,2024-05-01 09:00:00,1,2,lamp", "u2,i2,2024-05-01 10:00:00,1,3,tea", "u9,i7,2024-05-01,1,1,cup",
    ),
    "day-2.csv": ("u1,i1,2024-05-02 09:00:00,1,2,bulb", "u3,i3,2024-05-02 09:00:00,-1,2,pot"),
    # late: of the first day; the second line is also in day-4, the third repeats one of day-1
    "day-3.csv": (
        "u4,i1,2024-05-01 11:00:00,1,2,bulb", "u1,i3,2024-05-03 09:00:00,2,2,pot", "u2,i2,2024-05-01 10:00:00,1,3,tea",
    ),
    "day-4.csv": ("u1,i3,2024-05-03 09:00:00,2,2,pot", "u5,i2,2024-05-04 09:00:00,1,3,tea"),
}  # fmt: skip
WRITTEN = tuple(table for table in tables.ALL_TABLES if table.writer == "clean_logs")
# Indexes are given in the order of arrival, and a run's id tells which one took a file.
COMPARED = tuple(table for table in WRITTEN if not table.name.startswith("ids.") and table not in tables.OFFER_TABLES)
KNOWN = (c.KNOWN_TS, c.KNOWN_MS, c.FIRST_KNOWN_MS)


class Shop:
    """A folder that files come into, and lakes that it is cleaned into."""

    def __init__(self, spark: SparkSession, folder: Path, mapping: str) -> None:
        self._spark, self._folder = spark, folder
        self.log = folder / "log"
        write_lines(folder / "conf" / "sources" / "shop.yaml", mapping)
        write_lines(folder / "conf" / "local.yaml", "{}")
        self.put("items.csv", "sku", "i1", "i2", "i3")

    def put(self, name: str, *lines: str, modified_s: int = 1_714_550_000) -> None:
        os.utime(write_lines(self.log / name, *lines), (modified_s, modified_s))

    def put_days(self, names: Sequence[str]) -> None:
        for name in names:
            self.put(name, HEADER, *DAYS[name])

    def clean(self, lake: str = "lake", **options: Any) -> dict[str, Any]:
        return STAGE.run(replace(self.run(lake), options=options))

    def run(self, lake: str = "lake", *more: str) -> Run:
        settings = ["source.name=shop", f"source.input={self.log}", *more]
        config = load_config([self._folder / "conf" / "local.yaml"], settings)
        return Run(
            spark=self._spark,
            lake=Lake(self._spark, str(self._folder / lake)),
            config=config,
            conf_folder=self._folder / "conf",
            run_date=None,
        )

    def contents(self, lake: str = "lake", *, is_any_corrected: bool = False) -> dict[str, list[tuple[object, ...]]]:
        but = {table: [c.RUN_ID, *(KNOWN if is_any_corrected else ())] for table in COMPARED}
        if is_any_corrected:
            but[tables.ITEM_HISTORY].append(c.SOURCE_FILE)  # the first that said so
        names = {table: [n for n in table.column_names if n not in but[table]] for table in COMPARED}
        frames = {table: self.run(lake).lake.read(table).select(*names[table]) for table in COMPARED}
        return {table.name: sorted((tuple(r) for r in rows.collect()), key=str) for table, rows in frames.items()}

    def require_equal_to_a_whole_run(self, *remembering: tables.Table, is_any_corrected: bool = False) -> None:
        """Tables that are `remembering` hold what a file that was changed in place said before; when the rest of its
        rows became known, no lake knows that took it later."""
        self.clean("whole")
        found, whole = (self.contents(lake, is_any_corrected=is_any_corrected) for lake in ("lake", "whole"))
        for table in COMPARED:
            assert table in remembering or found[table.name] == whole[table.name], table.name


@pytest.fixture
def shop(spark: SparkSession, tmp_path: Path) -> Callable[[str], Shop]:
    return lambda mapping: Shop(spark, tmp_path, mapping)


def test_days_in_any_order_late_doubled_and_changed(
    shop: Callable[[str], Shop], caplog: pytest.LogCaptureFixture
) -> None:
    """Each run costs some ten seconds, so that one story answers several questions."""
    of_days = shop(REPEATED)
    of_days.put_days(["day-1.csv"])
    assert of_days.clean()["files"] == 1

    of_days.put_days(["day-4.csv", "day-3.csv"])
    assert of_days.clean()["files"] == 3, "day-3 repeats a row of day-1, which is judged again beside it"

    caplog.clear()
    of_days.put_days(["day-2.csv"])  # it stands before files that were taken before it
    of_days.put(
        "day-1.csv", HEADER, DAYS["day-1.csv"][0], "u2,i2,2024-05-01 10:00:00,4,3,tea", modified_s=1_714_560_000
    )
    assert of_days.clean() == {
        "files": 3, "rows": 6, "rows_read": 7, "rows_quarantined": 1, "rows_duplicate": 0,
        "reasons": {"quantity_out_of_range": 1}, "items": 3, "promotions": 0, "users": 4,
    }  # fmt: skip
    # The second row of day-1 changed: its duplicate in day-3 is one no longer.
    assert "changed since they were taken, their rows are replaced: day-1.csv" in caplog.text

    of_days.require_equal_to_a_whole_run(is_any_corrected=True)
    found = of_days.contents()
    assert [row[1:4] for row in found["clean.item_history"] if row[0] == "i1"] == [
        (date(2024, 5, 1), None, "bulb"),  # on that day said as often as lamp, and smaller
    ]
    assert {row[-2:] for row in found["clean.events"] if str(row[4]) == "2024-05-01"} == {
        ("day-1.csv", 1), ("day-1.csv", 2), ("day-3.csv", 1), ("day-3.csv", 3),
    }  # fmt: skip
    assert {row[0] for row in found["clean.users"]} == {"u1", "u2", "u4", "u5"}, "u9 has no event any more"
    again = {"from": "2024-05-02", "to": "2024-05-03"}
    assert of_days.clean(**again)["files"] == 3, "day-2, day-3 and what repeats a row of it"
    assert of_days.clean(requeue=True)["files"] == 1, "day-2; a duplicate waits for no correction"
    of_days.require_equal_to_a_whole_run(is_any_corrected=True)
    ids = {row[c.USER_ID]: row[c.USER_IDX] for row in of_days.run().lake.read(tables.USER_IDS).collect()}
    assert ids == {"u1": 0, "u2": 1, "u9": 2, "u4": 3, "u5": 4}, "an index never changes and never goes to another"


def test_a_row_that_is_corrected_at_its_source_comes_back_and_leaves_the_quarantine(
    shop: Callable[[str], Shop],
) -> None:
    """Nothing else tells that its file is another: its size and its time are those of before."""
    of_days, bad, good = shop(REPEATED), "u2,i2,2024-05-01 10:00:00,-1,3,tea", "u2,i2,2024-05-01 10:00:00,21,3,tea"
    of_days.put("day-1.csv", HEADER, DAYS["day-1.csv"][0], bad)
    of_days.put("day-4.csv", HEADER, "u5,i2,2024-05-04 09:00:00,1,3,tea")
    of_days.clean()
    assert held(of_days) == {("day-1.csv", 2): ["quantity_out_of_range"]}
    assert set(kept(of_days)) == {("day-1.csv", 1), ("day-4.csv", 1)}

    of_days.put("day-1.csv", HEADER, DAYS["day-1.csv"][0], good)
    options = parse_arguments(None, ["--requeue"], add_options).options
    figures = of_days.clean(**options)
    assert (figures["files"], figures["rows"], figures["rows_quarantined"]) == (1, 2, 0)
    assert held(of_days) == {}
    assert kept(of_days) == {
        ("day-1.csv", 1): (1.0, 200, 0.0, 0), ("day-1.csv", 2): (21.0, 300, 0.0, 0),
        ("day-4.csv", 1): (1.0, 300, 0.0, 0),
    }  # fmt: skip
    of_days.require_equal_to_a_whole_run()


PROMOTIONS = """
promotions:
  files: weeks.csv
  format: csv
  columns: {item_id: sku, store_id: shop}
  period: {starts_on: from, ends_before: to}
"""


def test_what_was_known_on_a_day_stands_through_corrections_copies_and_runs_over_all_files(
    shop: Callable[[str], Shop],
) -> None:
    """The second line is corrected in June, the third in July, the first never."""
    of_days = shop(REPEATED + PROMOTIONS)
    may, june, july, august = (datetime(2024, month, 9) for month in (5, 6, 7, 8))

    def put(second: str, third: str, at: datetime) -> None:
        modified_s = int(at.replace(tzinfo=UTC).timestamp())
        numbers = ("1", second, third)
        lines = (f"u{i},i{i},2024-05-0{i},{number},1,thing {number}" for i, number in enumerate(numbers, start=1))
        of_days.put("day-1.csv", HEADER, *lines, modified_s=modified_s)
        weeks = (f"i{i},s1,2024-05-0{number},2024-06-01" for i, number in enumerate(numbers, start=1))
        of_days.put("weeks.csv", "sku,shop,from,to", *weeks, modified_s=modified_s)

    def known_on(day: datetime) -> dict[str, set[str]]:
        lake = of_days.run().lake
        tables_of = {tables.EVENTS: c.USER_ID, tables.PROMOTIONS: c.ITEM_ID, tables.ITEM_VALUES: c.NAME}
        return {
            table.name: {row[key] for row in known_by(lake.read(table), day.date()).collect()}
            for table, key in tables_of.items()
        }

    def require_known() -> None:
        first, second, third = (
            ({"u1"}, {"i1"}, {"thing 1"}),
            ({"u2"}, {"i2"}, {"thing 2"}),
            ({"u3"}, {"i3"}, {"thing 3"}),
        )
        names = (tables.EVENTS.name, tables.PROMOTIONS.name, tables.ITEM_VALUES.name)
        known = [set(), set(), set()]  # type: list[set[str]]
        for day, came in ((june, first), (july, second), (august, third)):
            known = [before | new for before, new in zip(known, came, strict=True)]
            assert known_on(day) == dict(zip(names, known, strict=True)), day

    for second, third, at in (("4", "5", may), ("2", "5", june), ("2", "3", july)):
        put(second, third, at)
        of_days.clean()
    require_known()
    put("2", "3", august)  # a copy
    assert of_days.clean(**{"from": "2024-05-01"})["files"] == 1
    require_known()
    run = of_days.run("lake", "clean.max_quantity=9")
    assert STAGE.run(run)["files"] == 1, "all files, by other limits"
    require_known()


def test_items_are_made_of_all_values_where_a_run_was_killed_between_the_two(shop: Callable[[str], Shop]) -> None:
    of_days = shop(REPEATED)
    of_days.put_days(["day-1.csv", "day-2.csv"])
    of_days.clean()
    of_days.put("day-2.csv", HEADER, "u1,i1,2024-05-02 09:00:00,1,2,bulb", modified_s=1_714_560_000)
    lake = of_days.run().lake
    lake.overwrite(tables.ITEM_VALUES, lake.read(tables.ITEM_VALUES).where(f"{c.SOURCE_FILE} = 'day-1.csv'"))
    of_days.clean()
    of_days.require_equal_to_a_whole_run(is_any_corrected=True)


def test_rows_wait_for_their_item_and_unnamed_columns_are_reported_once(
    shop: Callable[[str], Shop], caplog: pytest.LogCaptureFixture
) -> None:
    of_days = shop(MAPPING)
    of_days.put_days(["day-1.csv", "day-2.csv"])
    of_days.put("items.csv", "sku,colour", "i1,red", "i2,", "i3,")
    assert of_days.clean()["reasons"] == {"quantity_out_of_range": 1, "unknown_item": 1}
    assert "events: columns of the files that the mapping does not name: title. They are kept as clean." in caplog.text
    assert "does not name: colour. They are not kept; map them, or list them under items.ignored" in caplog.text

    caplog.clear()
    of_days.put("items.csv", "sku,colour", "i1,", "i3,", "i7,", modified_s=1_714_560_000)
    assert of_days.clean()["reasons"] == {"unknown_item": 1}, "i7 came, i2 went"
    assert "does not name" not in caplog.text
    of_days.require_equal_to_a_whole_run(tables.ITEMS, tables.ITEM_HISTORY, is_any_corrected=True)
    assert {row[0] for row in of_days.contents()["clean.items"]} == {"i1", "i3", "i7"}
    changed_on = date(2024, 5, 1)  # on the day the file became known, which is that of its first state
    assert {(row[0], row[2]) for row in of_days.contents()["clean.item_history"]} == {
        ("i1", None), ("i2", changed_on), ("i3", None), ("i7", None),
    }  # fmt: skip
    rescued = {row[15]["title"] for row in of_days.contents()["clean.events"]}  # type: ignore[index]
    assert rescued == {"lamp", "cup", "bulb"}


ACROSS = """
clean:
  near_duplicate_seconds: 10
  cancellation_pattern: "^C"
  bot_items_a_day: 2
  price_outlier_deviations: 5
  price_history_lines: 2
  session_gap_minutes: 30
""" + MAPPING.replace("quantity: n}", "quantity: n, basket_id: basket}").replace(
    "unit: whole", "unit: whole, multiply_by_quantity: true"
)
ACROSS_HEADER = "user,item,at,n,price,basket"
FIRST = (
    "u1,i1,2024-05-01 09:00:00,3,2,b1", "u1,i2,2024-05-01 09:40:00,1,3,b2", "u2,i3,2024-05-01 12:00:05,1,2,b3",
)  # fmt: skip
THIRD = (
    "u1,i1,2024-05-03 09:00:00,-2,2,C4", "u5,i1,2024-05-03 10:00:00,1,2,b5", "u5,i2,2024-05-03 10:00:00,1,3,b5",
    "u6,i2,2024-05-03 11:00:00,-1,3,C6", "u7,i1,2024-05-03 12:00:00,1,9,b7",
)  # fmt: skip
# Late: a purchase nearer to the cancellation, the third item of u5's day, a line that stood ten seconds before one
# that is known, and one between two sessions.
SECOND = (
    "u1,i1,2024-05-02 09:00:00,2,2,b8", "u5,i3,2024-05-03 10:05:00,1,2,b9", "u2,i3,2024-05-01 12:00:00,1,2,b3",
    "u1,i2,2024-05-01 09:20:00,1,2,b10",
)  # fmt: skip


def test_rules_across_rows_do_not_depend_on_the_order_of_files(shop: Callable[[str], Shop]) -> None:
    of_days = shop(ACROSS)
    of_days.put("day-1.csv", ACROSS_HEADER, *FIRST)
    of_days.put("day-3.csv", ACROSS_HEADER, *THIRD)
    of_days.clean()
    assert kept(of_days) == {
        ("day-1.csv", 1): (1.0, 200, 2.0, 400), ("day-1.csv", 2): (1.0, 300, 0.0, 0),
        ("day-1.csv", 3): (1.0, 200, 0.0, 0), ("day-3.csv", 2): (1.0, 200, 0.0, 0),
        ("day-3.csv", 3): (1.0, 300, 0.0, 0), ("day-3.csv", 5): (1.0, 900, 0.0, 0),
    }  # fmt: skip
    assert held(of_days) == {("day-3.csv", 1): ["cancellation"], ("day-3.csv", 4): ["unmatched_cancellation"]}

    of_days.put("day-2.csv", ACROSS_HEADER, *SECOND)
    figures = of_days.clean()
    assert (figures["files"], figures["rows_duplicate"]) == (3, 1)
    assert kept(of_days) == {
        ("day-1.csv", 1): (3.0, 600, 0.0, 0), ("day-1.csv", 2): (1.0, 300, 0.0, 0),
        ("day-2.csv", 3): (1.0, 200, 0.0, 0), ("day-2.csv", 4): (1.0, 200, 0.0, 0),
    }  # fmt: skip
    assert held(of_days) == {
        ("day-1.csv", 3): ["near_duplicate"], ("day-2.csv", 1): ["cancelled_purchase"],
        ("day-2.csv", 2): ["bot_breadth"], ("day-3.csv", 1): ["cancellation"], ("day-3.csv", 2): ["bot_breadth"],
        ("day-3.csv", 3): ["bot_breadth"], ("day-3.csv", 4): ["unmatched_cancellation"],
        ("day-3.csv", 5): ["price_outlier"],
    }  # fmt: skip
    of_u1 = of_days.run().lake.read(tables.EVENTS).where("user_id = 'u1'").select(c.SESSION_ID).distinct()
    assert of_u1.count() == 1, "no gap of half an hour any more"

    of_days.put("day-2.csv", ACROSS_HEADER, SECOND[1].replace("u5", "u8"), modified_s=1_714_560_000)
    of_days.clean()
    assert held(of_days) == {("day-3.csv", 1): ["cancellation"], ("day-3.csv", 4): ["unmatched_cancellation"]}
    of_days.require_equal_to_a_whole_run(is_any_corrected=True)


def test_a_stream_over_arriving_files_gives_the_tables_of_a_run(shop: Callable[[str], Shop]) -> None:
    of_days = shop(MAPPING)
    taken = []
    for names in (["day-1.csv", "day-4.csv"], ["day-3.csv"], []):
        of_days.put_days(names)
        run = replace(of_days.run(), options={"stream": True, "every": None})
        taken += [outcome.figures["files"] for outcome in work(run)]
    assert taken == [2, 3, 0], "day-3 repeats a row of day-1 and is repeated by one of day-4; then nothing is new"
    of_days.require_equal_to_a_whole_run()

    of_days.put("day-2.csv", "user,item", "u1,i1")
    with pytest.raises(SchemaError, match=r"day-2.csv lacks the columns"):
        work(replace(of_days.run(), options={"stream": True, "every": None}))


@pytest.fixture
def interrupts() -> Iterator[None]:
    """As Python takes them: Spark's own handler calls the JVM."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_stream_that_goes_on_takes_what_comes_until_it_is_interrupted(
    shop: Callable[[str], Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_days = shop(MAPPING)
    going_on = replace(of_days.run(), options={"stream": False, "every": 1})
    taken: list[int] = []

    def run_and_go_on(stage: Stage, run: Run) -> Outcome:
        outcome = run_stage(stage, run)
        taken.append(outcome.figures["files"])
        if len(taken) == 1:
            of_days.put_days(["day-2.csv"])
        else:  # while nothing is to be done
            threading.Timer(1, signal.raise_signal, [signal.SIGINT]).start()
        return outcome

    def clean_and_be_interrupted(run: Run) -> Figures:
        STAGE.run(run)
        raise KeyboardInterrupt

    of_days.put_days(["day-1.csv"])
    monkeypatch.setattr(clean_logs, "run_stage", run_and_go_on)
    with pytest.raises(KeyboardInterrupt):
        work(going_on)
    assert taken == [1, 1]
    contents = of_days.contents()
    of_days.put_days(["day-4.csv"])
    monkeypatch.setattr(clean_logs, "run_stage", run_stage)
    monkeypatch.setattr(clean_logs, "STAGE", replace(STAGE, run=clean_and_be_interrupted))
    with pytest.raises(KeyboardInterrupt):
        work(going_on)
    assert of_days.contents() == contents, "what the batch had written is taken back"
    monkeypatch.setattr(clean_logs, "STAGE", STAGE)
    until_taken = replace(going_on, options={"stream": True, "every": None})
    assert [outcome.figures["files"] for outcome in work(until_taken)] == [1]
    of_days.require_equal_to_a_whole_run()


def test_a_stream_that_looks_again_at_once_is_refused(shop: Callable[[str], Shop]) -> None:
    with pytest.raises(ConfigError, match=r"--every takes whole seconds, at least 1, got 0"):
        work(replace(shop(MAPPING).run(), options={"stream": False, "every": 0}))


def kept(shop: Shop) -> dict[tuple[str, int], tuple[object, ...]]:
    names = (c.QUANTITY, c.AMOUNT_CENTS, c.CANCELLED_QUANTITY, c.CANCELLED_CENTS)
    rows = shop.run().lake.read(tables.EVENTS).collect()
    return {(row[c.SOURCE_FILE], row[c.SOURCE_ROW]): tuple(row[name] for name in names) for row in rows}


def held(shop: Shop) -> dict[tuple[str, int], list[str]]:
    rows = shop.run().lake.read(tables.QUARANTINE).collect()
    return {(row[c.SOURCE_FILE], row[c.SOURCE_ROW]): row[c.REASONS] for row in rows}
