"""Versions of items and users: from files of their own, from rows with a day, and as known on a day."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.clean.files import InputFile
from recsys.clean.history import (
    Described,
    as_known_on,
    history_of_days,
    history_of_files,
    history_since,
    newest,
    with_first_told,
)
from recsys.clean.items import ITEM, known_item_history
from recsys.frames.local_rows import local_rows
from tests.clean.conftest import file_of
from tests.feature_rows import rows_of

FIRST_DAY = date(2000, 1, 1)
THING = Described(key=c.ITEM_ID, values=(c.CATEGORY,))
MAY_1, JUNE_1, JUNE_9, JULY_1 = (datetime(2024, *day, 9) for day in ((5, 1), (6, 1), (6, 9), (7, 1)))
# Item, category, first day and the day after the last: None for the beginning and for now.
Version = tuple[str, str | None, date | None, date | None]


def file(path: str, at: datetime) -> InputFile:
    modified_ms = int((at - datetime(1970, 1, 1)).total_seconds() * 1000)
    return file_of(path, modified_ms=modified_ms)


def taken(spark: SparkSession, past: DataFrame | None, *said: tuple[str, datetime, dict[str, str | None]]) -> DataFrame:
    """The history after a run over these files: path, time, category by item."""
    files = [file(path, at) for path, at, _ in said]
    rows = [(item, category, path, at) for path, at, of_file in said for item, category in of_file.items()]
    frame = local_rows(spark, rows, "item_id string, category string, source_file string, known_ts timestamp")
    history = history_of_files(frame, past, files, THING, FIRST_DAY)
    kept = [tuple(row[name] for name in COLUMNS) for row in history.collect()]
    return local_rows(spark, kept, SCHEMA)


COLUMNS = (c.ITEM_ID, c.CATEGORY, c.VALID_FROM, c.VALID_TO, c.KNOWN_TS, c.SOURCE_FILE)
SCHEMA = "item_id string, category string, valid_from date, valid_to date, known_ts timestamp, source_file string"


def versions(history: DataFrame) -> list[Version]:
    rows = history.orderBy(c.ITEM_ID, c.VALID_FROM).collect()
    return [
        (
            row[c.ITEM_ID],
            row[c.CATEGORY],
            None if row[c.VALID_FROM] == FIRST_DAY else row[c.VALID_FROM],
            row[c.VALID_TO],
        )
        for row in rows
    ]


def test_a_changed_file_begins_a_version_and_one_that_says_the_same_does_not(spark: SparkSession) -> None:
    first = taken(spark, None, ("items", MAY_1, {"a": "dairy", "b": None, "c": "bakery"}))
    assert versions(first) == [("a", "dairy", None, None), ("b", None, None, None), ("c", "bakery", None, None)]
    changed = ("items", JUNE_1, {"a": "drinks", "b": "snacks", "c": "bakery", "d": "dairy"})
    second = taken(spark, first, changed)
    june = JUNE_1.date()
    expected = [
        ("a", "dairy", None, june), ("a", "drinks", june, None),
        ("b", None, None, june), ("b", "snacks", june, None),  # from null: a change too
        ("c", "bakery", None, None),
        ("d", "dairy", None, None),  # its first values hold from the beginning
    ]  # fmt: skip
    assert versions(second) == expected
    assert {row[c.KNOWN_TS] for row in second.where("item_id = 'c'").collect()} == {MAY_1}
    assert versions(taken(spark, second, changed)) == expected, "the same file again"


def test_files_that_are_added_give_one_history_in_whatever_order_they_come(spark: SparkSession) -> None:
    may, june = ("1", MAY_1, {"a": "dairy"}), ("2", JUNE_1, {"a": "drinks", "b": "tea"})
    july = ("0", JULY_1, {"a": "dairy"})
    at_once = taken(spark, None, may, june, july)
    assert versions(at_once) == [
        ("a", "dairy", None, JUNE_1.date()), ("a", "drinks", JUNE_1.date(), JULY_1.date()),
        ("a", "dairy", JULY_1.date(), None), ("b", "tea", None, None),
    ]  # fmt: skip
    last_first = taken(spark, taken(spark, None, july), may, july)
    assert versions(taken(spark, last_first, may, june, july)) == versions(at_once)


def test_of_files_of_one_day_the_newest_counts_and_the_first_path_at_a_tie(spark: SparkSession) -> None:
    later = MAY_1.replace(hour=10)
    said = ("1", MAY_1, {"a": "dairy"}), ("3", later, {"a": "tea"}), ("2", later, {"a": "drinks"})
    assert versions(taken(spark, None, *said)) == [("a", "drinks", None, None)]
    rows = [("a", of_file["a"], path, at) for path, at, of_file in said]
    frame = local_rows(spark, rows, "item_id string, category string, source_file string, known_ts timestamp")
    files = [file(path, at) for path, at, _ in said]
    assert [row[c.CATEGORY] for row in newest(frame, files, THING).collect()] == ["drinks"]


def test_an_item_that_no_file_names_ends_and_a_file_that_is_put_back_takes_back_what_it_said(
    spark: SparkSession,
) -> None:
    first = taken(spark, None, ("items", MAY_1, {"a": "dairy", "b": "tea"}), ("more", MAY_1, {"d": "tea"}))
    without = taken(spark, first, ("items", JUNE_1, {"b": "soup"}))
    june = JUNE_1.date()
    assert versions(without) == [
        ("a", "dairy", None, june), ("b", "tea", None, june), ("b", "soup", june, None), ("d", "tea", None, june),
    ]  # fmt: skip
    again = taken(spark, without, ("items", JUNE_9, {"a": "dairy", "b": "soup"}))
    assert versions(again)[:2] == [("a", "dairy", None, june), ("a", "dairy", JUNE_9.date(), None)]
    back = taken(spark, without, ("items", MAY_1, {"a": "dairy", "b": "tea"}))
    assert versions(back)[:2] == [("a", "dairy", None, None), ("b", "tea", None, None)]


def test_attributes_are_compared_whatever_their_order(spark: SparkSession) -> None:
    user, june = Described(key=c.USER_ID, values=(c.ATTRIBUTES,)), [file("f", JUNE_1)]
    schema = "user_id string, attributes map<string,string>, source_file string, known_ts timestamp"

    def said(of_u: dict[str, str], at: datetime) -> DataFrame:
        return local_rows(spark, [("u", of_u, "f", at)], schema)

    past = history_of_files(said({"a": "1", "b": "2"}, MAY_1), None, [file("f", MAY_1)], user, FIRST_DAY)
    for of_u, number in (({"b": "2", "a": "1"}, 1), ({"a": "1"}, 2)):
        history = history_of_files(said(of_u, JUNE_1), past, june, user, FIRST_DAY)
        assert history.count() == number, of_u


def test_what_stood_there_before_keeps_when_it_became_known(spark: SparkSession) -> None:
    schema = "source_file string, name string, rows int, known_ts timestamp"
    past = local_rows(
        spark,
        [("f", "tea", 1, MAY_1), ("f", None, 1, JUNE_1), ("f", "twice", 1, JUNE_9), ("f", "twice", 2, MAY_1),
         ("f", "later", 1, JULY_1)],
        schema,
    )  # fmt: skip
    now = [("f", name, 7, JUNE_9) for name in ("tea", None, "twice", "later", "new")] + [("other", "tea", 7, JULY_1)]
    same = [F.col("source_file"), F.lower("name")]
    told = with_first_told(local_rows(spark, now, schema), past, same)
    assert told.columns == ["source_file", "name", "rows", "known_ts"]
    assert {row[:2]: row[3] for row in map(tuple, told.collect())} == {
        ("f", "tea"): MAY_1, ("f", None): JUNE_1, ("f", "twice"): MAY_1, ("f", "later"): JUNE_9, ("f", "new"): JUNE_9,
        ("other", "tea"): JULY_1,
    }  # fmt: skip


def values_of(spark: SparkSession, *rows: tuple[str, int | None, str | None, int, datetime]) -> DataFrame:
    """clean.item_values: file, day of May, category, rows and when they became known, of item a."""
    return rows_of(
        spark,
        tables.ITEM_VALUES,
        [
            {c.ITEM_ID: "a", c.SOURCE_FILE: path, c.CATEGORY: category, c.ROWS: number, c.KNOWN_TS: at}
            | {c.EVENT_DATE: None if day is None else date(2024, 5, day)}
            for path, day, category, number, at in rows
        ],
    )


def days_of(history: DataFrame) -> list[tuple[Any, ...]]:
    rows = history.orderBy(c.VALID_FROM).collect()
    return [(row[c.VALID_FROM].day, row[c.VALID_TO] and row[c.VALID_TO].day, row[c.CATEGORY]) for row in rows]


ROWS: Sequence[tuple[str, int | None, str | None, int, datetime]] = (
    ("1", 2, None, 9, MAY_1),  # nothing is said yet
    ("1", 3, "dairy", 2, MAY_1),
    ("2", 3, "tea", 1, JUNE_1),
    ("2", 4, "dairy", 1, JUNE_1),
    ("2", 6, "tea", 2, JUNE_1),
    ("2", 6, "soup", 2, JUNE_1),  # a tie: the smallest
    ("3", 6, None, 8, JUNE_9),  # blank is no value, however frequent
    ("3", 8, None, 1, JUNE_9),  # and ends none
    ("3", 9, "dairy", 1, JUNE_9),
    ("3", None, "later", 99, JUNE_9),  # of no day
)


def test_rows_hold_from_their_day_and_the_most_frequent_value_of_the_day_counts(spark: SparkSession) -> None:
    history = history_of_days(values_of(spark, *ROWS), ITEM)
    expected = [(2, 3, None), (3, 6, "dairy"), (6, 9, "soup"), (9, None, "dairy")]
    assert days_of(history) == expected
    assert days_of(history_of_days(values_of(spark, *ROWS[::-1]).repartition(5), ITEM)) == expected
    found = history.where("category = 'soup'").collect()[0]
    assert (found[c.KNOWN_TS], found[c.SOURCE_FILE], found[c.NAME]) == (JUNE_1, "2", None)


CHANGED: dict[str, tuple[set[int], tuple[int | None, str | None, int]]] = {
    # Rows of ROWS that go, and day, category and number of one that comes.
    "the next day": (set(), (12, "tea", 1)),
    "a late row that turns a tie": (set(), (6, "tea", 1)),
    "a late day between two versions": (set(), (5, "tea", 1)),
    "the first day is earlier": (set(), (1, "dairy", 1)),
    "a row of another day in its place": ({5}, (7, "milk", 1)),
    "nothing of a day any more": (set(), (None, "later", 1)),
    "all rows in the place of others": (set(range(len(ROWS))), (20, "oil", 1)),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_history_made_anew_from_the_first_changed_day_is_that_of_all_days(spark: SparkSession, case: str) -> None:
    gone, (day, category, number) = CHANGED[case]
    came = ("4", day, category, number, JULY_1)
    now = values_of(spark, *(row for index, row in enumerate(ROWS) if index not in gone), came)
    changed = values_of(spark, *(ROWS[index] for index in gone), came)
    other = [{c.ITEM_ID: "b", c.CATEGORY: "tea", c.VALID_FROM: date(2024, 5, 1), c.SOURCE_FILE: "1", c.KNOWN_TS: MAY_1}]
    stands = rows_of(spark, tables.ITEM_HISTORY, other)
    past = stands.unionByName(history_of_days(values_of(spark, *ROWS), ITEM), allowMissingColumns=True)
    names = (c.ITEM_ID, c.VALID_FROM, c.VALID_TO, *ITEM.values, c.KNOWN_TS, c.SOURCE_FILE)

    def rows(history: DataFrame) -> list[Any]:
        return sorted((tuple(row) for row in history.select(*names).collect()), key=str)

    expected = rows(stands.select(*names).unionByName(history_of_days(now, ITEM).select(*names)))
    assert rows(history_since(past, now, changed, ITEM)) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2024, 6, 9), [(2, 3, None), (3, 6, "dairy"), (6, None, "soup")]),
        # The second file is late: its day 6 is not known, nor that its day 3 had one more row.
        (date(2024, 6, 1), [(2, 3, None), (3, None, "dairy")]),
        (date(2024, 5, 1), []),
    ],
)
def test_rows_of_events_as_known_on_a_day(spark: SparkSession, day: date, expected: list[Any]) -> None:
    values = values_of(spark, *ROWS)
    assert days_of(known_item_history(history_of_days(values, ITEM), values, day)) == expected


def test_files_as_known_on_a_day(spark: SparkSession) -> None:
    history = taken(spark, None, ("1", MAY_1, {"a": "dairy"}), ("2", JUNE_1, {"a": "tea"}))
    nothing = values_of(spark)
    assert versions(known_item_history(history, nothing, date(2024, 6, 2))) == versions(history)
    assert versions(as_known_on(history, date(2024, 6, 1))) == [("a", "dairy", None, None)]
    assert versions(as_known_on(history, date(2024, 5, 1))) == []
