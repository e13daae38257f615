from datetime import datetime
from math import log

import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.nodes import item_nodes, user_nodes
from recsys.features.purchases import item_days
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

FIRST, SECOND = datetime(2017, 9, 18), datetime(2017, 9, 19)


def test_nodes_are_known_by_lines_days_and_prices_and_items_by_their_category(spark: SparkSession) -> None:
    lines = [("ann", "tea", FIRST, 600, 2.0), ("ann", "tea", SECOND, 300, 1.0), ("bob", "cup", SECOND, None, 1.0)]
    events = [
        {**purchase(user, item, at), c.AMOUNT_CENTS: cents, c.QUANTITY: quantity}
        for user, item, at, cents, quantity in lines
    ]
    days = item_days(rows_of(spark, tables.EVENTS, events))
    of_users = {row[c.USER_ID]: row[c.NODE_NUMBERS] for row in user_nodes(days).collect()}
    assert of_users["ann"] == pytest.approx([log(3), log(3), log(451)])
    assert of_users["bob"] == pytest.approx([log(2), log(2), 0.0])
    items = rows_of(
        spark, tables.ITEMS, [{c.ITEM_ID: i, c.CATEGORY: k} for i, k in (("tea", "drinks"), ("new", "drinks"))]
    )
    categories = rows_of(spark, tables.CATEGORY_IDS, [{c.CATEGORY: "drinks", c.CATEGORY_IDX: 4}])
    of_items = {
        row[c.ITEM_ID]: (row[c.NODE_NUMBERS], row[c.CATEGORY_IDX])
        for row in item_nodes(days, items, categories).collect()
    }
    assert of_items["tea"] == (pytest.approx([log(3), log(3), log(301)]), 4)
    assert of_items["cup"] == (pytest.approx([log(2), log(2), 0.0]), -1)
    assert of_items["new"] == ([0.0, 0.0, 0.0], 4)
