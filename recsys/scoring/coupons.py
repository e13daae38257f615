"""Which running offer for which user: how much likelier the user buys what it is for with the offer than without.

Without: from the user's own days with a purchase of the offer's items and of their categories. With: past campaigns
tell how many of the users who had an offer bought of it, beside those who had not and were as likely to. Nobody drew by
lot who had one: whatever else the shop chose its users by counts as an effect of the offer. So a gain is an association
that orders offers; what an offer really brings, only one given by lot could tell.
"""

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import ScenesConfig
from recsys.frames.as_of import is_within
from recsys.frames.best import first_of_each

OFFER = (c.CAMPAIGN_ID, c.OFFER_ID)
PAIR = (*OFFER, c.USER_ID)
# Users are compared with others within these borders of their chance without an offer.
CHANCES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)

_LIFT, _STRATUM = "lift", "stratum"
_OWN_DAYS, _CATEGORY_DAYS, _SHARE = "own_days", "category_days", "share"
_PARTS = 64


def past_offers(campaigns: DataFrame, offers: DataFrame, day: date, settings: ScenesConfig) -> DataFrame:
    """campaign_id, offer_id, item_id and as_of_date, the campaign's first day, of campaigns whose first `coupon_days`
    are over on the day, and whose history lies in the history_days before it."""
    starts_on = F.col(c.STARTS_ON)
    oldest = day - timedelta(days=settings.history_days - settings.coupon_history_days)
    is_past = (F.date_add(starts_on, settings.coupon_days) <= F.lit(day)) & (starts_on >= F.lit(oldest))
    return _dated(campaigns.where(is_past), offers, starts_on)


def running_offers(campaigns: DataFrame, offers: DataFrame, day: date, days: int = 1) -> DataFrame:
    """The same of campaigns that run on one of the `days` from the day on, as of the day."""
    after = F.lit(day + timedelta(days=days))
    is_running = (F.col(c.STARTS_ON) < after) & (F.col(c.ENDS_BEFORE) > F.lit(day))
    return _dated(campaigns.where(is_running), offers, F.lit(day))


def _dated(campaigns: DataFrame, offers: DataFrame, as_of: Column) -> DataFrame:
    days = campaigns.select(c.CAMPAIGN_ID, as_of.alias(c.AS_OF_DATE))
    return offers.join(F.broadcast(days), on=c.CAMPAIGN_ID, how="inner").select(*OFFER, c.ITEM_ID, c.AS_OF_DATE)


def chances(dated: DataFrame, purchases: DataFrame, items: DataFrame, settings: ScenesConfig) -> DataFrame:
    """Per offer and user who bought of its items' categories in the `coupon_history_days` before as_of_date:
    probability_without, that the user buys one of its items in the `coupon_days` from then on.

    Purchases as a Poisson process whose rate has a gamma prior: own days with a purchase count beside
    `coupon_prior_days` days at the rate that the user's days with a purchase of the categories lead to expect.

    `dated`: of the functions above; `purchases`: user_id, item_id, event_date.
    """
    history, prior, ahead = settings.coupon_history_days, settings.coupon_prior_days, settings.coupon_days
    days = purchases.select(c.USER_ID, c.ITEM_ID, c.EVENT_DATE).distinct()
    own = dated.join(days, on=c.ITEM_ID, how="inner").where(is_within(history)).groupBy(*PAIR)
    own_days = own.agg(F.count_distinct(c.EVENT_DATE).alias(_OWN_DAYS))
    both = _category_days(dated, days, items, history).join(own_days, on=[*PAIR], how="left").fillna(0, _OWN_DAYS)
    shares = both.groupBy(*OFFER).agg((F.sum(_OWN_DAYS) / F.sum(_CATEGORY_DAYS)).alias(_SHARE))
    expected = F.col(_CATEGORY_DAYS) * F.col(_SHARE) / history
    rate = (F.col(_OWN_DAYS) + prior * expected) / (history + prior)
    known = both.join(F.broadcast(shares), on=[*OFFER], how="inner")
    return known.select(*PAIR, (1 - F.exp(-rate * ahead)).alias(c.PROBABILITY_WITHOUT))


def _category_days(dated: DataFrame, days: DataFrame, items: DataFrame, history: int) -> DataFrame:
    """Over the categories of an offer, the user's days with a purchase; an item without one is one by itself."""
    category = F.coalesce(c.CATEGORY, c.ITEM_ID).alias(c.CATEGORY)
    categories = items.select(c.ITEM_ID, category)
    as_of_dates = F.broadcast(dated.select(c.AS_OF_DATE).distinct())
    of_users = days.join(categories, on=c.ITEM_ID, how="inner").select(c.USER_ID, c.CATEGORY, c.EVENT_DATE).distinct()
    seen = of_users.crossJoin(as_of_dates).where(is_within(history)).groupBy(c.AS_OF_DATE, c.CATEGORY, c.USER_ID)
    counted = seen.agg(F.count("*").alias(_CATEGORY_DAYS))
    asked = dated.join(categories, on=c.ITEM_ID, how="inner").select(*OFFER, c.AS_OF_DATE, c.CATEGORY).distinct()
    found = asked.join(counted, on=[c.AS_OF_DATE, c.CATEGORY], how="inner").groupBy(*PAIR)
    return found.agg(F.sum(_CATEGORY_DAYS).alias(_CATEGORY_DAYS))


