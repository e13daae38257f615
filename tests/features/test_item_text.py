from datetime import date, datetime
from math import log, sqrt
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.item_text import item_text_features
from recsys.features.purchases import item_days
from tests.feature_rows import rows_of, versions_of
from tests.purchase_rows import purchase

AS_OF, EARLIER = date(2017, 12, 18), date(2017, 12, 4)
OLD, NEW = datetime(2017, 12, 1), datetime(2017, 12, 17)


def features(
    spark: SparkSession, sold: dict[str, datetime], items: list[dict[str, Any]]
) -> dict[tuple[str, date], Any]:
    days = item_days(rows_of(spark, tables.EVENTS, [purchase("u", item, at) for item, at in sold.items()]))
    frame = item_text_features(days, versions_of(spark, *items), [AS_OF, EARLIER], dimensions=16)
    assert tuple(frame.columns) == tables.ITEM_TEXT_FEATURES.column_names
    return {(row[c.ITEM_ID], row[c.AS_OF_DATE]): row for row in frame.collect()}


def test_tokens_are_words_of_any_script_and_pairs_of_chinese_characters(spark: SparkSession) -> None:
    texts = {
        "english": ("HERB MARKER, set of 3 (\"Thyme\")", ["herb", "marker", "set", "of", "3", "thyme"]),
        "accents": ("Crème brûlée-Schüssel 🍮", ["crème", "brûlée", "schüssel"]),
        "chinese": ("有机绿茶 茶", ["有机", "机绿", "绿茶", "茶"]),
        "mixed": ("USB充电线2m", ["usb", "充电", "电线", "2m"]),
    }  # fmt: skip
    silent = {"nothing": None, "signs": " -- ?! "}
    names = {**{item: name for item, (name, _) in texts.items()}, **silent}
    items = [{c.ITEM_ID: item, c.NAME: name} for item, name in names.items()]
    items.append({c.ITEM_ID: "unsold", c.NAME: "tea"})
    items.append({c.ITEM_ID: "all", c.NAME: "Tea", c.BRAND: "Own", c.CATEGORY: "DRINKS", c.DEPARTMENT: "Food"})
    found = features(spark, {**dict.fromkeys(names, OLD), "all": NEW}, items)
    tokens = {item: row[c.ITEM_TEXT_TOKENS] for (item, day), row in found.items() if day == AS_OF}
    expected = {item: words for item, (_, words) in texts.items()}
    assert tokens == {**expected, "all": ["tea", "own", "drinks", "food"]}
    assert {item for item, day in found if day == EARLIER} == set(texts)


def test_a_rare_word_weighs_more_and_items_that_share_words_are_near(spark: SparkSession) -> None:
    names = {"a": "tea green", "b": "tea black", "c": "tea green", "d": "soap soap", "e": "tea"}
    items = [{c.ITEM_ID: item, c.NAME: name} for item, name in names.items()]
    found = features(spark, dict.fromkeys(names, OLD), items)
    bags = {item: found[item, AS_OF][c.ITEM_TEXT_BAG] for item in names}

    def likeness(one: str, other: str) -> float:
        return sum(x * y for x, y in zip(bags[one], bags[other], strict=True))

    assert {len(bag) for bag in bags.values()} == {16}
    assert all(likeness(item, item) == pytest.approx(1.0) for item in names)
    assert likeness("a", "c") == pytest.approx(1.0)
    assert sorted(map(abs, bags["d"]))[-2:] == [0.0, 1.0]
    tea, green, black = (log(6 / (1 + items_with)) + 1 for items_with in (4, 2, 1))
    assert likeness("a", "e") == pytest.approx(tea / sqrt(tea**2 + green**2), abs=1e-6)
    assert likeness("a", "b") == pytest.approx(tea**2 / sqrt(tea**2 + green**2) / sqrt(tea**2 + black**2), abs=1e-6)
