from datetime import date

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys import tables
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.local_rows import local_rows
from recsys.scoring.candidates import MoreSources, candidates
from tests.feature_rows import feature_tables, quotas_of, rows_of

DAY = date(2017, 12, 4)
NEXT_DAY = date(2017, 12, 18)
QUOTAS = quotas_of(own_items=1, category_items=2, popular_items=2)
SCHEMA = "as_of_date date, user_id string, item_id string, source string"

# item, category, is eligible, buyers of 28 days, of 91 days
ITEMS = [
    ("a1", "A", True, 9, 9),
    ("x", "A", False, 8, 8),
    ("b1", "B", True, 7, 7),
    ("a2", "A", True, 6, 6),
    ("n", None, True, 5, 9),  # as many buyers as b2 in 28 days, more in 91; without a category
    ("b2", "B", True, 5, 5),
    ("a3", "A", True, 3, 3),
    ("a4", "A", True, 3, 3),  # a tie with a3
]


@pytest.fixture(scope="module")
def items(spark: SparkSession) -> DataFrame:
    rows = [{c.ITEM_ID: item, c.CATEGORY: "of today", c.IS_ELIGIBLE: ok} for item, _, ok, *_ in ITEMS]
    return rows_of(spark, tables.ITEMS, rows)


@pytest.fixture(scope="module")
def users(spark: SparkSession) -> DataFrame:
    rows = [("u1", False), ("cold", False), ("gone", True)]
    return rows_of(spark, tables.USERS, [{c.USER_ID: user, c.IS_OPTED_OUT: out} for user, out in rows])


@pytest.fixture(scope="module")
def features(spark: SparkSession) -> FeatureTables:
    return feature_tables(
        spark,
        item=[
            {
                c.AS_OF_DATE: DAY,
                c.ITEM_ID: item,
                c.ITEM_CATEGORY: cat,
                c.ITEM_BUYERS_28D: b28,
                c.ITEM_BUYERS_91D: b91,
            }
            for item, cat, _, b28, b91 in ITEMS
        ],
        user_item=[_own("u1", "a1", 3, 5), _own("u1", "b1", 3, 2), _own("u1", "x", 9, 1), _own("gone", "a1", 1, 1)],
        user_category=[
            {c.AS_OF_DATE: DAY, c.USER_ID: "u1", c.CATEGORY: "A", c.USER_CATEGORY_PURCHASES_91D: 6},
            {c.AS_OF_DATE: DAY, c.USER_ID: "u1", c.CATEGORY: "B", c.USER_CATEGORY_PURCHASES_91D: 5},
        ],
    )


def _own(user: str, item: str, days: int, recency: int | None) -> dict[str, object]:
    return {
        c.AS_OF_DATE: DAY,
        c.USER_ID: user,
        c.ITEM_ID: item,
        c.USER_ITEM_PURCHASES_365D: days,
        c.USER_ITEM_RECENCY_DAYS: recency,
    }


def assert_pairs(actual: DataFrame, expected: list[tuple[str, str, str]], day: date = DAY) -> None:
    frame = local_rows(actual.sparkSession, [(day, *row) for row in expected], SCHEMA)
    assert_df_equality(actual, frame, ignore_nullable=True, ignore_row_order=True)


def test_each_source_fills_its_quota_with_items_that_no_source_before_it_named(spark, features, items, users):
    del spark
    assert_pairs(
        candidates(features, items, users, QUOTAS),
        [
            ("u1", "b1", "own"),  # as many days as a1, bought later; x is not eligible
            ("u1", "a1", "category"),  # the best of A; the best of B is an own item
            ("u1", "a2", "category"),  # the second of A has more buyers than the second of B
            ("u1", "n", "popular"),  # a1, b1 and a2 are there already; more buyers in 91 days than b2
            ("u1", "b2", "popular"),
            ("cold", "a1", "popular"),
            ("cold", "b1", "popular"),
        ],
    )


def test_items_in_the_cart_then_viewed_ones_fill_the_quota_that_bought_ones_leave(spark, features, items, users):
    looked_at = [
        {**_own("u1", item, 0, None), c.USER_ITEM_CART_RECENCY_DAYS: cart, c.USER_ITEM_VIEW_RECENCY_DAYS: view}
        for item, cart, view in (("a2", None, 4), ("a3", None, 3), ("b2", 9, 1), ("n", None, 4), ("x", 1, 1))
    ]
    more = rows_of(spark, tables.USER_ITEM_FEATURES, looked_at)
    viewed = FeatureTables(**{**vars(features), "user_item": features.user_item.unionByName(more)})
    quotas = quotas_of(own_items=5, popular_items=1)
    assert_pairs(
        candidates(viewed, items, users.where("user_id = 'u1'"), quotas),
        [
            ("u1", "a1", "own"),
            ("u1", "b1", "own"),
            ("u1", "b2", "viewed"),  # in the cart, whenever it was viewed
            ("u1", "a3", "viewed"),  # viewed later than a2 and n, of which the smaller id is first; x is not eligible
            ("u1", "a2", "viewed"),
            ("u1", "n", "popular"),
        ],
    )


