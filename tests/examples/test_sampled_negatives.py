from collections import Counter
from datetime import date, datetime
from math import log

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.examples.sampled_negatives import (
    MAX_SHOWN_A_STORE,
    drawn_negatives,
    item_weights,
    shown_negatives,
    shown_pairs,
    wanted_of,
)
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

AS_OF, LATER = date(2017, 11, 20), date(2017, 12, 4)
PAIRS = "as_of_date date, user_id string, item_id string"


def wanted(spark: SparkSession, *numbers: tuple[date, str, int]) -> DataFrame:
    return local_rows(spark, numbers, "as_of_date date, user_id string, wanted bigint")


def weights_of(spark: SparkSession, of_items: dict[str, int], *days: date) -> DataFrame:
    rows = [(day, item, weight) for day in days for item, weight in of_items.items()]
    return local_rows(spark, rows, "as_of_date date, item_id string, weight bigint")


def test_weights_are_buyers_to_a_power_and_0_makes_all_alike(spark: SparkSession) -> None:
    buyers = {"four": 4, "nine": 9, "fee": 9, "unsold": 0}
    features = rows_of(
        spark,
        tables.ITEM_FEATURES,
        [{c.AS_OF_DATE: AS_OF, c.ITEM_ID: item, c.ITEM_BUYERS_91D: number} for item, number in buyers.items()],
    )
    items = rows_of(spark, tables.ITEMS, [{c.ITEM_ID: item, c.IS_ELIGIBLE: item != "fee"} for item in buyers])
    found = {
        exponent: {row[c.ITEM_ID]: row["weight"] for row in item_weights(features, items, exponent).collect()}
        for exponent in (0.5, 0.0)
    }
    assert found == {0.5: {"four": 2000, "nine": 3000}, 0.0: dict.fromkeys(("four", "nine", "unsold"), 1000)}


def test_every_positive_wants_its_number(spark: SparkSession) -> None:
    rows = [(AS_OF, "u", "a", 1.0), (AS_OF, "u", "b", 0.5), (AS_OF, "u", "c", 0.0), (AS_OF, "none", "c", 0.0)]
    labelled = local_rows(spark, rows, f"{PAIRS}, label float")
    assert [tuple(row) for row in wanted_of(labelled, 3).collect()] == [(AS_OF, "u", 6)]


def test_as_many_different_items_as_wanted_and_never_a_positive_of_any_window(spark: SparkSession) -> None:
    weights = weights_of(spark, {f"i{n:03d}": 1 + n % 3 for n in range(300)}, AS_OF, LATER)
    positives = local_rows(
        spark,
        [(day, "u", f"i{n:03d}") for day, first in ((AS_OF, 0), (LATER, 10)) for n in range(first, first + 10)],
        PAIRS,
    )
    asked = wanted(spark, (AS_OF, "u", 20), (LATER, "u", 20), (AS_OF, "v", 20), (AS_OF, "all", 600))
    drawn, again = (
        drawn_negatives(asked.repartition(number), weights.repartition(number), positives.repartition(number))
        for number in (1, 5)
    )
    rows = drawn.collect()
    assert_df_equality(again, local_rows(spark, rows, drawn.schema), ignore_row_order=True)
    found: dict[tuple[date, str], set[str]] = {}
    for row in rows:
        found.setdefault((row[c.AS_OF_DATE], row[c.USER_ID]), set()).add(row[c.ITEM_ID])
        assert row[c.NEGATIVE_KIND] == "drawn"
        assert row[c.LOG_PROBABILITY] == pytest.approx(log((1 + int(row[c.ITEM_ID][1:]) % 3) / 600))
    assert len(rows) == sum(map(len, found.values()))
    assert {key: len(items) for key, items in found.items() if key[1] != "all"} == {
        (AS_OF, "u"): 20, (LATER, "u"): 20, (AS_OF, "v"): 20,
    }  # fmt: skip
    assert 250 < len(found[AS_OF, "all"]) <= 300  # there are no more
    never = {f"i{n:03d}" for n in range(20)}
    assert not never & (found[AS_OF, "u"] | found[LATER, "u"])
    assert never & found[AS_OF, "all"]
    assert found[AS_OF, "u"] != found[LATER, "u"]


