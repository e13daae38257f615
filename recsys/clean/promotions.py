"""clean.promotions: one row an item that a store displayed or mailed, by first day."""

from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import values
from recsys.clean.history import with_first_told
from recsys.clean.mapping import PeriodMapping, PromotionsMapping
from recsys.clean.rules import PROMOTIONS, TIME_TEXT, Judged, judge
from recsys.clean.scans import carried
from recsys.config import CleanConfig
from recsys.frames.local_rows import local_rows
from recsys.tables import PROMOTIONS as TABLE
from recsys.tables import Table

DAYS_A_WEEK = 7
_LAST_WEEK = 5_200  # a hundred years


def judged_promotions(records: DataFrame, mapping: PromotionsMapping, limits: CleanConfig) -> Judged:
    time_text, starts_on, ends_before = period(mapping.period)
    typed = records.select(
        *(values.mapped_text(mapping, name) for name in (c.STORE_ID, c.ITEM_ID)),
        time_text.alias(TIME_TEXT),
        starts_on.alias(c.STARTS_ON),
        ends_before.alias(c.ENDS_BEFORE),
        values.flag(mapping.is_displayed).alias(c.IS_DISPLAYED),
        values.flag(mapping.is_mailed).alias(c.IS_MAILED),
        *carried(records),
    )
    return judge(typed, PROMOTIONS, limits)


def period(mapping: PeriodMapping) -> tuple[Column, Column, Column]:
    """The text that says it, the first day and the day after the last."""
    if mapping.week is None or mapping.first_week_starts is None:
        starts_on, ends = (
            values.text(str(name)) for name in (mapping.starts_on, mapping.ends_before or mapping.ends_on)
        )
        ends_before = F.date_add(values.day(ends), 1) if mapping.ends_on else values.day(ends)
        return starts_on, values.day(starts_on), ends_before
    week_text = values.text(mapping.week)
    number = week_text.try_cast("int")
    week = F.when(number.between(1, _LAST_WEEK), number)
    starts_on = F.date_add(F.lit(date.fromisoformat(mapping.first_week_starts)), (week - 1) * DAYS_A_WEEK)
    return week_text, starts_on, F.date_add(starts_on, DAYS_A_WEEK)


def clean_promotions(spark: SparkSession, kept: DataFrame | None) -> DataFrame:
    """A table without rows where the source has no promotions."""
    if kept is None:
        return no_rows(spark, TABLE)
    return kept.select(*TABLE.column_names)


def with_first_known_promotion(promotions: DataFrame, past: DataFrame | None) -> DataFrame:
    """`past`: the table of the last run, where a file was once changed in place: a promotion that stood in it as it is
    now keeps when it became known."""
    if past is None:
        return promotions
    as_it_is = (*TABLE.key, c.ENDS_BEFORE, c.IS_DISPLAYED, c.IS_MAILED)
    return with_first_told(promotions, past, [F.col(name) for name in as_it_is])


def no_rows(spark: SparkSession, table: Table) -> DataFrame:
    return local_rows(spark, [], table.schema)
