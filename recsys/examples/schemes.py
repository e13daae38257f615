"""Ways to part purchases into train, validation and test beside the cut-offs of the examples, and what lies where.

Each takes events with user_id, item_id, event_ts, event_date, source_file and source_row, and adds `split`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import LEAVE_ONE_OUT, PARTED_BY_EVENT, ROLLING_TIME, USER_RATIO, ExamplesConfig
from recsys.examples.split import Cutoffs, earlier

COLD_USERS = "cold_users"
COLD_ITEMS = "cold_items"

_SALT = "cold-v1"
# So many users or items go to each executor whole; of more, Spark joins parts.
MAX_BROADCAST = 500_000


def folds_of(scheme: str, purchases: DataFrame, days: Cutoffs, settings: ExamplesConfig) -> list[DataFrame]:
    """The purchases with their split, one frame a fold: all of them where time parts them, else their core."""
    if scheme == ROLLING_TIME:
        return [part_by_time(purchases, earlier(days, windows=fold)) for fold in range(settings.folds)]
    if scheme not in PARTED_BY_EVENT:
        return [part_by_time(purchases, days)]
    core = purchases if settings.core == 1 else keep_core(purchases, settings.core)
    if scheme == LEAVE_ONE_OUT:
        return [part_last_events(core)]
    part = part_by_ratio if scheme == USER_RATIO else part_held_apart
    return [part(core, settings.held_out_percent)]


def part_by_time(events: DataFrame, days: Cutoffs) -> DataFrame:
    """Before the validation cut-off, from it to the test cut-off, and the test labels; events of the gaps before both
    cut-offs and later ones fall out."""
    gap, day = timedelta(days=days.gap_days), F.col(c.EVENT_DATE)

    def between(start: date, end: date) -> Column:
        return (day >= F.lit(start)) & (day < F.lit(end))

    split = (
        F.when(day < F.lit(days.validation - gap), c.TRAIN)
        .when(between(days.validation, days.test - gap), c.VALIDATION)
        .when(between(days.test, days.test + timedelta(days=days.label_days)), c.TEST)
    )
    return events.withColumn(c.SPLIT, split).where(F.col(c.SPLIT).isNotNull())


def part_last_events(events: DataFrame, newest: int | None = None) -> DataFrame:
    """Leave one out: a user's last event is test, the one before validation; users with less than three are train.

    `newest`: leaves out all but so many events of a user, for what looks no further back.
    """
    is_parted = F.col("events_of_user") >= 3
    split = (
        F.when(is_parted & (F.col("from_newest") == 1), c.TEST)
        .when(is_parted & (F.col("from_newest") == 2), c.VALIDATION)
        .otherwise(c.TRAIN)
    )
    numbered = _numbered(events)
    kept = numbered if newest is None else numbered.where(F.col("from_newest") <= newest)
    return kept.withColumn(c.SPLIT, split).select(*events.columns, c.SPLIT)


def part_by_ratio(events: DataFrame, percent: int) -> DataFrame:
    """Of each user's events the last `percent` are test, as many before them validation; shares are rounded down."""
    share = F.floor(F.col("events_of_user") * percent / 100)
    split = (
        F.when(F.col("from_newest") <= share, c.TEST)
        .when(F.col("from_newest") <= 2 * share, c.VALIDATION)
        .otherwise(c.TRAIN)
    )
    return _numbered(events).withColumn(c.SPLIT, split).select(*events.columns, c.SPLIT)


def part_held_apart(events: DataFrame, percent: int) -> DataFrame:
    """Holds `percent` of the users apart, with all their events, then the events of `percent` of the items."""
    split = (
        F.when(_is_drawn(c.USER_ID, percent), COLD_USERS)
        .when(_is_drawn(c.ITEM_ID, percent), COLD_ITEMS)
        .otherwise(c.TRAIN)
    )
    return events.withColumn(c.SPLIT, split)


