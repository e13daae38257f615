from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.clean.duplicates import part
from recsys.clean.events import (
    clean_events,
    judged_events,
    typed_events,
    with_first_known_event,
    with_known,
)
from recsys.clean.mapping import EventsMapping
from recsys.clean.rules import IS_NUMBER_MISSING
from recsys.clean.scans import unnamed_columns
from recsys.config import CleanConfig
from recsys.frames.local_rows import local_rows
from tests.clean.conftest import KNOWN_TS, file_of
from tests.feature_rows import rows_of

Records = Callable[..., DataFrame]
Mapping = Callable[..., EventsMapping]
NAMES = ("user", "item", "at", "n", "price")


def test_an_event_is_typed_as_mapped(records: Records, mapping: Mapping) -> None:
    good, bad = ("7.0", " i1 ", "2024-05-03 09:00:00", "2", "1.25"), ("x", "", "noon", "two", "?")
    rows = records((*NAMES, "via"), (*good, " phone"), (*bad, ""))
    names = (
        c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.EVENT_TS, c.BASKET_ID, c.STORE_ID, c.DEVICE, c.QUANTITY, c.AMOUNT_CENTS,
    )  # fmt: skip
    columns = {c.USER_ID: "user", c.ITEM_ID: "item", c.QUANTITY: "n", c.DEVICE: "via"}
    of_shop = mapping(integer_like=["user_id"], columns=columns)
    typed = typed_events(rows, of_shop).orderBy(c.SOURCE_ROW).select(*names)
    assert [tuple(row) for row in typed.collect()] == [
        ("7", "i1", "purchase", datetime(2024, 5, 3, 9), None, None, "phone", 2.0, 250),
        ("x", None, "purchase", None, None, None, None, None, None),
    ]


def test_event_types_are_translated_and_only_purchases_need_numbers(records: Records, mapping: Mapping) -> None:
    kinds = {"column": "kind", "values": {"buy": "purchase", "click": "view"}}
    blank = ("u1", "i1", "2024-05-03", "", "")
    rows = records((*NAMES, "kind"), *((*blank, kind) for kind in ("buy", "click", "stare", None)))
    typed = typed_events(rows, mapping(event_type=kinds)).orderBy(c.SOURCE_ROW)
    found = typed.select(c.EVENT_TYPE, IS_NUMBER_MISSING).collect()
    assert [tuple(row) for row in found] == [("purchase", True), ("view", False), (None, None), (None, None)]


def test_an_optional_number_may_be_missing_from_a_purchase(records: Records, mapping: Mapping) -> None:
    rows = records(NAMES, ("u1", "i1", "2024-05-03", None, "1"))
    for optional, expected in (([], True), (["n"], False)):
        typed = typed_events(rows, mapping(optional=optional))
        assert [row[0] for row in typed.select(IS_NUMBER_MISSING).collect()] == [expected]


def test_with_known_marks_keys_that_the_other_table_has(spark: SparkSession) -> None:
    events = local_rows(spark, [("a",), ("b",), (None,)], "user_id string")
    known = local_rows(spark, [("a",), ("z",)], "user_id string")
    marked = with_known(events, known, "user_id", "is_known_user")
    assert {tuple(row) for row in marked.collect()} == {("a", True), ("b", False), (None, False)}
    assert {row[1] for row in with_known(events, None, "user_id", "is_known_user").collect()} == {True}


def test_events_of_unknown_items_and_users_are_left_out(
    spark: SparkSession, records: Records, mapping: Mapping, limits: CleanConfig
) -> None:
    good = ("2024-05-03 09:00:00", "1", "1")
    rows = records(NAMES, ("u1", "i1", *good), ("u1", "i9", *good), ("u9", "i1", *good))
    items = local_rows(spark, [("i1",)], "item_id string")
    users = local_rows(spark, [("u1",)], "user_id string")
    parted = part(judged_events(rows, mapping(), limits, known_items=items, known_users=users), [])
    assert [row[c.SOURCE_ROW] for row in parted.kept.collect()] == [1]
    left_out = {row[c.SOURCE_ROW]: row[c.REASONS] for row in parted.left_out.collect()}
    assert left_out == {2: ["unknown_item"], 3: ["unknown_user"]}


def test_an_event_after_its_file_is_left_out_where_names_tell_when_files_became_known(
    spark: SparkSession, records: Records, mapping: Mapping, limits: CleanConfig
) -> None:
    """The second a day and a second after that: a whole day may be a matter of clocks and time zones."""
    within, after = (KNOWN_TS + timedelta(days=1, seconds=seconds) for seconds in (0, 1))
    rows = records(NAMES, *(("u1", "i1", str(at), "1", "1") for at in (within, after)))
    items = local_rows(spark, [("i1",)], "item_id string")
    day_long = replace(limits, max_hours_after_file=24, last_event_date="2099-12-31")
    by_name = mapping(known={"pattern": "(?P<year>....)(?P<month>..)(?P<day>..)"})
    for of_shop, expected in ((mapping(), []), (by_name, [(2, ["after_its_file"], None)])):
        parted = part(judged_events(rows, of_shop, day_long, known_items=items, known_users=None), [])
        found = parted.left_out.select(c.SOURCE_ROW, c.REASONS, c.EVENT_DATE).collect()
        assert [tuple(row) for row in found] == expected
        assert parted.kept.count() == 2 - len(expected)


