from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys.clean import rules
from recsys.clean.rules import RULES, judge
from recsys.config import CleanConfig
from recsys.frames.local_rows import local_rows

GOOD_EVENT: dict[str, Any] = {
    "user_id": "u1", "item_id": "i1", "event_type": "purchase", "event_ts": datetime(2024, 5, 3), "time_text": "t",
    "quantity": 1.0, "quantity_text": "1", "amount_cents": 1, "amount_text": "0.01", "is_number_missing": False,
    "is_known_item": True, "is_known_user": True, "is_malformed": False, "basket_id": "b1",
    "told_ts": datetime(2024, 12, 30),
}  # fmt: skip
EVENT_TYPES = (
    "user_id string, item_id string, event_type string, event_ts timestamp, time_text string, quantity double, "
    "quantity_text string, amount_cents long, amount_text string, is_number_missing boolean, is_known_item boolean, "
    "is_known_user boolean, is_malformed boolean, basket_id string, told_ts timestamp"
)
DAY, NEXT_DAY = datetime(2024, 5, 3).date(), datetime(2024, 5, 4).date()
GOOD_PROMOTION: dict[str, Any] = {
    "store_id": "s1", "item_id": "i1", "time_text": "1", "starts_on": DAY, "ends_before": NEXT_DAY,
    "is_malformed": False,
}  # fmt: skip
PROMOTION_TYPES = (
    "store_id string, item_id string, time_text string, starts_on date, ends_before date, is_malformed boolean"
)

# Each change of a good event, and the rules it breaks. The limits: 100 units, 10,000.00, years 2000 to 2024.
EVENT_CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"is_malformed": True, "user_id": None, "is_known_item": False}, ["malformed_row"]),
    ({"user_id": None, "is_known_user": False}, ["missing_user"]),
    ({"item_id": None, "is_known_item": False}, ["missing_item"]),
    ({"item_id": None, "user_id": None}, ["missing_item", "missing_user"]),
    ({"time_text": None, "event_ts": None}, ["missing_time"]),
    ({"event_ts": None}, ["bad_time"]),
    ({"is_number_missing": True, "quantity": None, "quantity_text": None}, ["missing_number"]),
    ({"quantity": None, "quantity_text": "one"}, ["bad_number"]),
    ({"amount_cents": None, "amount_text": "free"}, ["bad_number"]),
    ({"quantity": None, "quantity_text": None, "amount_cents": None, "amount_text": None}, []),
    ({"quantity": 0.0}, ["quantity_out_of_range"]),
    ({"quantity": 100.0}, []),
    ({"quantity": 100.5}, ["quantity_out_of_range"]),
    ({"quantity": -1.0, "amount_cents": -1}, ["amount_out_of_range", "quantity_out_of_range"]),
    ({"amount_cents": 0}, []),
    ({"amount_cents": 1_000_000}, []),
    ({"amount_cents": 1_000_001}, ["amount_out_of_range"]),
    ({"event_ts": datetime(1999, 12, 31, 23, 59, 59)}, ["time_out_of_range"]),
    ({"event_ts": datetime(2000, 1, 1)}, []),
    ({"event_ts": datetime(2024, 12, 31, 23, 59, 59)}, []),
    ({"event_ts": datetime(2025, 1, 1)}, ["time_out_of_range"]),
    ({"event_ts": datetime(2024, 5, 5), "told_ts": datetime(2024, 5, 3)}, []),  # 48 hours later
    ({"event_ts": datetime(2024, 5, 5, 0, 0, 1), "told_ts": datetime(2024, 5, 3)}, ["after_its_file"]),
    ({"event_ts": datetime(2024, 12, 31), "told_ts": None}, []),
    ({"event_type": None}, ["unknown_event_type"]),
    ({"is_known_item": False}, ["unknown_item"]),
    ({"is_known_user": False}, ["unknown_user"]),
    ({"item_id": "POST"}, ["not_a_product"]),
    ({"basket_id": "C1", "quantity": -100.0, "amount_cents": -1_000_000}, []),  # a cancellation
    (
        {"basket_id": "C1", "quantity": -100.5, "amount_cents": -1_000_001},
        ["amount_out_of_range", "quantity_out_of_range"],
    ),
    ({"basket_id": "C1", "quantity": -1.0, "event_type": "view"}, ["quantity_out_of_range"]),
    ({"basket_id": None, "quantity": -1.0}, ["quantity_out_of_range"]),
]
PROMOTION_CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"store_id": None, "item_id": None}, ["missing_item", "missing_store"]),
    ({"time_text": None, "starts_on": None, "ends_before": None}, ["missing_time"]),
    ({"starts_on": None}, ["bad_period"]),
    ({"ends_before": None}, ["bad_period"]),
    ({"ends_before": DAY}, ["bad_period"]),
]

