from collections.abc import Mapping
from datetime import date

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.config import load_config
from recsys.features.holidays import calendar_of, country
from recsys.frames.local_rows import local_rows
from recsys.scoring.anonymous import ALL, COUNTRY, STORE, STORE_TIME, context_lists, levels_of, lists_at
from tests.feature_rows import rows_of

AS_OF = date(2017, 12, 18)
DAY = date(2017, 12, 1)
SETTINGS = load_config(
    [], ["scenes.context_days=30", "scenes.context_hours=6", "scenes.context_prior_baskets=2.0"]
).scenes
BASKETS = "event_date date, store_id string, local_weekday int, local_hour int, items array<string>"


def lists_of(
    spark: SparkSession,
    *baskets: tuple[date, str | None, int, int, str],
    n: int = 2,
    countries: Mapping[str, str] | None = None,
) -> DataFrame:
    """Of baskets with a letter an item; the item f is not eligible."""
    items = [{c.ITEM_ID: item, c.IS_ELIGIBLE: item != "f"} for item in "abcdef"]
    rows = local_rows(spark, [(*basket[:4], list(basket[4])) for basket in baskets], BASKETS)
    placed, of_levels = with_country(rows, countries or {}), levels_of(countries or {})
    return context_lists(placed, rows_of(spark, tables.ITEMS, items), AS_OF, n, SETTINGS, of_levels).persist()


def with_country(rows: DataFrame, countries: Mapping[str, str]) -> DataFrame:
    return rows.withColumn(c.COUNTRY, country(calendar_of(countries, {})))


def found_at(lists: DataFrame, level: str, store: str | None, hours_from: int | None) -> list[tuple[str, float, int]]:
    of_level = lists.where(F.col(c.LEVEL) == level)
    here = of_level.where(F.col(c.STORE_ID).eqNullSafe(store) & F.col(c.HOURS_FROM).eqNullSafe(hours_from))
    return [(row[c.ITEM_ID], row[c.SCORE], row[c.NUM_BASKETS]) for row in here.orderBy(c.RANK).collect()]


def asked_of(lists: DataFrame, cases: DataFrame, countries: Mapping[str, str]) -> list[Row]:
    return lists_at(with_country(cases, countries), lists, SETTINGS, levels_of(countries)).collect()


def test_shares_are_drawn_towards_those_of_the_wider_place(spark: SparkSession) -> None:
    lists = lists_of(
        spark,
        (DAY, "s", 5, 6, "af"),
        (DAY, "s", 5, 11, "b"),
        (DAY, "s", 5, 12, "b"),  # another part of the day
        (DAY, "t", 5, 6, "c"),
        (DAY, "t", 1, 6, "cd"),
        (AS_OF, "t", 1, 6, "e"),
        (date(2017, 11, 17), "t", 1, 6, "e"),  # before the thirty days
    )
    # Of five baskets b and c lie in two each.
    assert found_at(lists, ALL, None, None) == [("b", 2 / 5, 5), ("c", 2 / 5, 5)]
    a_in_s, b_in_s = (1 + 2 * 1 / 5) / (3 + 2), (2 + 2 * 2 / 5) / (3 + 2)
    assert found_at(lists, STORE, "s", None) == [("b", pytest.approx(b_in_s), 3), ("a", pytest.approx(a_in_s), 3)]
    b_at_noon = (1 + 2 * b_in_s) / (1 + 2)
    # Nobody bought a at noon: its share is what the store's says.
    assert found_at(lists, STORE_TIME, "s", 12) == [
        ("b", pytest.approx(b_at_noon), 1),
        ("a", pytest.approx(2 * a_in_s / 3), 1),
    ]
    places = lists.select(c.LEVEL, c.STORE_ID, c.LOCAL_WEEKDAY, c.HOURS_FROM).distinct()
    assert places.count() == 1 + 2 + 4


def test_the_narrowest_known_place_is_asked(spark: SparkSession) -> None:
    lists = lists_of(
        spark, (DAY, "s", 5, 6, "a"), (DAY, "s", 1, 6, "b"), (DAY, "s", 1, 7, "b"), (DAY, "t", 1, 6, "c"), n=1
    )
    cases = [("here", "s", 5, 8), ("at night", "s", 5, 3), ("elsewhere", "u", 5, 8), ("nowhere", None, 5, 8)]
    asked = local_rows(spark, cases, "case_id string, store_id string, local_weekday int, local_hour int")
    found = {row[c.CASE_ID]: (row[c.RANK], row[c.ITEM_ID]) for row in asked_of(lists, asked, {})}
    assert found == {"here": (1, "a"), "at night": (1, "b"), "elsewhere": (1, "b"), "nowhere": (1, "b")}


def test_a_log_without_stores_has_times(spark: SparkSession) -> None:
    lists = lists_of(spark, (DAY, None, 5, 6, "a"), (DAY, None, 5, 20, "b"), (DAY, None, 5, 20, "b"), n=1)
    assert found_at(lists, STORE_TIME, None, 6) == [("a", pytest.approx((1 + 2 * 1 / 3) / 3), 1)]
    asked = local_rows(spark, [("1", None, 5, 9)], "case_id string, store_id string, local_weekday int, local_hour int")
    assert [row[c.ITEM_ID] for row in asked_of(lists, asked, {})] == ["a"]


def test_a_country_stands_between_all_and_a_store(spark: SparkSession) -> None:
    countries = {"s": "DE", "t": "DE", "u": "FR", "new": "DE"}
    baskets = [(DAY, "s", 5, 6, "a"), (DAY, "t", 5, 6, "b"), (DAY, "t", 5, 6, "b"), (DAY, "u", 5, 6, "c")]
    lists = lists_of(spark, *baskets, (DAY, "at sea", 5, 6, "c"), countries=countries)
    of_country = lists.where(F.col(c.LEVEL) == COUNTRY).orderBy(c.COUNTRY, c.RANK).collect()
    b_in_de = (2 + 2 * 2 / 5) / (3 + 2)
    assert [(row[c.COUNTRY], row[c.STORE_ID], row[c.ITEM_ID], row[c.NUM_BASKETS]) for row in of_country] == [
        ("DE", None, "b", 3), ("DE", None, "a", 3), ("FR", None, "c", 1), ("FR", None, "b", 1),
    ]  # fmt: skip
    assert of_country[0][c.SCORE] == pytest.approx(b_in_de)
    a_in_s = (1 + 2 * of_country[1][c.SCORE]) / (1 + 2)
    assert found_at(lists, STORE, "s", None) == [
        ("a", pytest.approx(a_in_s), 1),
        ("b", pytest.approx(2 * b_in_de / 3), 1),
    ]
    cases = [("de", "new", 5, 6), ("sea", "another sea", 5, 6)]
    asked = local_rows(spark, cases, "case_id string, store_id string, local_weekday int, local_hour int")
    first = {row[c.CASE_ID]: row[c.ITEM_ID] for row in asked_of(lists, asked, countries) if row[c.RANK] == 1}
    assert first == {"de": "b", "sea": "b"}
