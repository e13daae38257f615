from datetime import date, datetime
from math import sqrt

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.item_item import item_item_features
from recsys.features.purchases import basket_items
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

AS_OF, EARLIER = date(2017, 12, 18), date(2017, 12, 4)
DAY, LATER_DAY = datetime(2017, 12, 1, 9), datetime(2017, 12, 5, 9)


def baskets_of(spark: SparkSession, *baskets: tuple[str, str | None, datetime, str]) -> DataFrame:
    """Each with its user, name, time and items, a letter an item."""
    lines = [purchase(user, item, at, basket_id=name) for user, name, at, items in baskets for item in items]
    return basket_items(rows_of(spark, tables.EVENTS, lines))


def test_neighbours_are_ranked_by_cosine_with_the_smaller_id_first_at_a_tie(spark: SparkSession) -> None:
    log = baskets_of(
        spark,
        ("u", "1", DAY, "abca"),  # a line twice: one item
        ("v", "1", DAY, "abc"),  # another user's basket of the same name
        ("u", None, LATER_DAY, "ad"),
        ("v", None, LATER_DAY, "ad"),
        ("v", None, datetime(2017, 12, 6), "de"),  # d and e meet once only
        ("v", "today", datetime(2017, 12, 18), "de"),
        ("v", "old", datetime(2017, 9, 17), "de"),  # 92 days before the later cut-off
    )
    expected = local_rows(spark, [
            # Baskets with a: 4, b: 2, c: 2, d: 3, of 5.
            ("a", "b", AS_OF, 2, 2 / sqrt(8), 2 * 5 / 8, 1),
            ("a", "c", AS_OF, 2, 2 / sqrt(8), 2 * 5 / 8, 2),
            ("b", "c", AS_OF, 2, 1.0, 2 * 5 / 4, 1),
            ("b", "a", AS_OF, 2, 2 / sqrt(8), 2 * 5 / 8, 2),
            ("c", "b", AS_OF, 2, 1.0, 2 * 5 / 4, 1),
            ("c", "a", AS_OF, 2, 2 / sqrt(8), 2 * 5 / 8, 2),
            ("d", "a", AS_OF, 2, 2 / sqrt(12), 2 * 5 / 12, 1),
            # Baskets with a, b and c: 2 each, of 3.
            *((item, other, EARLIER, 2, 1.0, 2 * 3 / 4, rank)
              for item, others in {"a": "bc", "b": "ac", "c": "ab"}.items()
              for rank, other in enumerate(others, start=1)),
        ],
        "item_id string, neighbour_id string, as_of_date date, item_item_baskets_91d bigint, "
        "item_item_cosine_91d double, item_item_lift_91d double, item_item_rank_91d int",
    )  # fmt: skip
    actual = item_item_features(log, [AS_OF, EARLIER], neighbours=2)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_large_baskets_and_many_baskets_a_day_count_in_part(spark: SparkSession) -> None:
    large = [("u", "large", DAY, "".join(map(chr, range(200, 260))))] * 2 + [
        ("v", "large", DAY, "".join(map(chr, range(200, 260))))
    ]
    many = [("w", f"{number}", DAY, "xy") for number in range(25)]
    log = baskets_of(spark, *large, *many)
    rows = item_item_features(log, [AS_OF], neighbours=100).collect()
    assert_df_equality(
        item_item_features(log.repartition(5), [AS_OF], neighbours=100),
        local_rows(spark, rows, item_item_features(log, [AS_OF], neighbours=100).schema),
        ignore_row_order=True,
    )
    found = {(row[c.ITEM_ID], row[c.NEIGHBOUR_ID]): row[c.ITEM_ITEM_BASKETS_91D] for row in rows}
    assert found.pop(("x", "y")) == found.pop(("y", "x")) == 10
    # Both users' large baskets are drawn alike: 50 of 60 items, which meet in two baskets.
    assert set(found.values()) == {2}
    assert len(found) == 50 * 49