def test_the_shops_clock_follows_summer_time_and_the_day_is_that_of_utc(spark: SparkSession) -> None:
    instants = [
        datetime(2017, 3, 12, 6, 59),  # Sunday 01:59 in New York, the last minute of winter time
        datetime(2017, 3, 12, 7, 0),  # 03:00: two o'clock does not exist
        datetime(2017, 11, 5, 5, 30),  # 01:30 in summer time
        datetime(2017, 11, 5, 6, 30),  # 01:30 again, in winter time
        datetime(2017, 12, 18, 3, 0),  # still Sunday in New York
    ]
    rows = [("u", "i", "purchase", ts, "b", "s", "till", 1.0, 1, None, 5, "a.csv", i) for i, ts in enumerate(instants)]
    kept = local_rows(
        spark,
        rows,
        "user_id string, item_id string, event_type string, event_ts timestamp, basket_id string, store_id string, "
        "device string, quantity double, amount_cents long, rescued map<string,string>, identity long, "
        "source_file string, source_row long",
    ).withColumn(c.KNOWN_TS, F.lit(KNOWN_TS))
    names = (c.EVENT_DATE, c.LOCAL_HOUR, c.LOCAL_WEEKDAY)
    expected = local_rows(
        spark,
        [
            (date(2017, 3, 12), 1, 7),
            (date(2017, 3, 12), 3, 7),
            (date(2017, 11, 5), 1, 7),
            (date(2017, 11, 5), 1, 7),
            (date(2017, 12, 18), 22, 7),
        ],
        "event_date date, local_hour int, local_weekday int",
    )
    found = clean_events(kept, "America/New_York").orderBy(c.SOURCE_ROW).select(*names)
    assert_df_equality(found, expected, ignore_nullable=True)


def test_columns_that_the_mapping_does_not_name_are_rescued(records: Records, mapping: Mapping) -> None:
    rows = records((*NAMES, "gift", "colour"), ("u1", "i1", "2024-05-03", "1", "1", "yes", None), (*"abcde", None, ""))
    of_shop = mapping(ignored=["colour"])
    assert unnamed_columns(rows, of_shop) == ["gift"]
    found = typed_events(rows, of_shop).orderBy(c.SOURCE_ROW).select(c.RESCUED).collect()
    assert [row[0] for row in found] == [{"gift": "yes"}, None]


def test_an_event_that_stands_in_a_corrected_file_as_before_keeps_when_it_became_known(
    spark: SparkSession, mapping: Mapping
) -> None:
    """With a key, only where it says the same too; an amount of which a part was cancelled since is the same."""
    may, june = datetime(2024, 5, 1), datetime(2024, 6, 1)
    line = {c.SOURCE_FILE: "a.csv", c.IDENTITY: 1, c.QUANTITY: 3.0, c.AMOUNT_CENTS: 300, c.KNOWN_TS: may}
    line |= {c.CANCELLED_QUANTITY: 0.0, c.CANCELLED_CENTS: 0}
    past = rows_of(spark, tables.EVENTS, [line, {**line, c.IDENTITY: 2}, {**line, c.SOURCE_FILE: "b.csv"}])
    rest = {c.QUANTITY: 1.0, c.CANCELLED_QUANTITY: 2.0, c.AMOUNT_CENTS: 100, c.CANCELLED_CENTS: 200}
    anew = {**line, c.KNOWN_TS: june}
    now = [anew | rest, {**anew, c.IDENTITY: 2, c.AMOUNT_CENTS: 200}, {**anew, c.IDENTITY: 3}]
    now.append({**anew, c.SOURCE_FILE: "b.csv"})
    events = rows_of(spark, tables.EVENTS, now)
    files = [replace(file_of("a.csv", modified_ms=9), first_known_ms=5), file_of("b.csv")]
    keyed, by_record = mapping(key=["user_id", "event_ts"]), mapping()
    for of_shop, expected in ((by_record, [may, may, june, june]), (keyed, [may, june, june, june])):
        told = with_first_known_event(events, past, files, of_shop).orderBy(c.SOURCE_FILE, c.IDENTITY)
        assert [row[c.KNOWN_TS] for row in told.collect()] == expected
    assert with_first_known_event(events, past, files[1:], keyed) is events
    assert with_first_known_event(events, None, files, keyed) is events