OFFER_ROW: dict[str, Any] = {
    "campaign_id": "k", "offer_id": "o", "item_id": "i", "user_id": "u", "time_text": "t", "starts_on": DAY,
    "ends_before": NEXT_DAY, "redeemed_on": DAY, "is_malformed": False,
}  # fmt: skip
OFFER_TYPES = (
    "campaign_id string, offer_id string, item_id string, user_id string, time_text string, starts_on date, "
    "ends_before date, redeemed_on date, is_malformed boolean"
)
# What each table of offers looks at, and what it says of a row that has none of it.
OFFER_CASES: dict[str, list[str]] = {
    rules.CAMPAIGNS: ["missing_campaign", "missing_time"],
    rules.OFFERS: ["missing_campaign", "missing_item", "missing_offer"],
    rules.OFFERS_SENT: ["missing_campaign", "missing_user"],
    rules.REDEMPTIONS: ["missing_campaign", "missing_offer", "missing_time", "missing_user"],
}
BAD_DAYS = {rules.CAMPAIGNS: ["bad_period"], rules.REDEMPTIONS: ["bad_day"]}


def reasons(
    spark: SparkSession,
    table: str,
    good: dict[str, Any],
    types: str,
    changes: list[dict[str, Any]],
    limits: CleanConfig,
) -> list[list[str]]:
    rows = [(i, *{**good, **change}.values()) for i, change in enumerate(changes)]
    judged = judge(local_rows(spark, rows, f"i int, {types}"), table, limits)
    found = rules.with_reasons(judged.rows, judged).orderBy("i").collect()
    told = [[] if row[rules.IS_GOOD] else row[c.REASONS] for row in found]
    assert [row[rules.IS_GOOD] for row in found] == [not of_row for of_row in told]
    return told


def test_each_rule_of_events(spark: SparkSession, limits: CleanConfig) -> None:
    asked = replace(limits, not_product_pattern="^POST$", cancellation_pattern="^C")
    found = reasons(spark, rules.EVENTS, GOOD_EVENT, EVENT_TYPES, [change for change, _ in EVENT_CASES], asked)
    assert found == [expected for _, expected in EVENT_CASES]


def test_each_rule_of_promotions(spark: SparkSession, limits: CleanConfig) -> None:
    changes = [change for change, _ in PROMOTION_CASES]
    found = reasons(spark, rules.PROMOTIONS, GOOD_PROMOTION, PROMOTION_TYPES, changes, limits)
    assert found == [expected for _, expected in PROMOTION_CASES]


@pytest.mark.parametrize("table", rules.OFFER_TABLES)
def test_each_rule_of_offers(spark: SparkSession, limits: CleanConfig, table: str) -> None:
    nothing = dict.fromkeys(set(OFFER_ROW) - {"is_malformed"})
    unread = {"starts_on": None, "redeemed_on": None}
    found = reasons(spark, table, OFFER_ROW, OFFER_TYPES, [{}, nothing, unread, {"is_malformed": True}], limits)
    assert found == [[], OFFER_CASES[table], BAD_DAYS.get(table, []), ["malformed_row"]]


@pytest.mark.parametrize(("table", "key"), [(rules.ITEMS, "item_id"), (rules.USERS, "user_id")])
def test_items_and_users_need_their_key(spark: SparkSession, limits: CleanConfig, table: str, key: str) -> None:
    found = reasons(
        spark, table, {key: "x", "is_malformed": False}, f"{key} string, is_malformed boolean",
        [{}, {key: None}, {"is_malformed": True}], limits,
    )  # fmt: skip
    assert found == [[], [f"missing_{key.removesuffix('_id')}"], ["malformed_row"]]


def test_every_rule_has_a_case_here_and_a_sentence() -> None:
    shown = {name for _, names in (*EVENT_CASES, *PROMOTION_CASES) for name in names}
    shown |= {name for names in (*OFFER_CASES.values(), *BAD_DAYS.values()) for name in names}
    assert shown == set(RULES)
    assert all(len(rule.sentence.split()) > 3 for rule in RULES.values())
