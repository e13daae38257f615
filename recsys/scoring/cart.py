"""Items that complete a basket: by how much more often than by chance they lie in one with what is there already."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import ScenesConfig
from recsys.frames.as_of import known_before
from recsys.frames.baskets import TOGETHER, bounded_baskets, pairs_in_baskets, with_counts_of_both
from recsys.frames.best import first_of_each
from recsys.frames.sums import exact_sum

PAIR = (c.ITEM_ID, c.NEIGHBOUR_ID)


def item_pairs(basket_items: DataFrame, as_of: date, settings: ScenesConfig) -> DataFrame:
    """Both orders of each pair that enough baskets before the day hold: item_id, neighbour_id, support (these baskets),
    lift and `score`, the lift as it is believed after so few baskets.

    With E baskets expected by chance and n found, lift is n / E and the score (n + p) / (E + p): the mean of a gamma
    posterior whose prior has mean 1 and weighs p = `pair_prior_baskets` (DuMouchel 1999).
    """
    baskets = known_before(bounded_baskets(basket_items), [as_of], settings.history_days)
    pairs = with_counts_of_both(pairs_in_baskets(baskets, settings.pair_min_baskets), baskets)
    expected, found = F.col(c.NUM_BASKETS) * F.col("others") / F.col("all_baskets"), F.col(TOGETHER)
    return pairs.select(
        *PAIR, found.alias(c.SUPPORT), (found / expected).alias(c.LIFT), _score(found, expected, settings)
    )


def _score(found: Column, expected: Column, settings: ScenesConfig) -> Column:
    prior = settings.pair_prior_baskets
    return ((found + prior) / (expected + prior)).alias(c.SCORE)


def complements(pairs: DataFrame, items: DataFrame, n: int) -> DataFrame:
    """The `n` eligible items that most complete an item, of those that chance alone would not put beside it."""
    eligible = items.where(c.IS_ELIGIBLE).select(F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID))
    above_chance = pairs.where(F.col(c.SCORE) > 1).join(eligible, on=c.NEIGHBOUR_ID, how="left_semi")
    order = (F.desc(c.SCORE), F.desc(c.SUPPORT), F.asc(c.NEIGHBOUR_ID))
    return first_of_each(above_chance, n, (c.ITEM_ID,), order).select(
        c.ITEM_ID, c.RANK, c.NEIGHBOUR_ID, c.LIFT, c.SUPPORT, c.SCORE
    )


def completions(carts: DataFrame, weights: DataFrame, n: int, *case: str) -> DataFrame:
    """The `n` items that most complete each cart, ranked; none that lies in it.

    `carts`: columns `case` and item_id. `weights`: item_id, neighbour_id and score; an item's score is the sum over the
    cart, so that logarithms of lifts multiply the lifts.
    """
    summed = carts.join(weights, on=c.ITEM_ID, how="inner").groupBy(*case, c.NEIGHBOUR_ID)
    scores = summed.agg(exact_sum(F.col(c.SCORE)).alias(c.SCORE)).withColumnRenamed(c.NEIGHBOUR_ID, c.ITEM_ID)
    others = scores.join(carts, on=[*case, c.ITEM_ID], how="left_anti")
    best = first_of_each(others, n, case, (F.desc(c.SCORE), F.asc(c.ITEM_ID)))
    return best.select(*case, c.RANK, c.ITEM_ID, c.SCORE)


def log_lifts(complements: DataFrame) -> DataFrame:
    """Weights for `completions`."""
    return complements.select(*PAIR, F.log(c.SCORE).alias(c.SCORE))


def open_carts(events: DataFrame, as_of: date, days: int) -> DataFrame:
    """user_id and item_id of what was put into a cart in the `days` before the day and not bought since."""
    known = known_before(events, [as_of], days)
    last = known.groupBy(c.USER_ID, c.ITEM_ID).agg(
        *(F.max(F.when(F.col(c.EVENT_TYPE) == kind, F.col(c.EVENT_TS))).alias(kind) for kind in (c.CART, c.PURCHASE))
    )
    is_open = F.col(c.CART).isNotNull() & (F.col(c.PURCHASE).isNull() | (F.col(c.PURCHASE) < F.col(c.CART)))
    return last.where(is_open).select(c.USER_ID, c.ITEM_ID)
