"""Lists as other systems take them: a record a user and scene, and only the records that changed."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

SET, GONE = "set", "gone"
# What a record says of an item.
ENTRY = (c.ITEM_ID, c.RANK, c.SCORE, c.SOURCE, c.REASON)
KEY = (c.SCENE, c.USER_ID)

_OLD = "old_items"


def records(lists: DataFrame) -> DataFrame:
    """scene, user_id, run_date, model_name, model_version and `items`, best first. `lists` has one day of a scene."""
    entry = F.struct(c.RANK, *(name for name in ENTRY if name != c.RANK))
    grouped = lists.groupBy(*KEY).agg(
        F.max(c.RUN_DATE).alias(c.RUN_DATE),
        F.max(c.MODEL_NAME).alias(c.MODEL_NAME),
        F.max(c.MODEL_VERSION).alias(c.MODEL_VERSION),
        F.array_sort(F.collect_list(entry)).alias(c.ITEMS),
    )
    return grouped.select(*KEY, c.RUN_DATE, c.MODEL_NAME, c.MODEL_VERSION, c.ITEMS)


def changes(now: DataFrame, before: DataFrame | None) -> DataFrame:
    """Records whose items are others than `before`, with `change`: set, or gone, of which nothing but the key is told.

    Day and model alone make no change: whoever serves the list has it already.
    """
    if before is None:
        return now.withColumn(c.CHANGE, F.lit(SET))
    both = now.join(before.select(*KEY, F.col(c.ITEMS).alias(_OLD)), on=list(KEY), how="full")
    change = F.when(F.col(c.ITEMS).isNull(), GONE).otherwise(SET)
    return both.where(~F.col(c.ITEMS).eqNullSafe(F.col(_OLD))).drop(_OLD).withColumn(c.CHANGE, change)


def key_values(changed: DataFrame, shards: int) -> DataFrame:
    """`key`, `<scene>/<user_id>`; `value`, the record as JSON, null where the list is gone; and the key's `shard`."""
    key = F.concat_ws("/", *KEY)
    value = F.to_json(F.struct(c.RUN_DATE, c.MODEL_NAME, c.MODEL_VERSION, c.ITEMS))
    return changed.select(
        F.pmod(F.xxhash64(key), F.lit(shards)).cast("int").alias(c.SHARD),
        key.alias(c.KEY),
        F.when(F.col(c.CHANGE) == SET, value).alias(c.VALUE),
    )
