from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.config import load_config
from recsys.examples import schemes
from recsys.examples.schemes import (
    folds_of,
    keep_core,
    part_by_ratio,
    part_by_time,
    part_held_apart,
    part_last_events,
    split_counts,
)
from recsys.examples.split import cutoffs
from recsys.frames.local_rows import local_rows

DAYS = cutoffs(date(2017, 12, 18), label_days=14, train_windows=2, gap_days=0)
FIRST = datetime(2017, 11, 1, 12)
EVENTS = "user_id string, item_id string, event_ts timestamp, event_date date, source_file string, source_row bigint"


def events_of(spark: SparkSession, *events: tuple[str, str, datetime]) -> DataFrame:
    """Numbered in their order."""
    rows = [(user, item, at, at.date(), "log", number) for number, (user, item, at) in enumerate(events)]
    return local_rows(spark, rows, EVENTS)


def splits(parted: DataFrame) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in parted.collect():
        found.setdefault(row[c.SPLIT], set()).add(row[c.USER_ID] + row[c.ITEM_ID])
    return found


def test_by_time_each_part_begins_with_its_cut_off_and_test_ends_with_its_labels(spark: SparkSession) -> None:
    midnight = [datetime(2017, 11, 20), datetime(2017, 12, 4), datetime(2017, 12, 18)]
    log = [("u", f"{n}{part}", at - before) for n, at in enumerate(midnight)
           for part, before in (("first", timedelta()), ("last", timedelta(microseconds=1)))]  # fmt: skip
    parted = part_by_time(events_of(spark, *log), DAYS)
    assert splits(parted) == {
        c.TRAIN: {"u0last"},
        c.VALIDATION: {"u0first", "u1last"},
        c.TEST: {"u1first", "u2last"},
    }


def test_by_time_events_of_the_gaps_fall_out(spark: SparkSession) -> None:
    days = replace(DAYS, gap_days=2)
    noon = {
        name: datetime(day.year, day.month, day.day, 12) for name, day in (("v", days.validation), ("t", days.test))
    }
    log = [("u", f"{name}{ago}", at - timedelta(days=ago)) for name, at in noon.items() for ago in (0, 1, 2, 3)]
    found = splits(part_by_time(events_of(spark, *log), days))
    assert found == {c.TRAIN: {"uv3"}, c.VALIDATION: {"uv0", "ut3"}, c.TEST: {"ut0"}}


def test_the_last_events_of_each_user_are_left_out_and_ties_stand_as_the_log_has_them(spark: SparkSession) -> None:
    log = events_of(
        spark,
        ("u", "b", FIRST + timedelta(days=9)),
        ("u", "a", FIRST + timedelta(days=9)),  # later in the log
        ("u", "old", FIRST),
        ("u", "older", FIRST - timedelta(days=1)),
        ("two", "a", FIRST),
        ("two", "b", FIRST),
        *(("ten", str(n), FIRST + timedelta(days=n)) for n in range(10)),
    )
    assert splits(part_last_events(log.repartition(3))) == {
        c.TRAIN: {"uold", "uolder", "twoa", "twob", *(f"ten{n}" for n in range(8))},
        c.VALIDATION: {"ub", "ten8"},
        c.TEST: {"ua", "ten9"},
    }
    assert splits(part_last_events(log.repartition(3), newest=3)) == {
        c.TRAIN: {"uold", "twoa", "twob", "ten7"},
        c.VALIDATION: {"ub", "ten8"},
        c.TEST: {"ua", "ten9"},
    }
    # A quarter of 4, 2 and 10 events, rounded down: 1, 0 and 2.
    assert splits(part_by_ratio(log.repartition(3), 25)) == {
        c.TRAIN: {"uold", "uolder", "twoa", "twob", *(f"ten{n}" for n in range(6))},
        c.VALIDATION: {"ub", "ten6", "ten7"},
        c.TEST: {"ua", "ten8", "ten9"},
    }


