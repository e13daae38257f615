"""clean.items: one row an item of the shop, with what may be recommended."""

from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import values
from recsys.clean.duplicates import Parted, merged, part, part_merged
from recsys.clean.mapping import EligibleMapping, ItemsMapping
from recsys.clean.rules import ITEMS, judge
from recsys.clean.scans import RAW_COLUMNS
from recsys.config import CleanConfig
from recsys.tables import ITEMS as TABLE

_VALUES = (c.NAME, c.DEPARTMENT, c.CATEGORY, c.BRAND)


def part_items(records: DataFrame, mapping: ItemsMapping, limits: CleanConfig) -> tuple[Parted, DataFrame | None]:
    """The second: rows of clean.item_values, where many rows make one item."""
    typed = records.select(
        *(values.mapped_text(mapping, name) for name in (c.ITEM_ID, *_VALUES)),
        *RAW_COLUMNS,
    )
    judged = judge(typed, ITEMS, limits)
    return part_merged(judged, c.ITEM_ID, _VALUES) if mapping.is_repeated else (part(judged, [c.ITEM_ID]), None)


def merged_items(item_values: DataFrame) -> DataFrame:
    """One row an item, as `part_items` keeps them, from all rows of clean.item_values."""
    return merged(item_values, c.ITEM_ID, _VALUES)


def clean_items(kept: DataFrame, eligible: EligibleMapping) -> DataFrame:
    return kept.withColumn(c.IS_ELIGIBLE, is_eligible(eligible)).select(*TABLE.column_names)


def is_eligible(eligible: EligibleMapping) -> Column:
    """A blank value is not excluded, but matches no pattern."""
    excluded = [~F.coalesce(F.col(name).isin(*found), F.lit(False)) for name, found in eligible.exclude.items()]
    matched = [F.coalesce(F.col(name).rlike(pattern), F.lit(False)) for name, pattern in eligible.matches.items()]
    return reduce(and_, [*excluded, *matched], F.lit(True))
