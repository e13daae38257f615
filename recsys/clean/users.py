"""clean.users: one row a user, with what the user files know of them."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import values
from recsys.clean.duplicates import Parted, part
from recsys.clean.mapping import UsersMapping
from recsys.clean.rules import USERS, judge
from recsys.clean.scans import RAW_COLUMNS
from recsys.config import CleanConfig
from recsys.tables import USERS as TABLE


def part_users(records: DataFrame, mapping: UsersMapping, limits: CleanConfig) -> Parted:
    typed = records.select(
        values.mapped_text(mapping, c.USER_ID),
        values.flag(mapping.is_opted_out).alias(c.IS_OPTED_OUT),
        values.text_map(mapping.attributes).alias(c.ATTRIBUTES),
        *RAW_COLUMNS,
    )
    return part(judge(typed, USERS, limits), [c.USER_ID])


def clean_users(named: DataFrame | None, events: DataFrame) -> DataFrame:
    """Users of the user files and, with nothing known of them, all other users of clean.events."""
    seen = events.select(c.USER_ID).distinct()
    unnamed = seen if named is None else seen.join(named, on=c.USER_ID, how="left_anti")
    added = unnamed.select(c.USER_ID, F.lit(False).alias(c.IS_OPTED_OUT), values.text_map(()).alias(c.ATTRIBUTES))
    return added if named is None else named.select(*TABLE.column_names).unionByName(added)
