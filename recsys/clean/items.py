"""clean.items: one row an item of the shop, with what may be recommended; clean.item_history: one a version."""

from datetime import date
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import values
from recsys.clean.duplicates import Parted, merged, part, part_merged
from recsys.clean.history import Described, as_known_on, from_the_beginning, history_of_days, history_since
from recsys.clean.mapping import EligibleMapping, ItemsMapping
from recsys.clean.rules import ITEMS, Judged, is_after_file, judge
from recsys.clean.scans import FIRST_KNOWN_TS, carried
from recsys.config import CleanConfig
from recsys.frames.as_of import known_by
from recsys.tables import ITEM_HISTORY
from recsys.tables import ITEMS as TABLE

ITEM = Described(key=c.ITEM_ID, values=(c.NAME, c.DEPARTMENT, c.CATEGORY, c.BRAND, c.SELLER))


def judged_items(records: DataFrame, mapping: ItemsMapping, limits: CleanConfig) -> Judged:
    typed = records.select(
        *(values.mapped_text(mapping, name) for name in (ITEM.key, *ITEM.values)),
        *([_day(mapping, limits).alias(c.EVENT_DATE)] if mapping.is_repeated else []),
        *carried(records),
    )
    return judge(typed, ITEMS, limits)


def part_items(judged: Judged, mapping: ItemsMapping) -> tuple[Parted, DataFrame | None]:
    """The second: rows of clean.item_values, where many rows make one item."""
    if mapping.is_repeated:
        return part_merged(judged, ITEM.key, (c.EVENT_DATE, *ITEM.values))
    return part(judged, [c.SOURCE_FILE, ITEM.key]), None


def _day(mapping: ItemsMapping, limits: CleanConfig) -> Column:
    """Null where it cannot be read or is no day that an event may have."""
    if mapping.time is None:
        return F.lit(None).cast("date")
    at = values.instant(values.text(mapping.time.column), mapping.time)
    first, last = (date.fromisoformat(text) for text in (limits.first_event_date, limits.last_event_date))
    may_be = F.to_date(at).between(F.lit(first), F.lit(last))
    if mapping.known is not None:
        may_be &= ~is_after_file(at, F.col(FIRST_KNOWN_TS), limits)
    return F.when(may_be, F.to_date(at))


def merged_items(item_values: DataFrame) -> DataFrame:
    """One row an item, as `part_items` keeps them, from all rows of clean.item_values: the most frequent value of each
    column on all days, so that a description of one odd day renames no item."""
    return merged(item_values, ITEM.key, ITEM.values)


def merged_beside(items: DataFrame, item_values: DataFrame, changed: DataFrame) -> DataFrame:
    """`merged_items`, made anew of the items alone of which rows came or went, `changed`; `items`: all before that."""
    keys, columns = changed.select(ITEM.key).distinct(), (ITEM.key, *ITEM.values, c.KNOWN_TS)
    anew = merged_items(item_values.join(keys, on=ITEM.key, how="left_semi"))
    return anew.select(*columns).unionByName(items.join(keys, on=ITEM.key, how="left_anti").select(*columns))


def history_of_values(item_values: DataFrame, mapping: ItemsMapping, first_day: date) -> DataFrame:
    """From all rows of clean.item_values; without a time in the mapping, by the days on which they became known."""
    if mapping.time is not None:
        return history_of_days(item_values, ITEM)
    by_file = item_values.withColumn(c.EVENT_DATE, F.to_date(c.KNOWN_TS))
    return from_the_beginning(history_of_days(by_file, ITEM), ITEM, first_day)


def history_beside(
    past: DataFrame, item_values: DataFrame, changed: DataFrame, mapping: ItemsMapping, first_day: date
) -> DataFrame:
    """`history_of_values` where `past` is that of before, and `changed` the rows that came or went since."""
    if mapping.time is None:
        return history_of_values(item_values, mapping, first_day)
    return history_since(past, item_values, changed, ITEM)


def known_item_history(history: DataFrame, item_values: DataFrame, day: date) -> DataFrame:
    """clean.item_history, but for `is_eligible`, as a run would have written it when the UTC day began."""
    dated = item_values.where(F.col(c.EVENT_DATE).isNotNull())
    # What rows of events said cannot be told from the versions: one of two days that say the same may have come late.
    return as_known_on(history, day) if dated.isEmpty() else history_of_days(known_by(dated, day), ITEM)


def clean_items(kept: DataFrame, eligible: EligibleMapping) -> DataFrame:
    return kept.withColumn(c.IS_ELIGIBLE, is_eligible(eligible)).select(*TABLE.column_names)


def clean_item_history(history: DataFrame, eligible: EligibleMapping) -> DataFrame:
    return history.withColumn(c.IS_ELIGIBLE, is_eligible(eligible)).select(*ITEM_HISTORY.column_names)


def is_eligible(eligible: EligibleMapping) -> Column:
    """A blank value is not excluded, but matches no pattern."""
    excluded = [~F.coalesce(F.col(name).isin(*found), F.lit(False)) for name, found in eligible.exclude.items()]
    matched = [F.coalesce(F.col(name).rlike(pattern), F.lit(False)) for name, pattern in eligible.matches.items()]
    return reduce(and_, [*excluded, *matched], F.lit(True))
