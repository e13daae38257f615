"""Typed values from the text of a record: null where it is blank or does not fit; the rules tell which."""

import re
from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys.clean.mapping import UNITS, AmountMapping, FlagMapping, TableMapping, TimeMapping
from recsys.clean.scans import TEXT
from recsys.clean.time_formats import ISO, UNIX_UNITS_PER_SECOND

_DECIMAL = "decimal(18,4)"  # money and quantities; its products and hundredfolds stay below 38 digits
_UNIX = "decimal(28,9)"
_OFFSET_AT_END = r"\d:\d{2}.*(Z|[+-]\d{2}(:\d{2})?)$"
_ISO_START = r"^\d{4}-\d{2}-\d{2}"
_OFFSET_LETTERS = re.compile(r"[XxZzVO]")
_QUOTED_TEXT = re.compile(r"'[^']*'")
_FLOAT_OF_WHOLE_NUMBER = r"^-?\d+\.\d*([eE]\+?\d+)?$"


def text(source_column: str) -> Column:
    return F.col(TEXT).getField(source_column)


def text_map(source_columns: Sequence[str]) -> Column:
    """By the log's own names; blank ones are left out."""
    if not source_columns:
        return F.create_map().cast("map<string,string>")
    pairs = [part for name in source_columns for part in (F.lit(name), text(name))]
    return F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())


def mapped_text(mapping: TableMapping, name: str) -> Column:
    """One of our columns; null where the mapping has none for it."""
    if name not in mapping.columns:
        return F.lit(None).cast("string").alias(name)
    found = text(mapping.columns[name])
    return (whole_number_text(found) if name in mapping.integer_like else found).alias(name)


def whole_number_text(found: Column) -> Column:
    """17850 for 17850.0 and for 1.785E4, as tools write numbers of a column with gaps; other text stays."""
    number = found.try_cast("decimal(38,6)")
    is_whole = found.rlike(_FLOAT_OF_WHOLE_NUMBER) & (number == F.floor(number))
    return F.when(is_whole, number.cast("decimal(32,0)").cast("string")).otherwise(found)


def quantity(found: Column) -> Column:
    return found.try_cast(_DECIMAL)


def amount_cents(found: Column, mapping: AmountMapping, quantity: Column) -> Column:
    """Exact, half a cent rounded away from zero; `quantity` is used where the column is a unit price."""
    price = found.try_cast(_DECIMAL)
    amount = price * quantity if mapping.multiply_by_quantity else price
    return F.round(amount * UNITS[mapping.unit], 0).try_cast("bigint")


def instant(found: Column, mapping: TimeMapping) -> Column:
    """UTC. Text with an offset says its instant itself; other text is read on the clock of the mapping's zone. Null for
    a time that this clock never showed, for it was put forward; no further format is tried then."""
    *others, (_, instant) = (_read(found, name, mapping.zone) for name in mapping.formats)
    for read, of_format in reversed(others):
        instant = F.when(read.isNotNull(), of_format).otherwise(instant)
    return instant


def _read(found: Column, time_format: str, zone: str) -> tuple[Column, Column]:
    """The text as the format reads it, null where it does not fit, and the instant that it means on the clock."""
    if time_format in UNIX_UNITS_PER_SECOND:
        micros_per_unit = F.lit(10**6 / UNIX_UNITS_PER_SECOND[time_format]).cast("decimal(10,3)")
        read = F.timestamp_micros((found.try_cast(_UNIX) * micros_per_unit).try_cast("bigint"))
        return read, read
    if time_format == ISO:
        # The guard keeps out what Spark also reads as a time: "2010", "12:30" (of today).
        read = F.when(found.rlike(_ISO_START), found.try_cast("timestamp"))
        return read, F.when(found.rlike(_OFFSET_AT_END), read).otherwise(_on_clock(read, zone))
    read = F.try_to_timestamp(found, F.lit(time_format))
    has_offset = _OFFSET_LETTERS.search(_QUOTED_TEXT.sub("", time_format))
    return read, read if has_offset else _on_clock(read, zone)


def _on_clock(local: Column, zone: str) -> Column:
    if zone == "UTC":
        return local
    instant = F.to_utc_timestamp(local, zone)
    return F.when(F.from_utc_timestamp(instant, zone) == local, instant)


def day(found: Column) -> Column:
    """An ISO day; a time behind it is left out."""
    return F.when(found.rlike(_ISO_START), found.try_cast("date"))


def flag(mapping: FlagMapping | None) -> Column:
    if mapping is None:
        return F.lit(False)
    found = text(mapping.column)
    return found.isNotNull() & ~found.isin(*mapping.false_values)
