import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession

from recsys.errors import DataQualityError
from recsys.frames.keys import new_ids, require_unique
from recsys.frames.local_rows import local_rows


def test_unique_rows_pass_unchanged(spark: SparkSession) -> None:
    rows = local_rows(spark, [("a", 1), ("a", 2)], "item_id string, store int")
    assert require_unique(rows, "item_id", "store") is rows


def test_the_first_duplicate_key_is_named_with_its_count(spark: SparkSession) -> None:
    rows = local_rows(spark, [("b",), ("a",), ("b",), ("a",), ("a",)], "item_id string")
    with pytest.raises(DataQualityError, match=r"expected one row per \('item_id',\), found 3 for {'item_id': 'a'}"):
        require_unique(rows, "item_id")


def test_two_null_keys_are_a_duplicate(spark: SparkSession) -> None:
    rows = local_rows(spark, [(None,), (None,)], "item_id string")
    with pytest.raises(DataQualityError, match=r"found 2 for {'item_id': None}"):
        require_unique(rows, "item_id")


def test_new_ids_go_on_from_the_largest_in_the_order_of_the_keys(spark: SparkSession) -> None:
    known = local_rows(spark, [("m", 0), ("z", 1)], "item_id string, item_idx int")
    keys = local_rows(spark, [("z",), ("b",), (None,), ("a",), ("b",)], "item_id string")
    expected = local_rows(spark, [("a", 2), ("b", 3)], "item_id string, item_idx int")
    for partitions in (1, 5):
        found = new_ids(known, keys.repartition(partitions), "item_id", "item_idx")
        assert_df_equality(found, expected, ignore_nullable=True, ignore_row_order=True)


def test_the_first_ids_start_at_zero_and_none_are_added_twice(spark: SparkSession) -> None:
    none = local_rows(spark, [], "item_id string, item_idx int")
    keys = local_rows(spark, [("b",), ("a",)], "item_id string")
    first = new_ids(none, keys, "item_id", "item_idx")
    expected = local_rows(spark, [("a", 0), ("b", 1)], "item_id string, item_idx int")
    assert_df_equality(first, expected, ignore_nullable=True, ignore_row_order=True)
    assert new_ids(expected, keys, "item_id", "item_idx").count() == 0
