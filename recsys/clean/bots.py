"""Users who on one day act as no person does: too often, on too many items, or like clockwork."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import CleanConfig

BOT_RATE = "bot_rate"
BOT_BREADTH = "bot_breadth"
BOT_REGULARITY = "bot_regularity"

_EVENTS, _ITEMS, _INSTANTS = "_events", "_items", "_instants"
_SAME_GAP_SECONDS = 1


def bot_days(lines: DataFrame, limits: CleanConfig) -> DataFrame:
    """Users and local days with the rules that they break; a threshold of 0 is not asked."""
    asked = {
        BOT_RATE: (limits.bot_events_a_day, _too_many(_EVENTS, limits.bot_events_a_day)),
        BOT_BREADTH: (limits.bot_items_a_day, _too_many(_ITEMS, limits.bot_items_a_day)),
        BOT_REGULARITY: (limits.bot_regular_gaps, _is_regular(limits)),
    }
    broken = [F.when(is_broken, F.lit(name)) for name, (threshold, is_broken) in asked.items() if threshold]
    counted = lines.groupBy(c.USER_ID, c.LOCAL_DATE).agg(
        F.count("*").alias(_EVENTS),
        F.countDistinct(c.ITEM_ID).alias(_ITEMS),
        F.collect_set(F.unix_micros(c.EVENT_TS)).alias(_INSTANTS),
    )
    named = counted.select(c.USER_ID, c.LOCAL_DATE, F.array_compact(F.array(*broken)).alias(c.REASONS))
    return named.where(F.size(c.REASONS) > 0)


def _too_many(count: str, most: int) -> Column:
    return F.col(count) > most


def _is_regular(limits: CleanConfig) -> Column:
    """Most gaps between instants are the median gap, to a second. Lines of one instant, as of a basket, are one."""
    seconds = F.transform(F.array_sort(_INSTANTS), lambda micros: micros / 1_000_000)
    later, earlier = F.slice(seconds, 2, F.size(seconds)), F.slice(seconds, 1, F.size(seconds) - 1)
    gaps = F.array_sort(F.zip_with(later, earlier, lambda end, begin: end - begin))
    median = F.try_element_at(gaps, F.greatest(F.lit(1), F.ceil(F.size(gaps) / 2).cast("int")))
    equal = F.filter(gaps, lambda gap: F.abs(gap - median) <= _SAME_GAP_SECONDS)
    is_long = F.size(_INSTANTS) > limits.bot_regular_gaps
    return F.when(is_long, F.size(equal) >= F.size(gaps) * limits.bot_regular_share)
