"""The scene coupons on the small lake: offers, budgets, rules, a trial, and a log that has no offers."""

from datetime import date, timedelta
from typing import Any

import pytest

from jobs import _scene_coupons, score_scenes
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from tests.feature_rows import write_rows
from tests.small_lake import ITEMS, RUN_DATE, USERS
from tests.trained_lake import copied

PAST, OVER = date(2017, 11, 13), date(2017, 12, 1)


def more_purchases() -> list[dict[str, Any]]:
    """Everybody buys of each offer before either campaign; those who had the old one do so again in it."""
    times = [(user, day) for user in range(len(USERS)) for day in (date(2017, 11, 10), date(2017, 12, 10))]
    times += [(user, date(2017, 11, 15)) for user in range(4)]
    bought = [(user, 4 * offer + user % 2, day) for user, day in times for offer in range(3)]
    return [
        {
            c.USER_ID: USERS[user], c.ITEM_ID: ITEMS[item], c.EVENT_TYPE: c.PURCHASE, c.EVENT_DATE: day,
            c.SOURCE_FILE: "more", c.SOURCE_ROW: number,
        }
        for number, (user, item, day) in enumerate(bought, start=1)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def bare_lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("coupons") / "lake")


@pytest.fixture(scope="module")
def lake(bare_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """With a campaign that is over, which made those who had it buy, and one that runs. An offer is for two items."""
    lake = copied(bare_lake, tmp_path_factory.mktemp("offers") / "lake")
    ends = RUN_DATE + timedelta(days=9)
    offers = [
        {c.CAMPAIGN_ID: campaign, c.OFFER_ID: f"o{item // 4}", c.ITEM_ID: ITEMS[item]}
        for campaign in ("old", "now")
        for item in (0, 1, 4, 5, 8, 9)
    ]
    rows: dict[tables.Table, list[dict[str, Any]]] = {
        tables.CAMPAIGNS: [
            {c.CAMPAIGN_ID: "old", c.STARTS_ON: PAST, c.ENDS_BEFORE: OVER},
            {c.CAMPAIGN_ID: "now", c.STARTS_ON: RUN_DATE - timedelta(days=5), c.ENDS_BEFORE: ends},
        ],
        tables.OFFERS: offers,
        tables.OFFERS_SENT: [{c.CAMPAIGN_ID: "old", c.USER_ID: user} for user in USERS[:4]]
        + [{c.CAMPAIGN_ID: "now", c.USER_ID: user} for user in USERS[:2]],
        tables.REDEMPTIONS: [
            {c.CAMPAIGN_ID: "now", c.OFFER_ID: "o1", c.USER_ID: user, c.REDEEMED_ON: RUN_DATE - timedelta(days=2)}
            for user in (USERS[0], USERS[5])  # the second had it not
        ],
    }
    for table, of_table in rows.items():
        write_rows(lake, table, of_table)
    known = [row.asDict() for row in lake.read(tables.EVENTS).collect()]
    write_rows(lake, tables.EVENTS, known + more_purchases())
    return lake


def run_of(lake: Lake, *overrides: str) -> Run:
    short = ["scenes.coupon_days=14", "scenes.coupon_history_days=14", "scenes.coupon_prior_buyers=1.0"]
    settings = ["score.scenes=[coupons]", "evaluation.bootstrap_samples=100", *short, *overrides]
    config = load_config([], settings)
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def given(lake: Lake) -> list[tuple[Any, ...]]:
    names = [name for name in tables.COUPONS.column_names if name != c.RUN_ID]
    return [tuple(row) for row in lake.read(tables.COUPONS).select(*names).orderBy(c.USER_ID, c.RANK).collect()]


def test_a_log_without_offers_is_refused_when_the_scene_is_asked_for(bare_lake: Lake) -> None:
    message = r"lake has no \['clean.campaigns', 'clean.offers', .*maps no offers.*leave coupons out of score.scenes"
    with pytest.raises(InputError, match=message):
        run_stage(score_scenes.STAGE, run_of(bare_lake))
    assert not bare_lake.exists(tables.COUPONS)


def test_a_history_too_short_for_past_campaigns_is_refused(lake: Lake) -> None:
    with pytest.raises(
        ConfigError, match=r"history_days is 20, .*coupon_history_days \(14\) before and .*\(14\) after"
    ):
        _scene_coupons.check(run_of(lake, "scenes.history_days=20"))


@pytest.mark.long
def test_offers_are_given_within_the_budget_and_the_job_says_how_they_do(lake: Lake) -> None:
    outcome = run_stage(score_scenes.STAGE, run_of(lake, "scenes.coupon_budgets={now: 5}"))
    rows = given(lake)
    assert len(rows) == 5, "more are to be had"
    assert outcome.figures["coupons_rows"] == 5
    assert {row[tables.COUPONS.column_names.index(c.CAMPAIGN_ID)] for row in rows} == {"now"}
    assert not {row[1] for row in rows} & {*USERS[:2]}, "they have it"
    metrics = {(row[c.RECOMMENDER], row[c.METRIC]): row for row in lake.read(tables.SCENE_METRICS).collect()}
    assert {name for name, _ in metrics} >= {"gain", "likely_anyway", "most_taken"}
    assert metrics["gain", "hit_rate"][c.NUM_CASES] == 1
    assert metrics["gain", "hit_rate"][c.VALUE] == 1.0

    run_stage(score_scenes.STAGE, run_of(lake, "scenes.coupon_budgets={now: 5}"))
    assert given(lake) == rows

    rules = [{c.RULE_ID: f"gone{item}", c.KIND: "block", c.ITEM_IDS: [ITEMS[item]]} for item in (4, 5, 8)]
    rules += [{c.RULE_ID: "elsewhere", c.KIND: "block", c.ITEM_IDS: [ITEMS[0], ITEMS[1]], c.SCENE: "home"}]
    write_rows(lake, tables.BUSINESS_RULES, rules)
    run_stage(score_scenes.STAGE, run_of(lake, "scenes.coupon_budget=1000"))
    offers = {row[tables.COUPONS.column_names.index(c.OFFER_ID)] for row in given(lake)}
    assert offers == {"o0", "o2"}, "of o1 nothing may be shown, of o2 one item"
