"""Rows of histories, made by Spark as recsys/models/histories.py makes them without it."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.examples.histories import newest, number_of_targets, windows, with_next
from recsys.frames.local_rows import local_rows
from recsys.models import histories as without_spark

NOON = datetime(2017, 12, 1, 12)
SCHEMA = f"{c.USER_IDX} int, {c.ITEM_IDX} int, {c.EVENT_TS} timestamp, {c.SOURCE_FILE} string, {c.SOURCE_ROW} bigint"
LENGTHS = [1, 2, 3, 4, 5, 9]  # by user


@pytest.fixture(scope="module")
def taken(spark: SparkSession) -> DataFrame:
    """User u takes items u, u + 1 and so on; two events share each instant, and the rows are mixed."""
    rows = [
        (user, user + step, NOON + timedelta(hours=step // 2), "log", step)
        for user, length in enumerate(LENGTHS)
        for step in range(length)
    ]
    return local_rows(spark, [rows[n] for n in np.random.default_rng(1).permutation(len(rows))], SCHEMA)


def as_arrays() -> without_spark.Histories:
    pairs = [(user, user + step) for user, length in enumerate(LENGTHS) for step in range(length)]
    return without_spark.histories_of(*np.array(pairs).T, users=len(LENGTHS))


def rows_of(frame: DataFrame) -> list[list[int]]:
    return sorted(row[c.SEQUENCE] for row in frame.collect())


def test_the_newest_items_stand_oldest_first_and_are_filled_up_at_the_end(taken: DataFrame) -> None:
    found = {row[c.USER_IDX]: row[c.SEQUENCE] for row in newest(taken, 3, c.USER_IDX).collect()}
    assert found == {0: [1, 0, 0], 1: [2, 3, 0], 2: [3, 4, 5], 3: [5, 6, 7], 4: [7, 8, 9], 5: [12, 13, 14]}


@pytest.mark.parametrize("size", [2, 3, 5])
def test_windows_are_those_that_are_made_without_spark(taken: DataFrame, size: int) -> None:
    expected = without_spark.windows(as_arrays(), size)
    rows = windows(taken, size, c.USER_IDX, most=20)
    assert rows_of(rows) == sorted(expected.tolist())
    assert number_of_targets(rows) == sum(length - 1 for length in LENGTHS)


def test_of_a_long_history_the_newest_windows_are_kept(taken: DataFrame) -> None:
    of_last = windows(taken.where(f"{c.USER_IDX} = 5"), 3, c.USER_IDX, most=2)
    assert rows_of(of_last) == [[10, 11, 12], [12, 13, 14]]


def test_what_comes_next_stands_behind_the_newest_items(spark: SparkSession, taken: DataFrame) -> None:
    later = [(1, 8, NOON + timedelta(days=1), "log", 2), (1, 7, NOON + timedelta(days=1), "log", 1)]
    unknown = [(9, 7, NOON + timedelta(days=1), "log", 3)]
    rows = with_next(taken, local_rows(spark, later + unknown, SCHEMA), 4, c.USER_IDX)
    assert [tuple(row) for row in rows.collect()] == [(1, [2, 3, 8, 0])]


def test_nothing_taken_makes_no_row_and_no_target(taken: DataFrame) -> None:
    rows = windows(taken.limit(0), 3, c.USER_IDX, most=2)
    assert (rows.count(), number_of_targets(rows)) == (0, 0)
