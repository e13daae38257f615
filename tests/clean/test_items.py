from collections.abc import Callable
from dataclasses import replace
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.clean.items import clean_items, judged_items, part_items
from recsys.clean.mapping import EligibleMapping, ItemsMapping, KnownMapping, TimeMapping
from recsys.config import CleanConfig
from recsys.frames.local_rows import local_rows


def test_eligible_items_match_every_pattern_and_are_not_excluded(spark: SparkSession) -> None:
    rows = [("12345", "FOOD"), ("12345A", None), ("POST", "FOOD"), ("54321", "FUEL"), ("123456", "FOOD")]
    kept = local_rows(spark, rows, "item_id string, department string")
    for name in (c.NAME, c.CATEGORY, c.BRAND, c.SELLER):
        kept = kept.selectExpr("*", f"cast(null as string) as {name}")
    kept = kept.selectExpr("*", f"cast(null as timestamp) as {c.KNOWN_TS}")
    eligible = EligibleMapping(exclude={"department": ("FUEL",)}, matches={"item_id": "^[0-9]{5}[A-Za-z]*$"})
    found = {row[c.ITEM_ID]: row[c.IS_ELIGIBLE] for row in clean_items(kept, eligible).collect()}
    assert found == {"12345": True, "12345A": True, "POST": False, "54321": False, "123456": False}


def test_an_item_file_with_a_repeated_key_keeps_the_first(
    records: Callable[..., DataFrame], limits: CleanConfig
) -> None:
    mapping = ItemsMapping(files="*", format="csv", columns={"item_id": "sku", "name": "title"})
    rows = records(("sku", "title"), ("i1", "lamp"), ("i1", "bulb"), (None, "pot"), ("i2", None))
    parted, item_values = part_items(judged_items(rows, mapping, limits), mapping)
    assert item_values is None
    assert {(row[c.ITEM_ID], row[c.NAME], row[c.BRAND]) for row in parted.kept.collect()} == {
        ("i1", "lamp", None),
        ("i2", None, None),
    }
    left_out = {row[c.SOURCE_ROW]: row[c.REASONS] for row in parted.left_out.collect()}
    assert left_out == {2: ["key_duplicate"], 3: ["missing_item"]}


def test_rows_say_nothing_of_a_day_after_their_file(records: Callable[..., DataFrame], limits: CleanConfig) -> None:
    """The file became known on the last day of 2024."""
    known = KnownMapping(pattern="(?P<year>....)(?P<month>..)(?P<day>..)")
    mapping = ItemsMapping(
        files="*", format="csv", columns={"item_id": "sku"}, is_repeated=True, time=TimeMapping(column="at")
    )
    rows = records(("sku", "at"), ("i1", "2025-01-02"), ("i2", "2025-01-03"), ("i3", "noon"))
    day_long = replace(limits, max_hours_after_file=48, last_event_date="2099-12-31")
    for of_shop, of_i2 in ((mapping, date(2025, 1, 3)), (replace(mapping, known=known), None)):
        _, item_values = part_items(judged_items(rows, of_shop, day_long), of_shop)
        assert item_values is not None
        days = {row[c.ITEM_ID]: row[c.EVENT_DATE] for row in item_values.collect()}
        assert days == {"i1": date(2025, 1, 2), "i2": of_i2, "i3": None}
