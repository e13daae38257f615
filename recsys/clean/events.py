"""clean.events: one row an event, typed, on the shop's clock and in UTC."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import values
from recsys.clean.across import as_said
from recsys.clean.files import InputFile
from recsys.clean.history import with_first_told_in_files
from recsys.clean.mapping import EventsMapping
from recsys.clean.quality import with_defaults
from recsys.clean.rules import (
    AMOUNT_TEXT,
    EVENTS,
    IS_KNOWN_ITEM,
    IS_KNOWN_USER,
    IS_NUMBER_MISSING,
    QUANTITY_TEXT,
    TIME_TEXT,
    TOLD_TS,
    Judged,
    judge,
)
from recsys.clean.scans import CONTENT_HASH, FIRST_KNOWN_TS, carried, unnamed_columns
from recsys.config import CleanConfig
from recsys.tables import EVENTS as TABLE


def judged_events(
    records: DataFrame,
    mapping: EventsMapping,
    limits: CleanConfig,
    *,
    known_items: DataFrame,
    known_users: DataFrame | None,
) -> Judged:
    """`known_users` is None where no file names all users: every user is known then."""
    typed = typed_events(records, mapping)
    linked = with_known(typed, known_items, c.ITEM_ID, IS_KNOWN_ITEM)
    linked = with_known(linked, known_users, c.USER_ID, IS_KNOWN_USER)
    return judge(linked, EVENTS, limits)


def typed_events(records: DataFrame, mapping: EventsMapping) -> DataFrame:
    """Every record, with null where a value is blank or cannot be read."""
    quantity_text = values.mapped_text(mapping, c.QUANTITY)
    amount_text = values.text(mapping.amount.column) if mapping.amount else F.lit(None).cast("string")
    quantity = values.quantity(quantity_text)
    amount = values.amount_cents(amount_text, mapping.amount, quantity) if mapping.amount else F.lit(None)
    return records.select(
        *(values.mapped_text(mapping, name) for name in (c.USER_ID, c.ITEM_ID, c.BASKET_ID, c.STORE_ID, c.DEVICE)),
        event_type(mapping).alias(c.EVENT_TYPE),
        values.text(mapping.time.column).alias(TIME_TEXT),
        values.instant(values.text(mapping.time.column), mapping.time).alias(c.EVENT_TS),
        quantity_text.alias(QUANTITY_TEXT),
        quantity.cast("double").alias(c.QUANTITY),
        amount_text.alias(AMOUNT_TEXT),
        amount.cast("bigint").alias(c.AMOUNT_CENTS),
        is_number_missing(mapping, quantity_text, amount_text).alias(IS_NUMBER_MISSING),
        (F.col(FIRST_KNOWN_TS) if mapping.known else F.lit(None).cast("timestamp")).alias(TOLD_TS),
        rescued(unnamed_columns(records, mapping)).alias(c.RESCUED),
        *carried(records),
        *([] if mapping.key else [CONTENT_HASH]),
    )


def event_type(mapping: EventsMapping) -> Column:
    """Ours for the log's; null where the mapping does not translate it."""
    kind = mapping.event_type
    if kind.column is None:
        return F.lit(kind.constant)
    found = values.text(kind.column)
    translated = F.lit(None).cast("string")
    for theirs, ours in kind.values.items():
        translated = F.when(found == theirs, F.lit(ours)).otherwise(translated)
    return translated


def is_number_missing(mapping: EventsMapping, quantity_text: Column, amount_text: Column) -> Column:
    """Only of a purchase, and only of numbers that every file must have."""
    expected = {mapping.columns.get(c.QUANTITY): quantity_text}
    if mapping.amount is not None:
        expected[mapping.amount.column] = amount_text
    missing = F.lit(False)
    for column, found in expected.items():
        if column is not None and column not in mapping.optional:
            missing = missing | found.isNull()
    return (event_type(mapping) == c.PURCHASE) & missing


def with_known(events: DataFrame, known: DataFrame | None, key: str, name: str) -> DataFrame:
    """Adds whether `known`, with one row a key, has the event's key."""
    if known is None:
        return events.withColumn(name, F.lit(True))
    marked = known.select(key, F.lit(True).alias(name))
    return events.join(marked, on=key, how="left").withColumn(name, F.coalesce(name, F.lit(False)))


def rescued(names: Sequence[str]) -> Column:
    """Null where no value is there."""
    found = values.text_map(names)
    return F.when(F.size(found) > 0, found)


def clean_events(kept: DataFrame, local_time_zone: str) -> DataFrame:
    local = F.from_utc_timestamp(c.EVENT_TS, local_time_zone)
    whole = with_defaults(kept, {c.CANCELLED_QUANTITY: 0, c.CANCELLED_CENTS: 0, c.SESSION_ID: None}, TABLE)
    return (
        whole.withColumn(c.EVENT_DATE, F.to_date(c.EVENT_TS))
        .withColumn(c.LOCAL_HOUR, F.hour(local))
        .withColumn(c.LOCAL_WEEKDAY, F.weekday(local) + 1)
        .select(*TABLE.column_names)
    )


def with_first_known_event(
    events: DataFrame, past: DataFrame | None, files: Sequence[InputFile], mapping: EventsMapping
) -> DataFrame:
    """`past`: the table of the last run. Of a file that was once changed in place, a row that stood in it as it is now
    keeps when it became known. A key names a row that may say something else now; without one the record is the row.
    """
    same = [F.col(c.SOURCE_FILE), F.col(c.IDENTITY), *(as_said() if mapping.key else [])]
    return with_first_told_in_files(events, past, files, same)
