from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.item_words import item_words
from tests.feature_rows import rows_of


def test_words_are_numbered_alike_in_every_text_and_filled_up(spark: SparkSession) -> None:
    items = [
        {c.ITEM_ID: "cup", c.NAME: "Red CUP", c.BRAND: "red"},
        {c.ITEM_ID: "tea", c.NAME: "green tea in a red cup"},
        {c.ITEM_ID: "bare"},
    ]
    rows = item_words(rows_of(spark, tables.ITEMS, items), buckets=1000, count=4).collect()
    words = {row[c.ITEM_ID]: row[c.ITEM_WORDS] for row in rows}
    red, cup = words["cup"][:2]
    assert words["cup"] == [red, cup, red, 0]
    assert len(set(words["tea"])) == 4
    assert red not in words["tea"], "only the first four words are read"
    assert words["bare"] == [0, 0, 0, 0]
    assert all(0 < word <= 1000 for word in (*words["tea"], red, cup))
