"""The scene coupons: recs.coupons, which running offer for which user, within the budget of each campaign."""

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs._scene_rules import items_hidden_from_some
from jobs._scenes import Scene, list_length, purchases_before, served
from recsys import columns as c
from recsys import tables
from recsys.config import COUPONS
from recsys.errors import ConfigError, InputError
from recsys.evaluation.scenes import Trial, named
from recsys.frames.best import first_of_each
from recsys.scoring.coupons import chances, given_offers, lifts, past_offers, running_offers, with_gains
from recsys.stages import Run
from recsys.tables import Table

GAIN, LIKELY, MOST_TAKEN = "gain", "likely_anyway", "most_taken"
_TIMES_TAKEN = "times_taken"


def rows(run: Run, _: int) -> Mapping[Table, DataFrame]:
    """Nobody is given again the offers of a campaign that the log says they have. An offer counts for those of its
    items alone that no rule hides from anybody."""
    read, settings = run.lake.read, run.config.scenes
    offers, hidden = read(tables.OFFERS), items_hidden_from_some(run, COUPONS, tables.COUPONS)
    if hidden is not None:
        offers = offers.join(hidden, on=c.ITEM_ID, how="left_anti")
    gains = _gains(run, run.day, running_offers(read(tables.CAMPAIGNS), offers, run.day))
    others = gains.join(read(tables.OFFERS_SENT), on=[c.CAMPAIGN_ID, c.USER_ID], how="left_anti")
    n = list_length(run.config, tables.COUPONS)
    return {tables.COUPONS: given_offers(others, n, settings.coupon_budget, settings.coupon_budgets)}


def trial(run: Run) -> Trial:
    """Of the offers that a user had in the last coupon_days, which did the user take?"""
    read, days, k = run.lake.read, run.config.scenes.coupon_days, run.config.evaluation.k
    day = run.day - timedelta(days=days)
    had = read(tables.OFFERS_SENT).join(served(run), on=c.USER_ID, how="left_semi")
    running = running_offers(read(tables.CAMPAIGNS), read(tables.OFFERS), day, days)
    of_had = _gains(run, day, running).join(had, on=[c.CAMPAIGN_ID, c.USER_ID], how="left_semi")
    known = of_had.join(_times_taken(run, day), on=c.OFFER_ID, how="left").fillna(0, _TIMES_TAKEN).persist()
    orders = {
        GAIN: F.desc(c.EXPECTED_GAIN), LIKELY: F.desc(c.PROBABILITY_WITHOUT), MOST_TAKEN: F.desc(_TIMES_TAKEN),
    }  # fmt: skip
    of_each = [named(_as_cases(_best(known, order, k)), name) for name, order in orders.items()]
    return Trial(
        recommenders=tuple(orders),
        lists=of_each[0].unionByName(of_each[1]).unionByName(of_each[2]),
        truth=_taken(run, day, had, running),
        cases=f"users who took an offer of theirs in the last {days} days",
    )


def check(run: Run) -> None:
    missing = [table.name for table in tables.OFFER_TABLES if not run.lake.exists(table)]
    if missing:
        raise InputError(
            f"the scene coupons asks which offers run and what they changed, and the lake has no {missing}: "
            f"conf/sources/{run.config.source.name}.yaml maps no offers, or clean_logs has not run since it does. "
            "Cure: leave coupons out of score.scenes, or map campaigns, offers, offers_sent and redemptions of the "
            "log (as complete_journey.yaml does) and run jobs/clean_logs.py"
        )
    settings = run.config.scenes
    if settings.coupon_days + settings.coupon_history_days > settings.history_days:
        raise ConfigError(
            f"scenes.history_days is {settings.history_days}, and the scene coupons learns from campaigns with "
            f"scenes.coupon_history_days ({settings.coupon_history_days}) before and scenes.coupon_days "
            f"({settings.coupon_days}) after their first day. Cure: more history_days, or fewer of these"
        )


def _gains(run: Run, day: date, running: DataFrame) -> DataFrame:
    """Of the offers of `running`, with what was known before the day."""
    read, settings = run.lake.read, run.config.scenes
    purchases, items = purchases_before(run, day).persist(), read(tables.ITEMS)
    past = past_offers(read(tables.CAMPAIGNS), read(tables.OFFERS), day, settings)
    learned = lifts(past, chances(past, purchases, items, settings), purchases, read(tables.OFFERS_SENT), settings)
    return with_gains(chances(running, purchases, items, settings), learned)


def _times_taken(run: Run, day: date) -> DataFrame:
    """By offer, in whatever campaign."""
    before = run.lake.read(tables.REDEMPTIONS).where(F.col(c.REDEEMED_ON) < F.lit(day))
    return before.groupBy(c.OFFER_ID).agg(F.count("*").alias(_TIMES_TAKEN))


def _taken(run: Run, day: date, had: DataFrame, running: DataFrame) -> DataFrame:
    in_days = (F.col(c.REDEEMED_ON) >= F.lit(day)) & (F.col(c.REDEEMED_ON) < F.lit(run.day))
    taken = run.lake.read(tables.REDEMPTIONS).where(in_days).join(had, on=[c.CAMPAIGN_ID, c.USER_ID], how="left_semi")
    known = taken.join(
        running.select(c.CAMPAIGN_ID, c.OFFER_ID).distinct(), on=[c.CAMPAIGN_ID, c.OFFER_ID], how="left_semi"
    )
    return _as_cases(known).select(c.CASE_ID, c.USER_ID, c.ITEM_ID).distinct()


def _best(known: DataFrame, order: Column, k: int) -> DataFrame:
    return first_of_each(known, k, (c.USER_ID,), (order, F.asc(c.CAMPAIGN_ID), F.asc(c.OFFER_ID)))


def _as_cases(rows: DataFrame) -> DataFrame:
    """An offer of a campaign stands for the item of a list."""
    offer = F.to_json(F.array(c.CAMPAIGN_ID, c.OFFER_ID))
    return rows.withColumns({c.CASE_ID: F.col(c.USER_ID), c.ITEM_ID: offer})


SCENE = Scene(
    writes=(tables.COUPONS,),
    rows=rows,
    trial=trial,
    check=check,
    reads=tables.OFFER_TABLES,
    may_be_empty=(tables.COUPONS,),
)
