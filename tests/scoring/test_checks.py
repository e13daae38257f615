import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys.errors import DataQualityError
from recsys.frames.local_rows import local_rows
from recsys.scoring.checks import WithoutList, require_lists, require_publishable

GOOD = [("u1", 1, "a", 0.9), ("u1", 2, "b", 0.1), ("u2", 1, "b", 0.4)]
NOT_A_NUMBER = float("nan")
INFINITE = float("inf")


def check(spark: SparkSession, rows: list[tuple[str, int, str, float]]) -> WithoutList:
    items = local_rows(spark, [("a", True), ("b", True), ("fee", False)], "item_id string, is_eligible boolean")
    users = local_rows(spark, [("u1",), ("u2",)], "user_id string")
    lists: DataFrame = local_rows(spark, rows, "user_id string, rank int, item_id string, score double")
    return require_publishable(lists.withColumn("source", F.lit("own")), items, users, n=2)


def test_good_lists_pass_also_where_one_is_short(spark):
    assert check(spark, GOOD) == WithoutList(num_users=0)


def test_users_without_a_list_are_counted():
    few = WithoutList(num_users=2, user_id="u1")
    require_lists(few, 200, 0.01)
    message = (
        r"no list: 2 users of 199, 'u1' among them, a share of 0.01, expected at most 0.01. Nothing was written. "
        r"Cure: look .* --set publishing.max_users_without_list=…"
    )
    with pytest.raises(DataQualityError, match=message):
        require_lists(few, 199, 0.01)


def test_who_has_no_list_is_told(spark):
    assert check(spark, GOOD[:2]) == WithoutList(num_users=1, user_id="u2")
    assert check(spark, []) == WithoutList(num_users=2, user_id="u1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*GOOD, ("stranger", 1, "a", 0.1)], r"a list though not served: 1 users, 'stranger'"),
        ([*GOOD, ("u1", 3, "c", 0.1)], r"more than 2 items: 1 users, 'u1'"),
        ([GOOD[0], ("u1", 3, "b", 0.1), GOOD[2]], r"ranks with a gap or twice: 1 users, 'u1'"),
        ([("u1", 0, "a", 0.9), ("u1", 2, "b", 0.9), GOOD[2]], r"ranks with a gap or twice: 1 users, 'u1'"),
        ([GOOD[0], ("u1", 1, "b", 0.1), GOOD[2]], r"ranks with a gap or twice: 1 users, 'u1'"),
        ([GOOD[0], ("u1", 2, "a", 0.1), GOOD[2]], r"an item twice: 1 users, 'u1'"),
        ([*GOOD[:2], ("u2", 1, "b", NOT_A_NUMBER)], r"scores that are not finite: 1 users, 'u2'"),
        ([*GOOD[:2], ("u2", 1, "b", INFINITE)], r"scores that are not finite: 1 users, 'u2'"),
        ([*GOOD[:2], ("u2", 1, "b", None)], r"scores that are not finite: 1 users, 'u2'"),
        ([*GOOD[:2], ("u2", 1, "fee", 0.4)], r"items that are not eligible: 1 users, 'u2'"),
        ([*GOOD[:2], ("u2", 1, "unknown", 0.4)], r"items that are not eligible: 1 users, 'u2'"),
        (
            [*GOOD[:2], ("u2", 2, "b", 0.4)],
            r"gap or twice: 1 users, 'u2'.*Nothing was written. Cure: run build_features",
        ),
    ],
)
def test_a_broken_promise_is_named_with_a_user(spark, rows, message):
    with pytest.raises(DataQualityError, match=message):
        check(spark, rows)


ADDED = [("u1", 1, "a", None, "rule"), ("u1", 2, "b", None, "fill"), ("u2", 1, "b", 0.4, "own")]


def check_added(spark: SparkSession, **left_out: DataFrame) -> None:
    items = local_rows(spark, [("a", True), ("b", True)], "item_id string, is_eligible boolean")
    users = local_rows(spark, [("u1",), ("u2",)], "user_id string")
    schema = "user_id string, rank int, item_id string, score double, source string"
    require_publishable(local_rows(spark, ADDED, schema), items, users, n=2, **left_out)


def test_what_rules_added_needs_no_score(spark):
    check_added(spark)


def test_a_blocked_or_excluded_item_is_named_whatever_put_it_there(spark):
    with pytest.raises(DataQualityError, match=r"items that a rule blocks: 1 users, 'u1' among them"):
        check_added(spark, hidden=local_rows(spark, [("a",)], "item_id string"))
    excluded = local_rows(spark, [("u2", "b"), ("u2", "b"), ("u1", "z")], "user_id string, item_id string")
    with pytest.raises(DataQualityError, match=r"bought or saw in the days left out: 1 users, 'u2' among them"):
        check_added(spark, excluded=excluded)
