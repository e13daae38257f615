"""The graph of users and items: weighted edges with degrees, and neighbourhoods of one size drawn by hash."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.frames.as_of import age_days, known_before
from recsys.frames.sums import exact_sum

HISTORY_DAYS = 365
HALF_LIFE_DAYS = 91
USER = (c.AS_OF_DATE, c.USER_ID)
ITEM = (c.AS_OF_DATE, c.ITEM_ID)

_SALT = "neighbours-v1"


def edge_features(item_days: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per cut-off, user and item with a purchase in the 365 days before it."""
    edges = _edges(item_days, as_of_dates)
    users = edges.groupBy(*USER).agg(F.count("*").alias(c.EDGE_USER_DEGREE_365D))
    items = edges.groupBy(*ITEM).agg(F.count("*").alias(c.EDGE_ITEM_DEGREE_365D))
    with_degrees = edges.join(users, on=[*USER], how="inner").join(items, on=[*ITEM], how="inner")
    norm = 1 / F.sqrt(F.col(c.EDGE_USER_DEGREE_365D) * F.col(c.EDGE_ITEM_DEGREE_365D))
    return with_degrees.withColumn(c.EDGE_NORM_365D, norm).select(*tables.EDGE_FEATURES.column_names)


def user_neighbour_features(item_days: DataFrame, as_of_dates: Sequence[date], size: int) -> DataFrame:
    """One row per cut-off and user with a purchase in the 365 days before it."""
    found = _drawn(item_days, as_of_dates, USER, c.ITEM_ID, size)
    return found.select(
        c.USER_ID,
        c.AS_OF_DATE,
        _filled_up(size).alias(c.USER_NEIGHBOURS_ITEMS_365D),
        _mask(size).alias(c.USER_NEIGHBOURS_MASK_365D),
        _weights(size).alias(c.USER_NEIGHBOURS_WEIGHTS_365D),
    )


def item_neighbour_features(item_days: DataFrame, as_of_dates: Sequence[date], size: int) -> DataFrame:
    """One row per cut-off and item with a purchase in the 365 days before it."""
    found = _drawn(item_days, as_of_dates, ITEM, c.USER_ID, size)
    return found.select(
        c.ITEM_ID,
        c.AS_OF_DATE,
        _filled_up(size).alias(c.ITEM_NEIGHBOURS_USERS_365D),
        _mask(size).alias(c.ITEM_NEIGHBOURS_MASK_365D),
        _weights(size).alias(c.ITEM_NEIGHBOURS_WEIGHTS_365D),
    )


def _drawn(
    item_days: DataFrame, as_of_dates: Sequence[date], node: tuple[str, str], other: str, size: int
) -> DataFrame:
    """The `size` neighbours with the smallest hash of the edge, in its order: any partitioning draws the same.

    The hash knows no cut-off: a neighbourhood changes where the graph does, not from day to day.
    """
    edges = _edges(item_days, as_of_dates).select(*node, other, c.EDGE_WEIGHT_365D)
    hashed = edges.withColumn("hash", F.xxhash64(c.USER_ID, c.ITEM_ID, F.lit(_SALT)))
    position = F.row_number().over(Window.partitionBy(*node).orderBy("hash", other))
    kept = hashed.withColumn("position", position).where(F.col("position") <= size).groupBy(*node)
    ordered = kept.agg(F.array_sort(F.collect_list(F.struct("hash", other, c.EDGE_WEIGHT_365D))).alias("drawn"))
    return ordered.select(*node, F.col(f"drawn.{other}").alias("drawn"), F.col(f"drawn.{c.EDGE_WEIGHT_365D}"))


def _edges(item_days: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    halved = F.pow(F.lit(2.0), -age_days(F.col(c.EVENT_DATE)) / HALF_LIFE_DAYS)
    known = known_before(item_days, as_of_dates, HISTORY_DAYS).groupBy(*USER, c.ITEM_ID)
    return known.agg(exact_sum(halved).alias(c.EDGE_WEIGHT_365D))


def _filled_up(size: int) -> Column:
    nothing = F.lit(None).cast("string")
    return F.concat(F.col("drawn"), F.array_repeat(nothing, F.lit(size) - F.size("drawn")))


def _mask(size: int) -> Column:
    return F.transform(_filled_up(size), lambda neighbour: neighbour.isNotNull())


def _weights(size: int) -> Column:
    return F.concat(c.EDGE_WEIGHT_365D, F.array_repeat(F.lit(0.0), F.lit(size) - F.size("drawn")))