def test_held_out_users_and_items_have_no_event_in_train(spark: SparkSession) -> None:
    log = events_of(spark, *((f"u{u}", f"i{i}", FIRST) for u in range(40) for i in range(40)))
    parted = part_held_apart(log, 25).collect()
    found = {split: [row for row in parted if row[c.SPLIT] == split] for split in ("train", "cold_users", "cold_items")}
    users = {split: {row[c.USER_ID] for row in rows} for split, rows in found.items()}
    items = {split: {row[c.ITEM_ID] for row in rows} for split, rows in found.items()}
    assert not users["train"] & users["cold_users"]
    assert not items["train"] & items["cold_items"]
    assert users["cold_items"] == users["train"]
    assert 4 <= len(users["cold_users"]) <= 16
    assert 4 <= len(items["cold_items"]) <= 16
    assert len(users["cold_users"] | users["train"]) == len(items["cold_users"]) == 40


@pytest.mark.parametrize("max_broadcast", [0, 100])
def test_the_core_is_the_fixed_point_and_may_be_empty(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, max_broadcast: int
) -> None:
    chain = [("x", "a"), ("x", "p"), ("y", "p"), ("y", "q"), ("z", "q")]  # falls apart from its end, one a round
    core = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b")]
    log = events_of(spark, *((user, item, FIRST) for user, item in [*core, *chain, ("u", "a"), ("w", "a"), ("w", "a")]))
    monkeypatch.setattr(schemes, "MAX_BROADCAST", max_broadcast)
    kept = keep_core(log, 2)
    # w bought one item twice: that is two purchases.
    expected = [*core, ("u", "a"), ("w", "a"), ("w", "a")]
    assert sorted((row[c.USER_ID], row[c.ITEM_ID]) for row in kept.collect()) == sorted(expected)
    assert kept.columns == log.columns
    assert keep_core(log, 5).count() == 0


@pytest.mark.parametrize("max_broadcast", [0, 100])
def test_a_core_that_lacks_few_users_and_items_of_several_rounds(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, max_broadcast: int
) -> None:
    """Fewer are left out than kept, so that these are looked up: x, then s and r, then y."""
    core = [(user, item) for user in "abcd" for item in "klmn"]
    log = events_of(
        spark, *((user, item, FIRST) for user, item in [*core, ("x", "s"), ("y", "s"), ("y", "k"), ("a", "r")])
    )
    monkeypatch.setattr(schemes, "MAX_BROADCAST", max_broadcast)
    assert sorted((row[c.USER_ID], row[c.ITEM_ID]) for row in keep_core(log, 2).collect()) == core
    assert keep_core(log, 1).count() == len(core) + 4


def test_counts_name_the_days_and_who_is_not_in_train(spark: SparkSession) -> None:
    day = date(2017, 11, 1)
    parted = local_rows(spark, [
            ("u", "a", day, "train"), ("u", "a", date(2017, 11, 2), "train"), ("v", "b", date(2017, 11, 2), "train"),
            ("u", "b", date(2017, 11, 3), "test"), ("w", "b", date(2017, 11, 4), "test"),
            ("w", "z", date(2017, 11, 4), "test"),
        ],
        "user_id string, item_id string, event_date date, split string",
    )  # fmt: skip
    expected = local_rows(
        spark,
        [
            ("train", day, date(2017, 11, 2), 3, 2, 0, 2, 0),
            ("test", date(2017, 11, 3), date(2017, 11, 4), 3, 2, 1, 2, 1),
        ],
        "split string, first_date date, last_date date, rows bigint, num_users bigint, num_cold_users bigint, "
        "num_items bigint, num_cold_items bigint",
    )
    assert_df_equality(split_counts(parted), expected, ignore_nullable=True, ignore_row_order=True)


@pytest.mark.parametrize(("scheme", "folds"), [("global_time", 1), ("rolling_time", 3), ("user_ratio", 1)])
def test_each_fold_of_rolling_time_ends_a_window_earlier(spark: SparkSession, scheme: str, folds: int) -> None:
    log = events_of(spark, *(("u", str(n), datetime(2017, 12, 17) - timedelta(days=n)) for n in range(70)))
    settings = replace(load_config([]).examples, core=71, schemes=(scheme, "user_ratio"))
    found = [splits(fold) for fold in folds_of(scheme, log, DAYS, settings)]
    assert len(found) == folds
    if scheme == "user_ratio":
        assert found == [{}]  # parted by user, the core counts: no user has 71 events
    else:
        tests = [{int(name[1:]) for name in fold[c.TEST]} for fold in found]
        assert tests == [set(range(14 * fold, 14 * fold + 14)) for fold in range(folds)]
