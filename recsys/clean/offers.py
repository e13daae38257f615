"""Offers of a log that has some: campaigns and their days, what each offer is for, who was given it, who took it."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame

from recsys import columns as c
from recsys import tables
from recsys.clean import values
from recsys.clean.mapping import CampaignsMapping, RedemptionsMapping, TableMapping
from recsys.clean.promotions import period
from recsys.clean.rules import CAMPAIGNS, OFFERS, OFFERS_SENT, REDEMPTIONS, TIME_TEXT, Judged, judge
from recsys.clean.scans import carried
from recsys.config import CleanConfig
from recsys.tables import Table

# The clean table of each source table.
TABLES: Mapping[str, Table] = {
    CAMPAIGNS: tables.CAMPAIGNS,
    OFFERS: tables.OFFERS,
    OFFERS_SENT: tables.OFFERS_SENT,
    REDEMPTIONS: tables.REDEMPTIONS,
}


def judged_offers(records: DataFrame, mapping: TableMapping, limits: CleanConfig, name: str) -> Judged:
    """Of the source table `name`; the rows have the columns of its clean table."""
    typed = records.select(
        *(values.mapped_text(mapping, column) for column in mapping.needed()), *_days(mapping), *carried(records)
    )
    return judge(typed, name, limits)


def _days(mapping: TableMapping) -> tuple[Column, ...]:
    if isinstance(mapping, CampaignsMapping):
        time_text, starts_on, ends_before = period(mapping.period)
        return time_text.alias(TIME_TEXT), starts_on.alias(c.STARTS_ON), ends_before.alias(c.ENDS_BEFORE)
    if isinstance(mapping, RedemptionsMapping):
        day = values.text(mapping.redeemed_on)
        return day.alias(TIME_TEXT), values.day(day).alias(c.REDEEMED_ON)
    return ()
