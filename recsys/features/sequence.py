"""What a user did last, event by event, in arrays of one length."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.as_of import EVENT_ORDER, known_before

HISTORY_DAYS = 365
USER = (c.AS_OF_DATE, c.USER_ID)
MICROSECONDS_AN_HOUR = 3_600_000_000

_EVENTS = "events"


def sequence_features(events: DataFrame, as_of_dates: Sequence[date], length: int) -> DataFrame:
    """One row per cut-off and user with an event of any type in the 365 days before it."""
    price = F.try_divide(F.col(c.AMOUNT_CENTS), F.when(F.col(c.QUANTITY) > 0, F.col(c.QUANTITY)))
    priced = events.select(c.USER_ID, c.EVENT_DATE, *EVENT_ORDER, c.ITEM_ID, c.EVENT_TYPE, price.alias("price"))
    last = _last(known_before(priced, as_of_dates, HISTORY_DAYS), length)
    shown = last.withColumn(_EVENTS, _newest(_with_gaps(F.col(_EVENTS)), length))
    return shown.select(
        c.USER_ID,
        c.AS_OF_DATE,
        _filled_up("item_id", "string", length).alias(c.SEQUENCE_ITEMS),
        _filled_up("event_type", "string", length).alias(c.SEQUENCE_EVENT_TYPES),
        _filled_up("gap_hours", "double", length).alias(c.SEQUENCE_GAP_HOURS),
        _filled_up("price", "double", length).alias(c.SEQUENCE_PRICE_CENTS),
        _mask(length).alias(c.SEQUENCE_MASK),
    )


def _last(known: DataFrame, length: int) -> DataFrame:
    """Per cut-off and user the last events, oldest first, and one more, for the gap of the first.

    Each task keeps that many of a user before the shuffle, so that a user with a million events costs no more.
    """
    newest_first = Window.partitionBy(*USER).orderBy(*(F.desc(name) for name in EVENT_ORDER))
    numbered = known.withColumn("position", F.row_number().over(newest_first))
    event = F.struct(*EVENT_ORDER, c.ITEM_ID, c.EVENT_TYPE, "price")
    of_user = numbered.where(F.col("position") <= length + 1).groupBy(*USER)
    return of_user.agg(F.array_sort(F.collect_list(event)).alias(_EVENTS))


def _with_gaps(events: Column) -> Column:
    def with_gap(event: Column, index: Column) -> Column:
        before = F.get(events, index - 1)
        gap = F.unix_micros(event[c.EVENT_TS]) - F.unix_micros(before[c.EVENT_TS])
        return F.struct(
            event[c.ITEM_ID].alias("item_id"),
            event[c.EVENT_TYPE].alias("event_type"),
            (gap / MICROSECONDS_AN_HOUR).alias("gap_hours"),
            event["price"].alias("price"),
        )

    return F.transform(events, with_gap)


def _newest(events: Column, length: int) -> Column:
    return F.slice(events, F.greatest(F.size(events) - length, F.lit(0)) + 1, F.lit(length))


def _filled_up(field: str, type_: str, length: int) -> Column:
    nothing = F.lit(None).cast(type_)
    return F.concat(F.array_repeat(nothing, F.lit(length) - F.size(_EVENTS)), F.col(f"{_EVENTS}.{field}"))


def _mask(length: int) -> Column:
    filled, present = F.lit(length) - F.size(_EVENTS), F.size(_EVENTS)
    return F.concat(F.array_repeat(F.lit(False), filled), F.array_repeat(F.lit(True), present))
