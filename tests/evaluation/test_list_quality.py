"""What lists are like, by hand."""

import pytest
from chispa import assert_df_equality
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.evaluation.list_quality import GINI, list_quality
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of

SCHEMA = "list_kind string, recommender string, user_id string, item_id string"
VALUES = "list_kind string, recommender string, metric string, value double"
ALL, NEW = "repeats_allowed", "new_items_only"


def items_of(spark: SparkSession, categories: dict[str, str | None], *, not_eligible: str = "") -> DataFrame:
    rows = [
        {c.ITEM_ID: item, c.CATEGORY: kind, c.IS_ELIGIBLE: item != not_eligible} for item, kind in categories.items()
    ]
    return rows_of(spark, tables.ITEMS, rows)


def test_pairs_of_unlike_categories_and_shares_of_places(spark: SparkSession) -> None:
    items = items_of(
        spark, {"a": "tea", "b": "tea", "x": "cup", "y": None, "z": None, "fee": "tea"}, not_eligible="fee"
    )
    shown = [
        *((ALL, "model", "u1", item) for item in ("a", "b", "x")),  # two of three pairs are unlike
        *((ALL, "model", "u2", item) for item in ("a", "y", "z")),  # three of three: none is known to be alike
        (NEW, "model", "u1", "a"),
    ]
    expected = [
        (ALL, "model", "coverage", 1.0),
        (ALL, "model", "intra_list_diversity", 0.833333),
        # Places by item: 1, 1, 1, 1, 2: (-4 - 2 + 0 + 2 + 2 * 4) / (5 * 6).
        (ALL, "model", "gini", 0.133333),
        (NEW, "model", "coverage", 0.2),
        (NEW, "model", "intra_list_diversity", None),  # one item is no pair
        (NEW, "model", "gini", 0.8),  # 4 / (5 * 1)
    ]
    assert_df_equality(
        list_quality(local_rows(spark, shown, SCHEMA), items),
        local_rows(spark, expected, VALUES),
        ignore_nullable=True,
        ignore_row_order=True,
    )


# Spark takes a second for a table, however many recommenders it is of.
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places_by_recommender=st.integers(1, 9).flatmap(
        lambda num_items: st.lists(
            st.lists(st.integers(0, 6), min_size=num_items, max_size=num_items).filter(any), min_size=5, max_size=9
        )
    )
)
def test_gini_is_half_the_mean_difference_of_two_items_over_the_mean(
    spark: SparkSession, places_by_recommender: list[list[int]]
) -> None:
    num_items = len(places_by_recommender[0])
    items = items_of(spark, {f"i{number}": "tea" for number in range(num_items)})
    shown = [
        (ALL, f"r{recommender}", f"u{user}", f"i{number}")
        for recommender, places in enumerate(places_by_recommender)
        for number, count in enumerate(places)
        for user in range(count)
    ]
    rows = list_quality(local_rows(spark, shown, SCHEMA), items).where(F.col(c.METRIC) == GINI).collect()
    found = {row[c.RECOMMENDER]: row[c.VALUE] for row in rows}
    expected = {
        f"r{recommender}": sum(abs(one - other) for one in places for other in places) / (2 * num_items * sum(places))
        for recommender, places in enumerate(places_by_recommender)
    }
    assert found == pytest.approx(expected, abs=1e-6)
