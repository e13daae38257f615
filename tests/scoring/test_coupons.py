from datetime import date, timedelta
from math import exp

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.config import load_config
from recsys.frames.local_rows import local_rows
from recsys.scoring.coupons import chances, given_offers, lifts, past_offers, running_offers, with_gains

# Seven days of an offer, ten days before them; as much belief in others as in ten days of one's own.
SETTINGS = load_config(
    [],
    [
        "scenes.history_days=60",
        "scenes.coupon_days=7",
        "scenes.coupon_history_days=10",
        "scenes.coupon_prior_days=10.0",
        "scenes.coupon_prior_buyers=1.0",
    ],
).scenes
AS_OF = date(2024, 5, 20)
CAMPAIGNS = "campaign_id string, starts_on date, ends_before date"
OFFERS = "campaign_id string, offer_id string, item_id string"
PURCHASES = "user_id string, item_id string, event_date date"
CHANCES = "campaign_id string, offer_id string, user_id string, probability_without double"
GAINS = f"{CHANCES}, probability_with double, expected_gain double"


def ago(days: int) -> date:
    return AS_OF - timedelta(days=days)


def items(spark: SparkSession) -> DataFrame:
    rows = [("a", "tea"), ("b", "tea"), ("x", "cup"), ("bare", None)]
    return local_rows(spark, rows, "item_id string, category string")


def dated(spark: SparkSession, *rows: tuple[str, str, str]) -> DataFrame:
    return local_rows(spark, [(*row, AS_OF) for row in rows], f"{OFFERS}, as_of_date date")


def test_how_likely_users_buy_of_an_offer_without_it(spark: SparkSession) -> None:
    lines = [
        ("u1", "a", ago(1)), ("u1", "a", ago(1)), ("u1", "a", ago(10)), ("u1", "b", ago(10)), ("u1", "b", ago(2)),
        ("u2", "b", ago(5)),  # of the category alone
        ("u3", "x", ago(5)),  # of another one
        ("u4", "a", AS_OF), ("u4", "a", ago(11)),  # not in the ten days before
        ("u5", "bare", ago(3)),  # without a category it is one by itself
    ]  # fmt: skip
    offers = dated(spark, ("k", "o", "a"), ("k", "p", "bare"))
    found = chances(offers, local_rows(spark, lines, PURCHASES), items(spark), SETTINGS)
    # u1 has three days with tea, two of them with a; u2 has one: half of the days with tea were days with a.
    expected = {
        ("o", "u1"): 1 - exp(-7 * (2 + 10 * 3 / 2 / 10) / 20),
        ("o", "u2"): 1 - exp(-7 * (0 + 10 * 1 / 2 / 10) / 20),
        ("p", "u5"): 1 - exp(-7 * (1 + 10 * 1 / 10) / 20),
    }
    told = {(row[c.OFFER_ID], row[c.USER_ID]): row[c.PROBABILITY_WITHOUT] for row in found.collect()}
    assert told == pytest.approx(expected)


def test_the_lift_is_by_those_who_were_as_likely_and_had_no_offer(spark: SparkSession) -> None:
    known = [("k", "o", f"u{n}", 0.5) for n in (1, 2, 3, 4)] + [("k", "o", "alone", 0.15)]
    lines = [
        ("u1", "a", AS_OF), ("u2", "a", ago(-6)), ("u3", "a", ago(-1)), ("alone", "a", AS_OF),
        ("u4", "a", ago(-7)), ("u4", "a", ago(1)), ("u4", "b", AS_OF),  # after, before, another item
    ]  # fmt: skip
    sent = local_rows(
        spark, [("k", user) for user in ("u1", "u2", "alone", "nobody")], "campaign_id string, user_id string"
    )
    found = lifts(
        dated(spark, ("k", "o", "a")),
        local_rows(spark, known, CHANCES),
        local_rows(spark, lines, PURCHASES),
        sent,
        SETTINGS,
    )
    # Both with the offer bought; one of two without: one of two was to be expected, each with one more.
    assert {tuple(row) for row in found.collect()} == {(6, (2 + 1) / (1 + 1)), (4, 1.0)}


def test_a_gain_is_what_the_lift_adds_up_to_certainty(spark: SparkSession) -> None:
    known = [("k", "o", "u1", 0.5), ("k", "o", "u2", 0.8), ("k", "o", "u3", 0.3), ("k", "o", "u4", 0.05)]
    learned = local_rows(spark, [(6, 1.5), (8, 1.5), (5, 0.5)], "stratum int, lift double")
    found = with_gains(local_rows(spark, known, CHANCES), learned)
    told = {row[c.USER_ID]: (row[c.EXPECTED_GAIN], row[c.PROBABILITY_WITH]) for row in found.collect()}
    assert told == {
        "u1": pytest.approx((0.25, 0.75)),
        "u2": pytest.approx((0.2, 1.0)),
        "u3": pytest.approx((-0.15, 0.15)),
        "u4": (0.0, 0.05),  # no past campaign tells of such users
    }