def test_items_are_drawn_in_proportion_to_their_weights(spark: SparkSession) -> None:
    shares = {"a": 600, "b": 300, "c": 95, "d": 5}
    asked = wanted(spark, *((AS_OF, f"u{n}", 1) for n in range(2000)))
    positives = local_rows(spark, [], PAIRS)
    drawn = drawn_negatives(asked, weights_of(spark, shares, AS_OF), positives).collect()
    counts = Counter(row[c.ITEM_ID] for row in drawn)
    assert sum(counts.values()) == 2000
    for item, weight in shares.items():
        expected = 2 * weight
        assert abs(counts[item] - expected) < 4 * expected**0.5, counts


def test_shown_are_impressions_and_promotions_in_the_main_store_in_the_label_window(spark: SparkSession) -> None:
    def promotion(item: str, starts_on: date, ends_before: date, store: str = "s1", *, is_mailed: bool = True) -> dict:
        return {c.STORE_ID: store, c.ITEM_ID: item, c.STARTS_ON: starts_on, c.ENDS_BEFORE: ends_before,
                c.IS_DISPLAYED: False, c.IS_MAILED: is_mailed}  # fmt: skip

    users = [{c.AS_OF_DATE: AS_OF, c.USER_ID: "u", c.USER_MAIN_STORE_ID: "s1"},
             {c.AS_OF_DATE: AS_OF, c.USER_ID: "online", c.USER_MAIN_STORE_ID: None}]  # fmt: skip
    promotions = [
        promotion("ended", date(2017, 11, 13), AS_OF),
        promotion("runs", date(2017, 11, 13), date(2017, 11, 21)),
        promotion("runs", date(2017, 12, 3), date(2017, 12, 9)),
        promotion("later", LATER, date(2017, 12, 9)),
        promotion("elsewhere", AS_OF, LATER, "s2"),
        promotion("hidden", AS_OF, LATER, is_mailed=False),
    ]
    seen = {"before": datetime(2017, 11, 19, 23), "seen": datetime(2017, 12, 3, 23), "after": datetime(2017, 12, 4)}
    events = [purchase("online", item, at, event_type="impression") for item, at in seen.items()]
    events.append(purchase("online", "bought", datetime(2017, 11, 21)))
    features, known = rows_of(spark, tables.USER_FEATURES, users), rows_of(spark, tables.EVENTS, events)
    shown = shown_pairs(features, rows_of(spark, tables.PROMOTIONS, promotions), known, label_days=14)
    expected = local_rows(spark, [(AS_OF, "u", "runs"), (AS_OF, "online", "seen")], PAIRS)
    assert_df_equality(shown, expected, ignore_nullable=True, ignore_row_order=True)
    many = [promotion(f"i{n}", AS_OF, LATER) for n in range(MAX_SHOWN_A_STORE + 50)]
    assert shown_pairs(features, rows_of(spark, tables.PROMOTIONS, many), known, label_days=14).count() == 201


def test_shown_negatives_are_as_many_as_wanted_and_never_bought(spark: SparkSession) -> None:
    shown = local_rows(
        spark,
        [(AS_OF, user, f"i{n}") for user in ("u", "few", "no positive") for n in range(3 if user == "few" else 30)],
        PAIRS,
    )
    positives = local_rows(spark, [(LATER, "u", f"i{n}") for n in range(20)] + [(AS_OF, "few", "i0")], PAIRS)
    rows = shown_negatives(wanted(spark, (AS_OF, "u", 6), (AS_OF, "few", 6)), shown, positives).collect()
    assert Counter(row[c.USER_ID] for row in rows) == {"u": 6, "few": 2}
    assert {row[c.ITEM_ID] for row in rows if row[c.USER_ID] == "few"} == {"i1", "i2"}
    assert {row[c.ITEM_ID] for row in rows if row[c.USER_ID] == "u"} <= {f"i{n}" for n in range(20, 30)}
    assert {(row[c.NEGATIVE_KIND], row[c.LOG_PROBABILITY]) for row in rows} == {("shown", None)}
