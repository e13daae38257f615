"""Repeat purchases when they are due: which of a user's own items come again soon.

Three things speak for an item: on how many days the user bought it, late ones more; that it is due by the user's own
intervals; and that whoever buys it tends to come back for it. The second is a renewal process with an end: purchases
come at gaps of an Erlang distribution with two steps (Chatfield and Goodhardt 1973), and after each purchase the user
may give the item up.
"""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import ScenesConfig
from recsys.frames.as_of import known_before
from recsys.frames.best import first_of_each
from recsys.frames.sums import exact_sum

USER_ITEM = (c.USER_ID, c.ITEM_ID)

_GAP_DAYS = "gap_days"
_GAPS = "gaps"
_WEIGHT = "weight"
_REPEAT_SHARE = "repeat_share"


def due_items(item_days: DataFrame, items: DataFrame, as_of: date, n: int, settings: ScenesConfig) -> DataFrame:
    """The `n` of each user's own eligible items that speak most for being bought in the `due_days` from the day on.

    The score is the recency-weighted number of purchase days, times powers of the probability that the item is due and
    of its repeat share. `item_days`: user_id, item_id, event_date, each once.
    """
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    before = known_before(item_days, [as_of], settings.history_days)
    own = intervals(before, as_of, settings)
    elapsed = F.datediff(F.lit(as_of), F.col(c.LAST_DATE))
    due = due_probability(elapsed, F.col(c.INTERVAL_DAYS), F.col(c.PURCHASE_DAYS), settings.due_days)
    known = own.join(repeat_shares(own, settings.repeat_prior_users), on=c.ITEM_ID, how="inner")
    score = F.col(_WEIGHT) * F.pow(due, F.lit(settings.due_exponent)) * F.sqrt(_REPEAT_SHARE)
    scored = known.join(eligible, on=c.ITEM_ID, how="left_semi").withColumns({c.DUE_PROBABILITY: due, c.SCORE: score})
    order = (F.desc(c.SCORE), F.desc(c.PURCHASE_DAYS), F.desc(c.LAST_DATE), F.asc(c.ITEM_ID))
    return first_of_each(scored, n, (c.USER_ID,), order).select(
        c.USER_ID, c.RANK, c.ITEM_ID, c.SCORE, c.DUE_PROBABILITY, c.INTERVAL_DAYS, c.LAST_DATE, c.PURCHASE_DAYS
    )


def _weight(as_of: date, recency_days: int) -> Column:
    return F.exp(-F.datediff(F.lit(as_of), F.col(c.EVENT_DATE)) / recency_days)


def repeat_shares(own: DataFrame, prior_users: float) -> DataFrame:
    """Of each item the share of its users who bought it on a second day, beside `prior_users` like those of all items.

    Never 0: where nobody has bought anything twice, the shares are those of one who might.
    """
    is_repeated = F.count_if(F.col(c.PURCHASE_DAYS) > 1)
    of_all = own.agg(((is_repeated + 1) / (F.count("*") + 1)).alias("share_of_all"))
    of_item = own.groupBy(c.ITEM_ID).agg(is_repeated.alias("repeated"), F.count("*").alias(c.ROWS))
    share = (F.col("repeated") + prior_users * F.col("share_of_all")) / (F.col(c.ROWS) + prior_users)
    return of_item.crossJoin(F.broadcast(of_all)).select(c.ITEM_ID, share.alias(_REPEAT_SHARE))


def intervals(item_days: DataFrame, as_of: date, settings: ScenesConfig) -> DataFrame:
    """One row per user and item: purchase_days, last_date, `weight`, the purchase days by their recency on the day, and
    interval_days, the expected gap between two of them.

    A user's own gaps count beside `interval_prior_gaps` gaps of the item's mean, and the item's beside as many of the
    mean over all items: one long gap is no rhythm. Without a gap in the whole log the mean is all of `history_days`.
    """
    own = item_days.groupBy(*USER_ITEM).agg(
        F.count("*").alias(c.PURCHASE_DAYS),
        F.max(c.EVENT_DATE).alias(c.LAST_DATE),
        exact_sum(_weight(as_of, settings.recency_days)).alias(_WEIGHT),
        F.datediff(F.max(c.EVENT_DATE), F.min(c.EVENT_DATE)).alias(_GAP_DAYS),
    )
    gaps = own.withColumn(_GAPS, F.col(c.PURCHASE_DAYS) - 1)
    sums = (F.sum(_GAP_DAYS).alias("item_gap_days"), F.sum(_GAPS).alias("item_gaps"))
    mean_gap = F.try_divide(F.sum(_GAP_DAYS), F.sum(_GAPS))
    all_gaps = gaps.agg(F.coalesce(mean_gap, F.lit(float(settings.history_days))).alias("mean_gap"))
    of_item = gaps.groupBy(c.ITEM_ID).agg(*sums).crossJoin(F.broadcast(all_gaps))
    prior = settings.interval_prior_gaps
    item_interval = _shrunk("item_gap_days", "item_gaps", F.col("mean_gap"), prior)
    joined = gaps.join(of_item.select(c.ITEM_ID, item_interval.alias("item_interval")), on=c.ITEM_ID, how="inner")
    own_interval = _shrunk(_GAP_DAYS, _GAPS, F.col("item_interval"), prior)
    return joined.select(*USER_ITEM, c.PURCHASE_DAYS, c.LAST_DATE, _WEIGHT, own_interval.alias(c.INTERVAL_DAYS))


def _shrunk(days: str, gaps: str, prior_days: Column, prior: float) -> Column:
    return (F.col(days) + prior * prior_days) / (F.col(gaps) + prior)


def due_probability(elapsed: Column, interval: Column, purchases: Column, days: int) -> Column:
    """That the next purchase comes in the `days` from now on, after `elapsed` days without one.

    After each of x purchases the user gives up with probability 1 / (1 + x), the rule of succession; S is the share of
    gaps that last longer. P = (1 - q)(S(t) - S(t + days)) / ((1 - q) S(t) + q): of those who wait as long as this user,
    some have given up.
    """
    given_up = 1 / (1 + purchases)
    still, later = _longer(elapsed, interval), _longer(elapsed + days, interval)
    return (1 - given_up) * (still - later) / ((1 - given_up) * still + given_up)


def _longer(days: Column, interval: Column) -> Column:
    """Share of Erlang gaps of two steps with this mean that are longer."""
    steps = 2 * days / interval
    return (1 + steps) * F.exp(-steps)