def test_campaigns_run_from_their_first_day_and_are_past_when_all_days_that_count_are_over(spark: SparkSession) -> None:
    days = [
        ("begins", ago(0), ago(-9)),
        ("ends", ago(30), ago(-1)),
        ("over", ago(30), ago(0)),
        ("next", ago(-1), ago(-9)),
    ]
    more = [("short", ago(7), ago(0)), ("new", ago(6), ago(-9)), ("old", ago(50), ago(40)), ("older", ago(51), ago(40))]
    campaigns = local_rows(spark, [*days, *more], CAMPAIGNS)
    offers = local_rows(spark, [(name, "o", "a") for name, _, _ in (*days, *more)] + [("none", "o", "a")], OFFERS)

    def named(rows: DataFrame) -> set[tuple[str, date]]:
        return {(row[c.CAMPAIGN_ID], row[c.AS_OF_DATE]) for row in rows.collect()}

    assert named(running_offers(campaigns, offers, AS_OF)) == {(name, AS_OF) for name in ("begins", "ends", "new")}
    assert ("next", AS_OF) in named(running_offers(campaigns, offers, AS_OF, days=2))
    past = {("ends", ago(30)), ("over", ago(30)), ("short", ago(7)), ("old", ago(50))}
    assert named(past_offers(campaigns, offers, AS_OF, SETTINGS)) == past


def gains(spark: SparkSession, rows: list[tuple[str, str, str, float]]) -> DataFrame:
    return local_rows(spark, [(k, o, u, 0.1, 0.1 + gain, gain) for k, o, u, gain in rows], GAINS)


def test_offers_go_to_those_who_gain_most_and_equal_ones_by_id(spark: SparkSession) -> None:
    rows = [
        ("k1", "o1", "u1", 0.3), ("k1", "o2", "u1", 0.2), ("k2", "o1", "u1", 0.2), ("k2", "o1", "u2", 0.1),
        ("k1", "o1", "u2", 0.2), ("k1", "o1", "u3", 0.2), ("k2", "o1", "u4", 0.0), ("k2", "o1", "u5", -0.1),
    ]  # fmt: skip
    found = given_offers(gains(spark, rows), n=2, budget=3, budgets={"k2": 0})
    told = [tuple(row)[:4] for row in found.orderBy(c.USER_ID, c.RANK).collect()]
    assert told == [("u1", 1, "k1", "o1"), ("u1", 2, "k1", "o2"), ("u2", 1, "k1", "o1")]
    assert given_offers(gains(spark, rows), n=2, budget=0, budgets={}).collect() == []


def test_no_budget_is_exceeded_and_the_lists_do_not_depend_on_partitions(spark: SparkSession) -> None:
    rows = [
        (f"k{o % 2}", f"o{o}", f"u{u:03d}", round(((u * 37 + o * 11) % 50) / 100, 2))
        for u in range(200)
        for o in range(4)
    ]
    found = given_offers(gains(spark, rows), n=2, budget=50, budgets={"k1": 7})
    best = [
        (-gain, user, campaign, offer)
        for one in sorted({user for _, _, user, _ in rows})
        for gain, user, campaign, offer in sorted(
            ((gain, user, k, o) for k, o, user, gain in rows if user == one and gain > 0),
            key=lambda row: (-row[0], *row[1:]),
        )[:2]
    ]
    budgets = {"k0": 50, "k1": 7}
    expected = {row[1:] for name, budget in budgets.items() for row in sorted(r for r in best if r[2] == name)[:budget]}
    assert {(row[c.USER_ID], row[c.CAMPAIGN_ID], row[c.OFFER_ID]) for row in found.collect()} == expected
    assert len(expected) == 57
    again = given_offers(gains(spark, rows[::-1]).repartition(7), n=2, budget=50, budgets={"k1": 7})
    assert_df_equality(again, found, ignore_row_order=True)


def test_planted_users_whom_an_offer_moves_get_it_and_those_who_buy_anyway_do_not(spark: SparkSession) -> None:
    """Loyal users buy every third day, come what may; occasional ones bought once, and again with an offer."""
    past, running = ago(20), AS_OF
    loyal, occasional = ([f"{kind}{n:02d}" for n in range(20)] for kind in ("loyal", "rare"))
    lines = [(user, "a", ago(day)) for user in loyal for day in range(1, 31, 3)]
    lines += [(user, "a", past - timedelta(days=4)) for user in occasional]
    lines += [(user, "a", past + timedelta(days=3)) for user in occasional[::2]]  # they had the first offer
    lines += [(user, "a", ago(2)) for user in occasional]
    campaigns = local_rows(spark, [("old", past, ago(5)), ("now", running, ago(-9))], CAMPAIGNS)
    offers = local_rows(spark, [("old", "o", "a"), ("now", "o", "a")], OFFERS)
    sent = local_rows(
        spark, [("old", user) for user in (*loyal[::2], *occasional[::2])], "campaign_id string, user_id string"
    )
    purchases = local_rows(spark, lines, PURCHASES)
    then, now = past_offers(campaigns, offers, AS_OF, SETTINGS), running_offers(campaigns, offers, AS_OF)
    learned = lifts(then, chances(then, purchases, items(spark), SETTINGS), purchases, sent, SETTINGS)
    scored = with_gains(chances(now, purchases, items(spark), SETTINGS), learned)
    likely = {row[c.USER_ID]: row[c.PROBABILITY_WITHOUT] for row in scored.collect()}
    assert min(likely[user] for user in loyal) > max(likely[user] for user in occasional), "the baseline's order"
    given = given_offers(scored, n=1, budget=15, budgets={}).collect()
    assert {row[c.USER_ID] for row in given} == set(occasional[:15])