def lifts(
    dated: DataFrame, chances: DataFrame, purchases: DataFrame, sent: DataFrame, settings: ScenesConfig
) -> DataFrame:
    """By stratum of probability_without, `lift`: users with the offer who bought of it in its first `coupon_days`, by
    as many as would have if they bought like those without, both with `coupon_prior_buyers` more.

    A stratum without users that have no offer tells nothing: its lift is 1. `sent`: campaign_id, user_id.
    """
    with_offer = sent.select(c.CAMPAIGN_ID, c.USER_ID, F.lit(True).alias("is_sent"))
    known = chances.join(_bought(dated, purchases, settings.coupon_days), on=[*PAIR], how="left")
    marked = known.join(with_offer, on=[c.CAMPAIGN_ID, c.USER_ID], how="left").fillna(False, ["is_bought", "is_sent"])
    counted = marked.groupBy(_stratum().alias(_STRATUM)).agg(
        F.count_if("is_sent").alias("sent"),
        F.count_if(F.col("is_sent") & F.col("is_bought")).alias("found"),
        F.count_if(~F.col("is_sent")).alias("others"),
        F.count_if(~F.col("is_sent") & F.col("is_bought")).alias("others_found"),
    )
    expected = F.when(F.col("others") > 0, F.col("sent") * F.col("others_found") / F.col("others"))
    prior = settings.coupon_prior_buyers
    lift = (F.col("found") + prior) / (F.coalesce(expected, F.col("found")) + prior)
    return counted.select(_STRATUM, lift.alias(_LIFT))


def _bought(dated: DataFrame, purchases: DataFrame, days: int) -> DataFrame:
    of_items = dated.join(purchases.select(c.USER_ID, c.ITEM_ID, c.EVENT_DATE), on=c.ITEM_ID, how="inner")
    is_after = F.datediff(c.EVENT_DATE, c.AS_OF_DATE).between(0, days - 1)
    return of_items.where(is_after).select(*PAIR).distinct().withColumn("is_bought", F.lit(True))


def _stratum() -> Column:
    is_above = ((F.col(c.PROBABILITY_WITHOUT) >= border).cast("int") for border in CHANCES)
    return sum(is_above, F.lit(0))


def with_gains(chances: DataFrame, lifts: DataFrame) -> DataFrame:
    """`chances` with probability_with and expected_gain; where no past campaign tells of such users, without a gain."""
    known = chances.withColumn(_STRATUM, _stratum()).join(F.broadcast(lifts), on=_STRATUM, how="left")
    without = F.col(c.PROBABILITY_WITHOUT)
    likely = F.least(F.lit(1.0), without * F.coalesce(_LIFT, F.lit(1.0)))
    return known.select(
        *PAIR, (likely - without).alias(c.EXPECTED_GAIN), likely.alias(c.PROBABILITY_WITH), c.PROBABILITY_WITHOUT
    )


def given_offers(gains: DataFrame, n: int, budget: int, budgets: Mapping[str, int]) -> DataFrame:
    """Who is given what, ranked for each user: the `n` offers of a user that gain most, and of these, campaign by
    campaign, those that gain most until its budget of offers is spent: `budgets` by campaign_id, else `budget`.

    Only what gains anything. Equal gains stand in the order of user, campaign and offer.
    """
    order = (F.desc(c.EXPECTED_GAIN), F.asc(c.USER_ID), F.asc(c.CAMPAIGN_ID), F.asc(c.OFFER_ID))
    of_users = first_of_each(gains.where(F.col(c.EXPECTED_GAIN) > 0), n, (c.USER_ID,), order)
    most = max([budget, *budgets.values()])
    # The best of each part of the users first, so that no task sorts all users of a campaign.
    parted = of_users.withColumn("part", F.pmod(F.xxhash64(c.USER_ID), F.lit(_PARTS)))
    of_parts = first_of_each(parted, most, (c.CAMPAIGN_ID, "part"), order)
    of_campaigns = first_of_each(of_parts, most, (c.CAMPAIGN_ID,), order)
    within = of_campaigns.where(F.col(c.RANK) <= _budget(budget, budgets))
    ranked = first_of_each(within, n, (c.USER_ID,), order)
    return ranked.select(c.USER_ID, c.RANK, *OFFER, c.EXPECTED_GAIN, c.PROBABILITY_WITH, c.PROBABILITY_WITHOUT)


def _budget(budget: int, budgets: Mapping[str, int]) -> Column:
    found = F.lit(budget)
    for campaign, own in budgets.items():
        found = F.when(F.col(c.CAMPAIGN_ID) == campaign, own).otherwise(found)
    return found
