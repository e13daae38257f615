"""Each rule across rows on a table made by hand; that files may come in any order: tests/jobs/test_ingest.py."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.across import ACROSS, Standing, look_across, with_local_date
from recsys.config import CleanConfig
from recsys.frames.local_rows import local_rows

SCHEMA = (
    "user_id string, item_id string, event_ts timestamp, quantity double, amount_cents long, basket_id string, "
    "event_type string, store_id string, device string, identity long, source_file string, source_row long"
)
ZONE = "America/New_York"


def lines(
    spark: SparkSession, *rows: tuple[str, str, datetime, float | None, int | None], devices: Sequence[str] = ()
) -> DataFrame:
    """Of user, item, time, quantity and cents, in one basket; views have no quantity."""
    of_line = dict(enumerate(devices, start=1))
    whole = [
        (*row, "b1", "view" if row[3] is None else "purchase", None, of_line.get(number), number, "a.csv", number)
        for number, row in enumerate(rows, start=1)
    ]
    return with_local_date(local_rows(spark, whole, SCHEMA).repartition(3), ZONE)


def found(good: DataFrame, limits: CleanConfig, **asked: Any) -> dict[int, list[str]]:
    looked = look_across(good, None, F.lit(True), replace(limits, **asked))
    return {row[c.SOURCE_ROW]: row[c.REASONS] for row in looked.found.collect()}


def at(hour: int, minute: int = 0, second: int = 0, day: int = 3) -> datetime:
    return datetime(2024, 5, day, hour, minute, second)


def test_the_same_line_again_within_seconds_is_a_near_duplicate(spark: SparkSession, limits: CleanConfig) -> None:
    rows = lines(
        spark,
        ("u1", "i1", at(9, 0, 0), 1, 100),
        ("u1", "i1", at(9, 0, 10), 1, 100),
        ("u1", "i1", at(9, 0, 21), 1, 100),  # more than ten seconds after
        ("u1", "i1", at(9, 0, 5), 2, 200),  # another line
        ("u2", "i1", at(9, 0, 5), 1, 100),
        ("u3", "i1", at(9, 0, 0), None, None),
        ("u3", "i1", at(9, 0, 0), None, None),  # of equal times the first by file and number is kept
    )
    assert found(rows, limits, near_duplicate_seconds=10) == {2: ["near_duplicate"], 7: ["near_duplicate"]}


def test_the_same_line_from_another_device_is_no_near_duplicate(spark: SparkSession, limits: CleanConfig) -> None:
    same = [("u1", "i1", at(9, 0, second), 1.0, 100) for second in range(3)]
    rows = lines(spark, *same, devices=["phone", "tablet", "phone"])
    assert found(rows, limits, near_duplicate_seconds=10) == {3: ["near_duplicate"]}


def test_a_second_sending_is_not_netted(spark: SparkSession, limits: CleanConfig) -> None:
    rows = lines(
        spark,
        ("u1", "i1", at(9, 0, 0), 1, 100),
        ("u1", "i1", at(9, 0, 1), 1, 100),
        ("u1", "i1", at(10), -1, -100),
        ("u1", "i2", at(10), -1, -100),
        ("u2", "i1", at(9), -1, -100),  # at the time of the purchase
        ("u2", "i1", at(9), 3, 300),
    )
    looked = look_across(rows, None, F.lit(True), replace(limits, near_duplicate_seconds=5, cancellation_pattern="^C"))
    names = (c.SOURCE_ROW, c.REASONS, c.CANCELLED_QUANTITY, c.CANCELLED_CENTS)
    assert [tuple(row) for row in looked.found.select(*names).orderBy(c.SOURCE_ROW).collect()] == [
        (1, ["cancelled_purchase"], 1.0, 100),
        (2, ["near_duplicate"], 0.0, 0),
        (3, ["cancellation"], 0.0, 0),
        (4, ["unmatched_cancellation"], 0.0, 0),
        (5, ["cancellation"], 0.0, 0),
        (6, [], 1.0, 100),
    ]


def test_bots_act_too_often_on_too_many_items_or_like_clockwork(spark: SparkSession, limits: CleanConfig) -> None:
    rows = lines(
        spark,
        *(("often", "i1", at(9, minute), None, None) for minute in (0, 1, 7, 20)),
        ("broad", "i1", at(9), None, None),
        ("broad", "i2", at(9), None, None),
        ("broad", "i3", at(9), None, None),
        *(("clock", "i1", at(9, minute), None, None) for minute in (0, 5, 10)),
        ("person", "i1", at(3, 59), None, None),  # in New York the day before: three that day, two on this
        ("person", "i2", at(1), None, None),
        ("person", "i2", at(2), None, None),
        ("person", "i3", at(9), None, None),
        ("person", "i3", at(21), None, None),
    )
    asked = {"bot_events_a_day": 3, "bot_items_a_day": 2, "bot_regular_gaps": 2, "bot_regular_share": 1.0}
    expected = {
        "often": [1, 2, 3, 4],
        "broad": [5, 6, 7],
        "clock": [8, 9, 10],
    }
    names = {"often": "bot_rate", "broad": "bot_breadth", "clock": "bot_regularity"}
    assert found(rows, limits, **asked) == {row: [names[user]] for user, of_user in expected.items() for row in of_user}
    assert found(rows, limits, bot_items_a_day=2) == {row: ["bot_breadth"] for row in expected["broad"]}


def test_prices_are_compared_with_the_items_own(spark: SparkSession, limits: CleanConfig) -> None:
    rows = lines(
        spark,
        ("u1", "i1", at(9, day=1), 1, 100),
        ("u1", "i2", at(9, day=1), 2, 1000),
        ("u2", "i1", at(9, day=2), 3, 1500),  # 500 each
        ("u2", "i2", at(9, day=2), 1, 500),
        ("u2", "i1", at(9, day=2), None, None),
        ("u2", "i1", at(10, day=2), 1, 0),  # a gift
    )
    assert found(rows, limits, price_outlier_deviations=5, price_history_lines=1) == {3: ["price_outlier"]}


def test_prices_of_other_files_are_looked_at_as_far_as_a_verdict_reaches(
    spark: SparkSession, limits: CleanConfig
) -> None:
    """Of files that came before, what a late line changes is found, and what lies before it is left as it was."""
    asked = replace(limits, price_outlier_deviations=5, price_history_days=5, price_history_lines=2)
    other = lines(
        spark,
        ("u1", "i1", at(9, day=1), 1, 100),
        ("u1", "i1", at(10, day=1), 1, 100),
        ("u1", "i1", at(9, day=6), 1, 900),  # an outlier by the lines of day 1, which are not looked at again
        ("u1", "i1", at(9, day=12), 1, 100),
        ("u1", "i1", at(9, day=14), 1, 900),  # none, as long as one line alone stands before it
        ("u1", "i1", at(9, day=18), 1, 850),
        ("u1", "i1", at(9, day=25), 1, 7),
    )
    outlier = F.when(F.col(c.SOURCE_ROW) == 3, F.array(F.lit("price_outlier"))).otherwise(
        F.array().cast("array<string>")
    )
    standing_others = other.withColumns(
        {
            c.REASONS: outlier, c.SOURCE_FILE: F.concat(F.lit("b-"), c.SOURCE_ROW), c.CANCELLED_QUANTITY: F.lit(0.0),
            c.SESSION_ID: F.lit(None).cast("bigint"), c.EVENT_DATE: F.to_date(c.EVENT_TS),
        }
    )  # fmt: skip
    standing = Standing(others=standing_others, replaced=standing_others.where(F.lit(False)))
    good = lines(spark, ("u2", "i1", at(9, day=10), 1, 100), ("u2", "i1", at(9, day=13), 1, 800))
    looked = look_across(good, standing, F.col(c.SOURCE_FILE) == "a.csv", asked)
    assert {row[c.SOURCE_ROW]: row[c.REASONS] for row in looked.found.collect()} == {2: ["price_outlier"]}
    assert looked.changed == {"b-5"}


def test_sessions_end_with_a_gap_and_at_midnight(spark: SparkSession, limits: CleanConfig) -> None:
    rows = lines(
        spark,
        ("u1", "i1", at(3, 0), None, None),
        ("u1", "i2", at(3, 30), None, None),
        ("u1", "i1", at(3, 30), None, None),
        ("u1", "i1", at(4, 0), None, None),  # midnight in New York
        ("u1", "i1", at(4, 31), None, None),  # more than half an hour after
        ("u2", "i1", at(3, 0), None, None),
    )
    kept = look_across(rows, None, F.lit(True), replace(limits, session_gap_minutes=30)).kept
    sessions: dict[int, list[int]] = {}
    for row in kept.orderBy(c.SOURCE_ROW).collect():
        sessions.setdefault(row[c.SESSION_ID], []).append(row[c.SOURCE_ROW])
    assert list(sessions.values()) == [[1, 2, 3], [4], [5], [6]]


def test_every_switch_and_limit_is_a_key_of_clean_and_off_by_default(limits: CleanConfig) -> None:
    keys = [key for rule in ACROSS.values() for key in rule.switches]
    assert len(keys) == 6
    assert not any(getattr(limits, key) for key in (*keys, "session_gap_minutes"))
    assert {key for rule in ACROSS.values() for key in rule.limits} <= set(vars(limits))