def test_what_lies_in_a_basket_with_own_items_comes_before_categories_the_highest_sum_of_weights_first(
    spark, features, items, users
):
    together = [
        ("a1", "b1", 0.9),  # an own item already
        ("a1", "x", 0.9),  # not eligible
        ("a1", "a2", 0.3),
        ("b1", "a2", 0.2),  # 0.5 in all, as b2
        ("b1", "b2", 0.5),  # a tie, which the item id breaks
        ("b1", "n", 0.4),
        ("a2", "a4", 0.9),  # beside no own item
    ]
    rows = [
        {c.AS_OF_DATE: day, c.ITEM_ID: item, c.NEIGHBOUR_ID: other, c.ITEM_ITEM_COSINE_91D: cosine}
        for day, rows in ((DAY, together), (NEXT_DAY, [("a1", "a3", 1.0)]))
        for item, other, cosine in rows
    ]
    more = MoreSources(neighbours=rows_of(spark, tables.ITEM_ITEM_FEATURES, rows))
    quotas = quotas_of(own_items=2, neighbour_items=2, category_items=2, popular_items=1)
    assert_pairs(
        candidates(features, items, users.where("user_id = 'u1'"), quotas, more),
        [
            ("u1", "b1", "own"),
            ("u1", "a1", "own"),
            ("u1", "a2", "neighbours"),
            ("u1", "b2", "neighbours"),
            (
                "u1",
                "a3",
                "category",
            ),  # the first, and of six best sellers the only one, that no source before it has named
            ("u1", "n", "popular"),
        ],
    )


def test_what_another_model_ranks_first_comes_behind_own_items(spark, features, items, users):
    ranked = [
        (DAY, "u1", 1, "b1"),
        (DAY, "u1", 2, "n"),
        (DAY, "u1", 3, "a4"),
        (DAY, "u1", 4, "a3"),
        (DAY, "v", 1, "a3"),
    ]
    beside = [{c.AS_OF_DATE: DAY, c.ITEM_ID: "a1", c.NEIGHBOUR_ID: other, c.ITEM_ITEM_COSINE_91D: 0.5} for other in "n"]
    more = MoreSources(
        factors=local_rows(spark, ranked, "as_of_date date, user_id string, rank int, item_id string"),
        neighbours=rows_of(spark, tables.ITEM_ITEM_FEATURES, beside),
    )
    quotas = quotas_of(own_items=1, factor_items=2, neighbour_items=1, popular_items=1)
    assert_pairs(
        candidates(features, items, users, quotas, more),
        [
            ("u1", "b1", "own"),
            ("u1", "n", "factors"),  # beside an own item, too
            ("u1", "a4", "factors"),
            ("u1", "a1", "popular"),
            ("cold", "a1", "popular"),  # whom the other model does not know
        ],
    )


def test_new_items_come_before_popular_ones_the_most_bought_first(spark, features, items, users):
    new = [(DAY, "a1", 9), (DAY, "a4", 2), (DAY, "a3", 2), (DAY, "n", 3), (DAY, "b2", 0), (NEXT_DAY, "a2", 9)]
    more = MoreSources(new=local_rows(spark, new, "as_of_date date, item_id string, buyers bigint"))
    quotas = quotas_of(own_items=2, new_items=2, popular_items=1)
    assert_pairs(
        candidates(features, items, users.where("user_id = 'u1'"), quotas, more),
        [
            ("u1", "b1", "own"),
            ("u1", "a1", "own"),  # new, too
            ("u1", "n", "new"),
            ("u1", "a3", "new"),  # a tie with a4; nobody bought b2
            ("u1", "a2", "popular"),
        ],
    )


def test_a_tie_of_popularity_is_broken_by_the_item_id(features, items, users):
    quotas = quotas_of(category_items=0, popular_items=6)
    found = {row[c.ITEM_ID] for row in candidates(features, items, users, quotas).collect()}
    assert found == {"a1", "b1", "a2", "n", "b2", "a3"}


def test_a_category_may_fill_the_quota_alone(features, items, users):
    quotas = quotas_of(category_items=100)
    assert_pairs(
        candidates(features, items, users, quotas),
        [("u1", item, "category") for item in ("a1", "a2", "a3", "a4", "b1", "b2")],
    )


def test_fewer_items_than_the_quotas_give_all_eligible_items_once(features, items, users):
    quotas = quotas_of(own_items=100, category_items=100, popular_items=100)
    pairs = candidates(features, items, users, quotas)
    assert pairs.count() == 2 * 7
    assert pairs.select(c.USER_ID, c.ITEM_ID).distinct().count() == 2 * 7


def test_every_cut_off_has_its_own_candidates(spark, features, items, users):
    next_items = rows_of(
        spark,
        tables.ITEM_FEATURES,
        [{c.AS_OF_DATE: NEXT_DAY, c.ITEM_ID: "a3", c.ITEM_BUYERS_28D: 1, c.ITEM_BUYERS_91D: 1}],
    )
    both = FeatureTables(**{**vars(features), "item": features.item.unionByName(next_items)})
    pairs = candidates(both, items, users, QUOTAS)
    assert pairs.where(f"as_of_date = DATE'{DAY}'").count() == 7
    assert_pairs(
        pairs.where(f"as_of_date = DATE'{NEXT_DAY}'"),
        [("u1", "a3", "popular"), ("cold", "a3", "popular")],
        day=NEXT_DAY,
    )


def test_candidates_do_not_depend_on_the_partitioning(features, items, users):
    scattered = FeatureTables(**{grain: frame.repartition(7) for grain, frame in vars(features).items()})
    assert_df_equality(
        candidates(features, items, users, QUOTAS),
        candidates(scattered, items.repartition(5), users.repartition(3), QUOTAS),
        ignore_row_order=True,
    )


def test_without_users_there_are_no_candidates(features, items, users):
    assert candidates(features, items, users.where("false"), QUOTAS).isEmpty()
