from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.catalog import CONTEXT, ITEM, MODEL_INPUTS, NUMERIC_INPUTS, USER
from recsys.examples.assemble import Ids, assemble, assemble_items, assemble_users
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.local_rows import local_rows
from tests.feature_rows import feature_tables, rows_of

AS_OF, LATER = date(2017, 11, 20), date(2017, 12, 4)
PAIRS = "as_of_date date, user_id string, item_id string, source string"


def ids_of(spark: SparkSession) -> Ids:
    return Ids(
        users=rows_of(spark, tables.USER_IDS, [{c.USER_ID: "u", c.USER_IDX: 7}]),
        items=rows_of(spark, tables.ITEM_IDS, [{c.ITEM_ID: "milk", c.ITEM_IDX: 8}, {c.ITEM_ID: "bare", c.ITEM_IDX: 5}]),
        categories=rows_of(
            spark,
            tables.CATEGORY_IDS,
            [{c.CATEGORY: name, c.CATEGORY_IDX: idx} for name, idx in (("dairy", 9), ("drinks", 2))],
        ),
    )


def items_of(spark: SparkSession) -> DataFrame:
    rows = [
        {c.ITEM_ID: "milk", c.CATEGORY: "dairy", c.IS_ELIGIBLE: True},
        {c.ITEM_ID: "bare", c.CATEGORY: None, c.IS_ELIGIBLE: True},
        {c.ITEM_ID: "moved", c.CATEGORY: "drinks", c.IS_ELIGIBLE: True},
        {c.ITEM_ID: "unsold", c.CATEGORY: "drinks", c.IS_ELIGIBLE: True},
    ]
    return rows_of(spark, tables.ITEMS, rows)


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> "Rows":
    """Assembled once for all tests: nine joins take seconds to plan."""
    pairs = [
        (AS_OF, "u", "milk", "own"),
        (LATER, "u", "milk", "own"),
        (AS_OF, "u", "bare", "popular"),
        (AS_OF, "u", "moved", "own"),
        (AS_OF, "u", "unsold", "popular"),
        (AS_OF, "blank", "milk", "popular"),
        (AS_OF, "elsewhere", "milk", "popular"),
        (AS_OF, "stranger", "unheard of", "popular"),
    ]
    frame = assemble(local_rows(spark, pairs, PAIRS), features_of(spark), items_of(spark), ids_of(spark))
    collected = frame.collect()
    assert len(collected) == len(pairs)
    return {(row[c.AS_OF_DATE], row[c.USER_ID], row[c.ITEM_ID]): row for row in collected}


def features_of(spark: SparkSession) -> FeatureTables:
    first, later = all_grains(AS_OF, 1), all_grains(LATER, 10)
    features = {grain: [*first[grain], *later[grain]] for grain in first}
    elsewhere = {c.USER_MAIN_STORE_ID: "s2", c.USER_USUAL_WEEKDAY: 6, c.USER_USUAL_HOUR: 9}
    features["user"] += [
        {c.AS_OF_DATE: AS_OF, c.USER_ID: "blank"},  # all values null
        {c.AS_OF_DATE: AS_OF, c.USER_ID: "elsewhere", **elsewhere},
    ]
    return feature_tables(spark, **features)


def all_grains(as_of: date, scale: int) -> dict[str, list[dict[str, Any]]]:
    """One row a grain, for the user u and the item milk; each value is `scale` times another."""
    day = {c.AS_OF_DATE: as_of}
    place = {c.STORE_ID: "s1", c.LOCAL_WEEKDAY: 6, c.LOCAL_HOUR: 18}
    usual = {c.USER_MAIN_STORE_ID: "s1", c.USER_USUAL_WEEKDAY: 6, c.USER_USUAL_HOUR: 18}
    return {
        "user": [{**day, c.USER_ID: "u", **usual, c.USER_PURCHASES_28D: 2 * scale}],
        "user_category": [{**day, c.USER_ID: "u", c.CATEGORY: "dairy", c.USER_CATEGORY_PURCHASES_91D: 3 * scale}],
        "item": [
            {**day, c.ITEM_ID: "milk", c.ITEM_CATEGORY: "dairy", c.ITEM_BUYERS_28D: 4 * scale},
            {**day, c.ITEM_ID: "moved", c.ITEM_CATEGORY: "dairy"},
        ],
        "user_item": [{**day, c.USER_ID: "u", c.ITEM_ID: "milk", c.USER_ITEM_PURCHASES_91D: 5 * scale}],
        "context": [{**day, **place, c.CONTEXT_BASKET_CENTS_91D: 6.0 * scale}],
        "store_item": [{**day, c.STORE_ID: "s1", c.ITEM_ID: "milk", c.STORE_ITEM_MAIL_DAYS_7D: 7 * scale}],
    }


OF_EACH_GRAIN = (
    c.USER_PURCHASES_28D,
    c.USER_CATEGORY_PURCHASES_91D,
    c.ITEM_BUYERS_28D,
    c.USER_ITEM_PURCHASES_91D,
    c.CONTEXT_BASKET_CENTS_91D,
    c.STORE_ITEM_MAIL_DAYS_7D,
)
Rows = dict[tuple[date, str, str], Row]


