"""clean.users: one row a user, with what the user files know of them; clean.user_history: one a version."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import values
from recsys.clean.history import Described
from recsys.clean.mapping import UsersMapping
from recsys.clean.rules import USERS, Judged, judge
from recsys.clean.scans import carried
from recsys.config import CleanConfig
from recsys.tables import USERS as TABLE

USER = Described(key=c.USER_ID, values=(c.IS_OPTED_OUT, c.ATTRIBUTES))
ONE_A_FILE = (c.SOURCE_FILE, c.USER_ID)
_LARGE = "_large"


def judged_users(records: DataFrame, mapping: UsersMapping, limits: CleanConfig) -> Judged:
    typed = records.select(
        values.mapped_text(mapping, c.USER_ID),
        values.flag(mapping.is_opted_out).alias(c.IS_OPTED_OUT),
        values.text_map(mapping.attributes).alias(c.ATTRIBUTES),
        *carried(records),
    )
    return judge(typed, USERS, limits)


def clean_users(named: DataFrame | None, events: DataFrame, limits: CleanConfig) -> DataFrame:
    """Users of the user files and, with nothing known of them, all other users of clean.events."""
    found = _all_users(named, events)
    if not limits.reseller_quantity:
        return found.withColumn(c.IS_RESELLER, F.lit(False)).select(*TABLE.column_names)
    marked = found.join(_resellers(events, limits), on=c.USER_ID, how="left")
    return marked.withColumn(c.IS_RESELLER, F.coalesce(c.IS_RESELLER, F.lit(False))).select(*TABLE.column_names)


def _resellers(events: DataFrame, limits: CleanConfig) -> DataFrame:
    """Of their purchase lines enough are large; sums of counts, so that nothing depends on an order."""
    is_large = F.col(c.QUANTITY) >= limits.reseller_quantity
    lines = events.where((F.col(c.EVENT_TYPE) == c.PURCHASE) & F.col(c.QUANTITY).isNotNull())
    counted = lines.groupBy(c.USER_ID).agg(F.count("*").alias(c.ROWS), F.count_if(is_large).alias(_LARGE))
    is_one = (F.col(c.ROWS) >= limits.reseller_lines) & (F.col(_LARGE) >= F.col(c.ROWS) * limits.reseller_share)
    return counted.where(is_one).select(c.USER_ID, F.lit(True).alias(c.IS_RESELLER))


def _all_users(named: DataFrame | None, events: DataFrame) -> DataFrame:
    seen = events.select(c.USER_ID).distinct()
    unnamed = seen if named is None else seen.join(named, on=c.USER_ID, how="left_anti")
    unknown = F.lit(None).cast("timestamp").alias(c.KNOWN_TS)
    opted_out, attributes = F.lit(False).alias(c.IS_OPTED_OUT), values.text_map(()).alias(c.ATTRIBUTES)
    added = unnamed.select(c.USER_ID, opted_out, attributes, unknown)
    return added if named is None else named.select(*added.columns).unionByName(added)
