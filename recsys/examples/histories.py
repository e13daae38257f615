"""What users took, in order, in rows of one length, as networks of histories read them.

A row holds item_idx + 1, oldest first, and is filled up with 0 at its end: as recsys/models/histories.py makes rows
without Spark. `taken` has the columns of `key`, item_idx and as_of.EVENT_ORDER, an event a row.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.as_of import EVENT_ORDER

_FROM_END = "from_end"  # an event's place from its user's newest, which has 1
_ROW = "row"
_NEXT = "next"


def newest(taken: DataFrame, size: int, key: str) -> DataFrame:
    """`key` and `sequence`: each user's last items."""
    listed = _listed(_numbered(taken, key, size), key)
    return listed.select(key, _filled_up(F.col(c.SEQUENCE), size).alias(c.SEQUENCE))


def windows(taken: DataFrame, size: int, key: str, *, most: int) -> DataFrame:
    """`key` and `sequence`: each event but a user's first stands once behind the first place of a row.

    Rows are cut from the end, each beginning with the last item of the one before, `most` of a user; one with a single
    event has none.
    """
    step = size - 1
    number = F.floor((F.col(_FROM_END) - 1) / step)
    is_shared = (F.col(_FROM_END) > 1) & ((F.col(_FROM_END) - 1) % step == 0)
    rows = F.when(is_shared, F.array(number - 1, number)).otherwise(F.array(number))
    numbered = _numbered(taken, key, most * step + 1).withColumn(_ROW, F.explode(rows))
    listed = _listed(numbered, key, _ROW).where(F.size(c.SEQUENCE) > 1)
    return listed.select(key, _filled_up(F.col(c.SEQUENCE), size).alias(c.SEQUENCE))


def with_next(taken: DataFrame, later: DataFrame, size: int, key: str) -> DataFrame:
    """`key` and `sequence`: each user's last items and, behind them, the first of `later`."""
    first = later.groupBy(key).agg(F.min_by(c.ITEM_IDX, F.struct(*EVENT_ORDER)).alias(_NEXT))
    listed = _listed(_numbered(taken, key, size - 1), key).join(first, on=key, how="inner")
    whole = F.concat(F.col(c.SEQUENCE), F.array(F.col(_NEXT) + 1))
    return listed.select(key, _filled_up(whole, size).alias(c.SEQUENCE))


def number_of_targets(rows: DataFrame) -> int:
    """Items of all rows but each row's first."""
    items = F.size(F.filter(c.SEQUENCE, lambda item: item > 0))
    counted = rows.agg(F.coalesce(F.sum(items - 1), F.lit(0)).alias("targets")).first()
    assert counted is not None, "an aggregate without groups has one row"
    return int(counted["targets"])


def _numbered(taken: DataFrame, key: str, most: int) -> DataFrame:
    """Each task keeps that many of a user before the shuffle, so that a user with a million events costs no more."""
    newest_first = Window.partitionBy(key).orderBy(*(F.desc(name) for name in EVENT_ORDER))
    return taken.withColumn(_FROM_END, F.row_number().over(newest_first)).where(F.col(_FROM_END) <= most)


def _listed(numbered: DataFrame, *keys: str) -> DataFrame:
    event = F.struct((-F.col(_FROM_END)).alias("order"), (F.col(c.ITEM_IDX) + 1).alias("item"))
    listed = numbered.groupBy(*keys).agg(F.array_sort(F.collect_list(event)).alias(c.SEQUENCE))
    return listed.withColumn(c.SEQUENCE, F.col(f"{c.SEQUENCE}.item"))


def _filled_up(items: Column, size: int) -> Column:
    return F.concat(items, F.array_repeat(F.lit(0), F.lit(size) - F.size(items)))
