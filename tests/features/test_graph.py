from datetime import date, datetime
from math import sqrt

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.features.graph import edge_features, item_neighbour_features, user_neighbour_features
from recsys.features.purchases import item_days
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of
from tests.purchase_rows import purchase

AS_OF, EARLIER = date(2017, 12, 18), date(2017, 9, 18)
DAY_91 = datetime(2017, 9, 18)
DAY_182 = datetime(2017, 6, 19)


def days_of(spark: SparkSession, *bought: tuple[str, str, datetime]) -> DataFrame:
    return item_days(rows_of(spark, tables.EVENTS, [purchase(*line) for line in bought]))


def test_edges_halve_with_age_and_know_both_degrees(spark: SparkSession) -> None:
    log = days_of(
        spark,
        ("u", "milk", DAY_91),
        ("u", "milk", DAY_182),
        ("u", "milk", datetime(2017, 9, 18, 20)),  # a second line of the day
        ("u", "bread", DAY_182),
        ("v", "milk", DAY_182),
        ("v", "old", datetime(2016, 12, 17)),  # 366 days before the later cut-off
        ("v", "milk", datetime(2017, 12, 18)),  # the cut-off's day
    )
    expected = local_rows(
        spark,
        [
            ("u", "milk", AS_OF, 0.5 + 0.25, 2, 2, 1 / sqrt(4)),
            ("u", "bread", AS_OF, 0.25, 2, 1, 1 / sqrt(2)),
            ("v", "milk", AS_OF, 0.25, 1, 2, 1 / sqrt(2)),
            ("u", "milk", EARLIER, 0.5, 2, 2, 1 / sqrt(4)),
            ("u", "bread", EARLIER, 0.5, 2, 1, 1 / sqrt(2)),
            ("v", "milk", EARLIER, 0.5, 2, 2, 1 / sqrt(4)),
            ("v", "old", EARLIER, round(0.5 ** (275 / 91), 6), 2, 1, 1 / sqrt(2)),
        ],
        "user_id string, item_id string, as_of_date date, edge_weight_365d double, edge_user_degree_365d bigint, "
        "edge_item_degree_365d bigint, edge_norm_365d double",
    )
    actual = edge_features(log, [AS_OF, EARLIER])
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_neighbourhoods_have_one_size_and_do_not_depend_on_partitions_or_cut_offs(spark: SparkSession) -> None:
    log = days_of(
        spark,
        ("few", "milk", DAY_182),
        ("few", "milk", DAY_91),  # twice: still one neighbour
        *(("many", f"i{number}", DAY_182) for number in range(12)),
        ("other", "i3", DAY_91),
        ("many", "today", datetime(2017, 12, 18)),
    )
    drawn = user_neighbour_features(log, [AS_OF, EARLIER], 4)
    assert drawn.columns == list(tables.USER_NEIGHBOURS_FEATURES.column_names)
    assert_df_equality(drawn, user_neighbour_features(log.repartition(5), [EARLIER, AS_OF], 4), ignore_row_order=True)
    rows = {(row[c.USER_ID], row[c.AS_OF_DATE]): row for row in drawn.collect()}
    assert set(rows) == {("few", AS_OF), ("many", AS_OF), ("other", AS_OF), ("few", EARLIER), ("many", EARLIER)}
    few, many = rows["few", AS_OF], rows["many", AS_OF][c.USER_NEIGHBOURS_ITEMS_365D]
    assert few[c.USER_NEIGHBOURS_ITEMS_365D] == ["milk", None, None, None]
    assert few[c.USER_NEIGHBOURS_MASK_365D] == [True, False, False, False]
    assert few[c.USER_NEIGHBOURS_WEIGHTS_365D] == [0.5 + 0.25, 0.0, 0.0, 0.0]
    assert len({*many} & {f"i{number}" for number in range(12)}) == 4
    assert many not in ([f"i{number}" for number in range(4)], sorted(many))  # by hash, not by id
    assert rows["many", EARLIER][c.USER_NEIGHBOURS_ITEMS_365D] == many
    of_items = {row[c.ITEM_ID]: row for row in item_neighbour_features(log, [AS_OF], 3).collect()}
    assert len(of_items) == 13
    assert sorted(filter(None, of_items["i3"][c.ITEM_NEIGHBOURS_USERS_365D])) == ["many", "other"]
    assert of_items["i3"][c.ITEM_NEIGHBOURS_MASK_365D] == [True, True, False]
    users, weights = (of_items["i3"][name] for name in (c.ITEM_NEIGHBOURS_USERS_365D, c.ITEM_NEIGHBOURS_WEIGHTS_365D))
    assert dict(zip(users, weights, strict=True)) == {"many": 0.25, "other": 0.5, None: 0.0}
