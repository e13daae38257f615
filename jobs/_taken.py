"""Who took what, from the lake, as models of interactions and of histories know users and items."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.errors import InputError
from recsys.examples.assemble import Ids
from recsys.examples.histories import newest
from recsys.features.graph import HISTORY_DAYS
from recsys.frames.as_of import EVENT_ORDER, events_before
from recsys.lake.store import Lake
from recsys.stages import Run

READS = (tables.EVENTS, tables.USERS, tables.USER_IDS, tables.ITEM_IDS)
PAIR = (c.USER_IDX, c.ITEM_IDX)


def ids_of(lake: Lake) -> Ids:
    return Ids(
        users=lake.read(tables.USER_IDS), items=lake.read(tables.ITEM_IDS), categories=lake.read(tables.CATEGORY_IDS)
    )


def served_users(run: Run) -> DataFrame:
    """Rows of clean.users of those who have not opted out."""
    return run.lake.read(tables.USERS).where(~F.col(c.IS_OPTED_OUT))


def indexed(run: Run, events: DataFrame) -> DataFrame:
    """With user_idx and item_idx; nothing of users who opted out."""
    read = run.lake.read
    return (
        events.join(served_users(run).select(c.USER_ID), on=c.USER_ID, how="left_semi")
        .join(read(tables.USER_IDS), on=c.USER_ID, how="inner")
        .join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    )


def taken_before(run: Run, as_of: date, event_types: Sequence[str]) -> DataFrame:
    """Events of these types in the 365 days before the day."""
    events = run.lake.read(tables.EVENTS).where(F.col(c.EVENT_TYPE).isin(list(event_types)))
    return events_before(events, as_of, HISTORY_DAYS)


def bought_before(run: Run, as_of: date) -> DataFrame:
    """user_idx and item_idx, once each, of what was bought in the 365 days before the day."""
    return indexed(run, taken_before(run, as_of, [c.PURCHASE])).select(*PAIR).distinct()


def bought_with_days(run: Run, as_of: date) -> DataFrame:
    """And beside each pair what `pair_days` says of it."""
    return pair_days(indexed(run, taken_before(run, as_of, [c.PURCHASE])), as_of)


def pair_days(purchases: DataFrame, as_of: date) -> DataFrame:
    """A row for each user_idx and item_idx: on how many days it was bought, and the newest of them, where 365 is the
    day before `as_of` and 1 the first that counts."""
    newest_day = HISTORY_DAYS + 1 - F.datediff(F.lit(as_of), F.max(c.EVENT_DATE))
    days = purchases.select(*PAIR, c.EVENT_DATE).distinct().groupBy(*PAIR)
    return days.agg(F.count("*").cast("int").alias(c.PURCHASE_DAYS), newest_day.alias(c.NEWEST_DAY))


def require_taken(run: Run, *, is_any: bool) -> None:
    if not is_any:
        raise InputError(
            f"no user bought anything in the {HISTORY_DAYS} days before the validation window of {run.day}. Cure: a "
            "run date with more events before it, or a shorter examples.label_days"
        )


def newest_histories(run: Run, as_of: date, event_types: Sequence[str], length: int) -> DataFrame:
    """user_id and `sequence` (recsys/examples/histories.py) of each user who took something before the day."""
    items = run.lake.read(tables.ITEM_IDS)
    taken = taken_before(run, as_of, event_types).join(items, on=c.ITEM_ID, how="inner")
    return newest(taken.select(c.USER_ID, c.ITEM_IDX, *EVENT_ORDER), length, c.USER_ID)


def vocabulary_size(ids: DataFrame, name: str) -> int:
    largest = ids.agg(F.max(name).alias("largest")).first()
    return 0 if largest is None or largest["largest"] is None else int(largest["largest"]) + 1
