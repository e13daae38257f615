"""Negatives drawn from all items, with the log-probability of a draw, and items that were shown and not bought."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.examples.labels import PAIR

DRAWN, SHOWN = "drawn", "shown"
USER = (c.AS_OF_DATE, c.USER_ID)
STORE = (c.AS_OF_DATE, c.STORE_ID)
# Of the items that a store promotes in a label window so many stand for all: what bounds users x promoted items.
MAX_SHOWN_A_STORE = 200

_SALT = "drawn-negatives-v1"
_WEIGHT, _START, _END, _TOTAL = "weight", "range_start", "range_end", "total"
# Draws for one that is wanted: some hit a positive or an item drawn already.
_DRAWS_PER_WANTED = 2
_MORE_DRAWS = 10
# Weights are whole numbers, so that their sum does not depend on the order of items.
_WEIGHT_UNITS = 1_000


def item_weights(item_features: DataFrame, items: DataFrame, exponent: float) -> DataFrame:
    """Eligible items of each cut-off: buyers of the last 91 days to the power `exponent`; with 0 all weigh the same."""
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    buyers = F.pow(F.col(c.ITEM_BUYERS_91D).cast("double"), F.lit(exponent))
    weight = F.round(buyers * _WEIGHT_UNITS).cast("bigint")
    weighted = item_features.join(eligible, on=c.ITEM_ID, how="left_semi")
    return weighted.select(c.AS_OF_DATE, c.ITEM_ID, weight.alias(_WEIGHT)).where(F.col(_WEIGHT) > 0)


def wanted_of(labelled: DataFrame, per_positive: int) -> DataFrame:
    """Per cut-off and user with a positive, how many negatives it wants."""
    positives = labelled.where(F.col(c.LABEL) > 0).groupBy(*USER)
    return positives.agg((F.count("*") * per_positive).alias("wanted"))


def drawn_negatives(wanted: DataFrame, weights: DataFrame, positives: DataFrame) -> DataFrame:
    """Different items, drawn by weight, as many a cut-off and user as are wanted, or fewer: 10 draws and 2 for each one
    wanted are made, and where few items weigh most of all, or are positives, too few of them hit another one.

    No item is drawn for a user that is among the user's `positives` at any cut-off. `log_probability` is that of one
    draw. Draws follow from the hash of cut-off, user and number: any partitioning draws the same.
    """
    ranges = _ranges(weights)
    hits = _hits(_draws(wanted, ranges), ranges)
    others = positives.select(c.USER_ID, c.ITEM_ID).distinct()
    allowed = hits.join(others, on=[c.USER_ID, c.ITEM_ID], how="left_anti")
    once = allowed.groupBy(*PAIR, "wanted", _WEIGHT, _TOTAL).agg(F.min("number").alias("number"))
    first = F.row_number().over(Window.partitionBy(*USER).orderBy("number"))
    kept = once.withColumn("position", first).where(F.col("position") <= F.col("wanted"))
    log_probability = F.log(_WEIGHT) - F.log(_TOTAL)
    return kept.select(*PAIR, F.lit(DRAWN).alias(c.NEGATIVE_KIND), log_probability.alias(c.LOG_PROBABILITY))


def shown_pairs(users: DataFrame, promotions: DataFrame, events: DataFrame, *, label_days: int) -> DataFrame:
    """What a user had before the eyes in the label window: impressions, and promotions in the user's main store.

    `users` are the user features of some cut-offs, whose windows are meant.
    """
    cutoffs = F.broadcast(users.select(c.AS_OF_DATE).distinct())
    ends_before = F.date_add(c.AS_OF_DATE, label_days)
    is_in_window = (F.col(c.EVENT_DATE) >= F.col(c.AS_OF_DATE)) & (F.col(c.EVENT_DATE) < ends_before)
    impressions = events.where(F.col(c.EVENT_TYPE) == c.IMPRESSION).join(cutoffs, on=is_in_window, how="inner")
    overlaps = (F.col(c.STARTS_ON) < ends_before) & (F.col(c.ENDS_BEFORE) > F.col(c.AS_OF_DATE))
    is_shown = F.col(c.IS_DISPLAYED) | F.col(c.IS_MAILED)
    in_stores = promotions.where(is_shown).join(cutoffs, on=overlaps, how="inner").select(*STORE, c.ITEM_ID).distinct()
    promoted = _first_by_hash(in_stores, STORE, F.lit(MAX_SHOWN_A_STORE))
    visitors = users.select(*USER, F.col(c.USER_MAIN_STORE_ID).alias(c.STORE_ID))
    in_main_store = visitors.join(promoted, on=[*STORE], how="inner").select(*PAIR)
    return in_main_store.union(impressions.select(*PAIR)).distinct()


def shown_negatives(wanted: DataFrame, shown: DataFrame, positives: DataFrame) -> DataFrame:
    """So many of the shown pairs a cut-off and user as are wanted, by hash, without any positive of the user."""
    others = positives.select(c.USER_ID, c.ITEM_ID).distinct()
    not_bought = shown.join(others, on=[c.USER_ID, c.ITEM_ID], how="left_anti").join(wanted, on=[*USER], how="inner")
    kept = _first_by_hash(not_bought, USER, F.col("wanted"))
    unknown = F.lit(None).cast("double").alias(c.LOG_PROBABILITY)
    return kept.select(*PAIR, F.lit(SHOWN).alias(c.NEGATIVE_KIND), unknown)


def _first_by_hash(rows: DataFrame, group: tuple[str, ...], number: Column) -> DataFrame:
    by_hash = Window.partitionBy(*group).orderBy(F.xxhash64(*group, c.ITEM_ID, F.lit(_SALT)), c.ITEM_ID)
    return rows.withColumn("position", F.row_number().over(by_hash)).where(F.col("position") <= number)


def _ranges(weights: DataFrame) -> DataFrame:
    """Items side by side on a line: each from `start` up to, but without, `end`; the line ends at `total`.

    The line is cut into as many blocks as there are items; `block` is the width of one.
    """
    line = Window.partitionBy(c.AS_OF_DATE)
    # One task an as_of_date: an id and a number an item.
    end = F.sum(_WEIGHT).over(line.orderBy(c.ITEM_ID).rowsBetween(Window.unboundedPreceding, 0))
    placed = weights.withColumns({_END: end, _TOTAL: F.sum(_WEIGHT).over(line), "items": F.count("*").over(line)})
    width = F.expr(f"greatest({_TOTAL} div items, 1)")
    return placed.withColumns({_START: F.col(_END) - F.col(_WEIGHT), "width": width})


def _draws(wanted: DataFrame, ranges: DataFrame) -> DataFrame:
    lines = F.broadcast(ranges.select(c.AS_OF_DATE, _TOTAL, "width").distinct())
    numbers = F.sequence(F.lit(1), F.col("wanted") * _DRAWS_PER_WANTED + _MORE_DRAWS)
    draws = wanted.join(lines, on=c.AS_OF_DATE, how="inner").withColumn("number", F.explode(numbers))
    point = F.pmod(F.xxhash64(*USER, "number", F.lit(_SALT)), F.col(_TOTAL))
    return draws.withColumn("point", point).withColumn("block", _block("point"))


def _hits(draws: DataFrame, ranges: DataFrame) -> DataFrame:
    """The item whose range holds the point: blocks make it a join of equal keys, two rows a draw on average."""
    blocks = F.explode(F.sequence(_block(_START), _block(f"{_END} - 1")))
    in_blocks = ranges.select(c.AS_OF_DATE, c.ITEM_ID, _WEIGHT, _START, _END, blocks.alias("block"))
    met = draws.join(in_blocks, on=[c.AS_OF_DATE, "block"], how="inner")
    return met.where((F.col("point") >= F.col(_START)) & (F.col("point") < F.col(_END)))


def _block(point: str) -> Column:
    return F.expr(f"({point}) div width")