def keep_core(events: DataFrame, least: int) -> DataFrame:
    """Events of users and items that have `least` events each among the events kept: what is left at the fixed point.

    Reads the two columns of `events` once a round, which costs less than to keep what is left. The users and items
    that were counted are kept on the executors: a lost executor ends the job.
    """
    pairs = events.select(c.USER_ID, c.ITEM_ID)
    counted = {c.USER_ID: _counted(pairs, c.USER_ID, least)}
    while True:
        for key in (c.ITEM_ID, c.USER_ID):
            before = counted.get(key)
            counted[key] = found = _counted(_within(pairs, counted.values()), key, least, before)
            if found.left_out == (before.left_out if before else 0):
                return _within(events, counted.values()).select(*events.columns)


def split_counts(parted: DataFrame) -> DataFrame:
    """One row per split: its days, events, users and items, and those of them that `train` does not have."""
    splits = parted.groupBy(c.SPLIT).agg(
        F.min(c.EVENT_DATE).alias(c.FIRST_DATE), F.max(c.EVENT_DATE).alias(c.LAST_DATE), F.count("*").alias(c.ROWS)
    )
    users = _entities(parted, c.USER_ID, c.NUM_USERS, c.NUM_COLD_USERS)
    items = _entities(parted, c.ITEM_ID, c.NUM_ITEMS, c.NUM_COLD_ITEMS)
    return splits.join(users, on=c.SPLIT, how="inner").join(items, on=c.SPLIT, how="inner")


def _numbered(events: DataFrame) -> DataFrame:
    """Events of one instant stand as the log has them: file and row are the key of clean.events."""
    newest_first = Window.partitionBy(c.USER_ID).orderBy(
        F.desc(c.EVENT_TS), F.desc(c.SOURCE_FILE), F.desc(c.SOURCE_ROW)
    )
    # Of one order with the other, so that Spark sorts once.
    all_rows = newest_first.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    return events.withColumns(
        {"from_newest": F.row_number().over(newest_first), "events_of_user": F.count("*").over(all_rows)}
    )


def _is_drawn(key: str, percent: int) -> Column:
    return F.pmod(F.xxhash64(key, F.lit(_SALT)), F.lit(100)) < percent


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """Users, or items, of `keep_core`: those that have enough events in the last round, and those that any round has
    left out; one row each."""

    key: str
    frequent: DataFrame
    rare: DataFrame
    kept: int
    left_out: int


def _counted(pairs: DataFrame, key: str, least: int, before: _Counted | None = None) -> _Counted:
    events, is_frequent = "events", F.col("events") >= least
    counts = pairs.groupBy(key).agg(F.count("*").alias(events)).localCheckpoint()
    kept, left_out = counts.agg(F.count_if(is_frequent), F.count_if(~is_frequent)).collect()[0]
    rare = counts.where(~is_frequent).select(key)
    return _Counted(
        key=key,
        frequent=counts.where(is_frequent).select(key),
        rare=rare if before is None else before.rare.unionByName(rare),
        kept=kept,
        left_out=left_out if before is None else before.left_out + left_out,
    )


def _within(events: DataFrame, counted: Iterable[_Counted]) -> DataFrame:
    """Joined with the fewer: those that are kept, or those that are not."""
    for side in counted:
        if side.left_out:
            is_mostly_kept = side.left_out < side.kept
            rows, how = (side.rare, "left_anti") if is_mostly_kept else (side.frequent, "left_semi")
            is_small = min(side.left_out, side.kept) <= MAX_BROADCAST
            events = events.join(F.broadcast(rows) if is_small else rows, on=side.key, how=how)
    return events


def _entities(parted: DataFrame, key: str, number: str, number_cold: str) -> DataFrame:
    splits_of = parted.groupBy(key).agg(F.collect_set(c.SPLIT).alias("splits"))
    is_cold = ~F.array_contains("splits", c.TRAIN)
    each = splits_of.select(F.explode("splits").alias(c.SPLIT), is_cold.alias("is_cold"))
    return each.groupBy(c.SPLIT).agg(F.count("*").alias(number), F.count_if("is_cold").alias(number_cold))
