from datetime import date

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.examples.assemble import Ids
from recsys.examples.neighbourhoods import Neighbourhoods, with_neighbours
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of

AS_OF, LATER = date(2017, 11, 20), date(2017, 12, 4)
PAIRS = "as_of_date date, user_id string, item_id string, source string"
LISTS = (
    "user_neighbours_item_idx array<int>, user_neighbours_category_idx array<int>, "
    "item_neighbours_user_idx array<int>, user_neighbours_weight array<float>, item_neighbours_weight array<float>"
)
NONE, NO_WEIGHT = [-1, -1], [0.0, 0.0]


@pytest.fixture(scope="module")
def drawn(spark: SparkSession) -> Neighbourhoods:
    of_ann = [["tea", "cup", "new"], [0.5, 0.25, 1.0]]
    users = [(AS_OF, "ann", *of_ann), (LATER, "ann", ["cup", None, None], [2.0, 0.0, 0.0])]
    items = [(AS_OF, "tea", ["bob", "ann", None], [0.75, 0.5, 0.0])]
    names = (c.USER_NEIGHBOURS_ITEMS_365D, c.USER_NEIGHBOURS_WEIGHTS_365D)
    others = (c.ITEM_NEIGHBOURS_USERS_365D, c.ITEM_NEIGHBOURS_WEIGHTS_365D)
    return Neighbourhoods(
        users=rows_of(
            spark,
            tables.USER_NEIGHBOURS_FEATURES,
            [dict(zip((c.AS_OF_DATE, c.USER_ID, *names), row, strict=True)) for row in users],
        ),
        items=rows_of(
            spark,
            tables.ITEM_NEIGHBOURS_FEATURES,
            [dict(zip((c.AS_OF_DATE, c.ITEM_ID, *others), row, strict=True)) for row in items],
        ),
    )


def added(spark: SparkSession, drawn: Neighbourhoods, size: int, *pairs: tuple[date, str, str, str]) -> DataFrame:
    ids = Ids(
        users=rows_of(spark, tables.USER_IDS, [{c.USER_ID: "ann", c.USER_IDX: 4}, {c.USER_ID: "bob", c.USER_IDX: 6}]),
        items=rows_of(spark, tables.ITEM_IDS, [{c.ITEM_ID: "tea", c.ITEM_IDX: 1}, {c.ITEM_ID: "cup", c.ITEM_IDX: 3}]),
        categories=rows_of(spark, tables.CATEGORY_IDS, [{c.CATEGORY: "drinks", c.CATEGORY_IDX: 2}]),
    )
    features = rows_of(
        spark,
        tables.ITEM_FEATURES,
        [
            {c.AS_OF_DATE: AS_OF, c.ITEM_ID: "tea", c.ITEM_CATEGORY: "drinks"},
            {c.AS_OF_DATE: LATER, c.ITEM_ID: "cup", c.ITEM_CATEGORY: "drinks"},
        ],
    )
    return with_neighbours(local_rows(spark, list(pairs), PAIRS), drawn, features, ids, size)


def test_neighbours_stand_beside_the_pair_in_their_order_cut_or_filled_up(
    spark: SparkSession, drawn: Neighbourhoods
) -> None:
    pairs = [
        (AS_OF, "ann", "tea", "own"),
        (AS_OF, "bob", "tea", "popular"),
        (LATER, "ann", "tea", "own"),
        (AS_OF, "ann", "cup", "own"),
    ]
    expected = [
        # The third item is beyond the size; cup had no category at that cut-off.
        (*pairs[0], [1, 3], [2, -1], [6, 4], [0.5, 0.25], [0.75, 0.5]),
        (*pairs[1], NONE, NONE, [6, 4], NO_WEIGHT, [0.75, 0.5]),
        (*pairs[2], [3, -1], [2, -1], NONE, [2.0, 0.0], NO_WEIGHT),
        (*pairs[3], [1, 3], [2, -1], NONE, [0.5, 0.25], NO_WEIGHT),
    ]
    assert_df_equality(
        added(spark, drawn, 2, *pairs),
        local_rows(spark, expected, f"{PAIRS}, {LISTS}"),
        ignore_nullable=True,
        ignore_row_order=True,
    )


def test_an_item_without_an_index_is_a_neighbour_still(spark: SparkSession, drawn: Neighbourhoods) -> None:
    (row,) = added(spark, drawn, 4, (AS_OF, "ann", "tea", "own")).collect()
    assert row[c.USER_NEIGHBOURS_ITEM_IDX] == [1, 3, -1, -1]
    assert row[c.USER_NEIGHBOURS_WEIGHT] == [0.5, 0.25, 1.0, 0.0]