def of_each_grain(row: Row) -> list[float]:
    return [row[name] for name in OF_EACH_GRAIN]


def indexes(row: Row) -> tuple[int, int, int]:
    return (row[c.USER_IDX], row[c.ITEM_IDX], row[c.CATEGORY_IDX])


def test_every_grain_is_looked_up_by_its_key_and_cut_off(rows: Rows) -> None:
    assert of_each_grain(rows[AS_OF, "u", "milk"]) == [2, 3, 4, 5, 6, 7]
    assert of_each_grain(rows[LATER, "u", "milk"]) == [20, 30, 40, 50, 60, 70]
    assert rows[AS_OF, "u", "milk"][c.USER_USUAL_HOUR] == 18.0
    assert rows[AS_OF, "u", "milk"][c.SOURCE] == "own"


def test_another_item_user_store_or_hour_is_not_looked_up(rows: Rows) -> None:
    assert of_each_grain(rows[AS_OF, "u", "bare"]) == [2, 0, 0, 0, 6, 0]
    assert of_each_grain(rows[AS_OF, "elsewhere", "milk"]) == [0, 0, 4, 0, 0, 0]


def test_what_is_missing_or_null_takes_the_catalogues_default(rows: Rows) -> None:
    defaults = {feature.name: feature.default for feature in NUMERIC_INPUTS}
    assert {name: rows[AS_OF, "stranger", "unheard of"][name] for name in defaults} == defaults
    of_user = {feature.name for feature in NUMERIC_INPUTS if feature.grain == USER.name}
    assert len({defaults[name] for name in of_user}) > 1
    assert all(rows[AS_OF, "blank", "milk"][name] == defaults[name] for name in of_user)


def test_inputs_that_are_not_taken_are_not_looked_up(spark: SparkSession) -> None:
    pairs = local_rows(spark, [(AS_OF, "u", "milk", "own")], PAIRS)
    taken = [feature for feature in NUMERIC_INPUTS if feature.name != c.ITEM_BUYERS_28D]
    ids, items, features = ids_of(spark), items_of(spark), features_of(spark)
    features = replace(features, item=features.item.drop(c.ITEM_BUYERS_28D))
    (row,) = assemble(pairs, features, items, ids, taken).collect()
    assert of_each_grain(row) == [2, 3, 0, 5, 6, 7]


def test_unknown_ids_are_minus_one_and_an_item_without_category_keeps_its_index(rows: Rows) -> None:
    assert indexes(rows[AS_OF, "u", "milk"]) == (7, 8, 9)
    assert indexes(rows[AS_OF, "u", "bare"]) == (7, 5, -1)
    assert indexes(rows[AS_OF, "stranger", "unheard of"]) == (-1, -1, -1)


def test_an_items_category_is_that_of_the_cut_off_and_todays_only_where_it_was_not_sold(rows: Rows) -> None:
    assert rows[AS_OF, "u", "moved"][c.CATEGORY_IDX] == 9
    assert rows[AS_OF, "u", "moved"][c.USER_CATEGORY_PURCHASES_91D] == 3
    assert rows[AS_OF, "u", "unsold"][c.CATEGORY_IDX] == 2


def test_columns_are_the_pairs_own_then_the_catalogues_with_its_types(spark: SparkSession) -> None:
    pairs = local_rows(spark, [(AS_OF, "u", "milk", "own")], PAIRS)
    frame = assemble(pairs, feature_tables(spark), items_of(spark), ids_of(spark))
    expected = [*pairs.dtypes, *((i.name, i.input_type) for i in MODEL_INPUTS)]
    assert frame.dtypes == expected


def test_each_side_alone_has_the_pairs_values_and_the_defaults_of_a_stranger(spark: SparkSession, rows: "Rows") -> None:
    pair, stranger = rows[AS_OF, "u", "milk"], rows[AS_OF, "stranger", "unheard of"]
    features, ids = features_of(spark), ids_of(spark)
    users = assemble_users(local_rows(spark, [(AS_OF, "u")], "as_of_date date, user_id string"), features, ids)
    wanted = local_rows(spark, [(AS_OF, "milk")], "as_of_date date, item_id string")
    items = assemble_items(wanted, features, items_of(spark), ids)
    of_item = {c.ITEM_IDX, c.CATEGORY_IDX, *(f.name for f in NUMERIC_INPUTS if f.grain == ITEM.name)}
    of_user = {c.USER_IDX, *(f.name for f in NUMERIC_INPUTS if f.grain in (USER.name, CONTEXT.name))}
    for frame, own in ((users, of_user), (items, of_item)):
        (row,) = frame.collect()
        assert {i.name: row[i.name] for i in MODEL_INPUTS} == {
            i.name: (pair if i.name in own else stranger)[i.name] for i in MODEL_INPUTS
        }
