from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.item_vectors import (
    encoded,
    encoded_batch,
    item_vector_features,
    keep_with_text,
    with_newest_vector,
)
from recsys.features.purchases import item_days
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of, versions_of
from tests.purchase_rows import purchase

AS_OF, EARLIER = date(2017, 12, 18), date(2017, 12, 4)
ITEMS = [
    {c.ITEM_ID: "tea", c.NAME: "Green tea", c.BRAND: " ", c.CATEGORY: "DRINKS"},
    {c.ITEM_ID: "same", c.NAME: "Green tea", c.CATEGORY: "DRINKS", c.VALID_TO: date(2017, 12, 10)},
    {c.ITEM_ID: "same", c.NAME: "Jug", c.VALID_FROM: date(2017, 12, 10)},
    {c.ITEM_ID: "brand", c.BRAND: "Own"},
    {c.ITEM_ID: "nothing", c.NAME: "  "},
    {c.ITEM_ID: "unsold", c.NAME: "Cup"},
]


def load_lengths():
    return lambda texts: np.array([[len(text), -1.23456789] for text in texts], dtype=np.float32)


def test_each_item_sold_before_the_cut_off_gets_the_vector_of_its_texts_then(spark: SparkSession) -> None:
    items = versions_of(spark, *ITEMS)
    texts = [(row[c.ITEM_ID], row[c.TEXT]) for row in keep_with_text(items).collect()]
    known = [("tea", "Green tea, DRINKS"), ("same", "Green tea, DRINKS"), ("same", "Jug"), ("brand", "Own")]
    assert texts == [*known, ("unsold", "Cup")]

    vectors = encoded(keep_with_text(items).select(c.TEXT).distinct(), load_lengths, tasks=2)
    sold = {"tea": datetime(2017, 12, 17), "same": datetime(2017, 12, 3), "nothing": datetime(2017, 12, 1)}
    sold |= {"brand": datetime(2016, 12, 10)}  # too long before the later cut-off
    days = item_days(rows_of(spark, tables.EVENTS, [purchase("u", item, at) for item, at in sold.items()]))
    found = item_vector_features(days, items, vectors, [AS_OF, EARLIER])
    assert tuple(found.columns) == tables.ITEM_VECTORS_FEATURES.column_names
    by_item = {(row[c.ITEM_ID], row[c.AS_OF_DATE]): row[c.ITEM_VECTOR] for row in found.collect()}
    assert by_item == {
        ("tea", AS_OF): pytest.approx([17.0, -1.234568]),
        ("same", AS_OF): pytest.approx([3.0, -1.234568]),
        ("same", EARLIER): pytest.approx([17.0, -1.234568]),
        ("brand", EARLIER): pytest.approx([3.0, -1.234568]),
    }


def test_an_item_keeps_its_newest_vector_up_to_the_day(spark: SparkSession) -> None:
    later = date(2018, 1, 1)
    given = [
        ("tea", EARLIER, 1.0),
        ("tea", AS_OF, 2.0),
        ("tea", later, 3.0),
        ("cup", EARLIER, 4.0),
        ("jug", later, 5.0),
    ]
    rows = [{c.ITEM_ID: item, c.AS_OF_DATE: day, c.ITEM_VECTOR: [value, 0.5]} for item, day, value in given]
    items = local_rows(spark, [("tea",), ("cup",), ("jug",)], f"{c.ITEM_ID} string")
    found = with_newest_vector(items, rows_of(spark, tables.ITEM_VECTORS_FEATURES, rows), AS_OF, 2)
    by_item = {row[c.ITEM_ID]: row[c.ITEM_VECTOR] for row in found.collect()}
    assert by_item == {"tea": [2.0, 0.5], "cup": [4.0, 0.5], "jug": [0.0, 0.0]}


def test_no_text_needs_no_encoder(spark: SparkSession) -> None:
    def refuse():
        raise AssertionError("loaded")

    assert encoded(local_rows(spark, [], "text string"), refuse, tasks=2).collect() == []


@pytest.mark.parametrize("given", [np.ones((1, 3)), np.ones(2), np.array([[1.0], [np.nan]])])
def test_an_encoder_that_gives_no_row_of_numbers_a_text_is_refused(given: NDArray[np.float64]) -> None:
    def encoder(_: Sequence[str]) -> NDArray[np.float32]:
        return given.astype(np.float32)

    with pytest.raises(ValueError, match=r"one row of finite numbers a text: expected 2 rows, got \("):
        encoded_batch(pa.RecordBatch.from_pydict({c.TEXT: ["a", "b"]}), encoder)
