from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.evaluation.scenes import (
    Trial,
    hide_one,
    popular_besides,
    scene_figures,
    scenes_text,
    trial_rows,
    trial_sums,
    with_case_id,
)
from recsys.frames.local_rows import local_rows

LISTS = "recommender string, case_id string, rank int, item_id string"
TRUTH = "case_id string, user_id string, item_id string"


def rows_of_trial(spark: SparkSession, truth: list[tuple[str, str, str]]) -> list[dict[str, object]]:
    lists = [("own", "1", 1, "a"), ("own", "2", 1, "x"), ("own", "2", 2, "b"), ("other", "1", 2, "a")]
    trial = Trial(
        recommenders=("own", "other"),
        lists=local_rows(spark, lists, LISTS),
        truth=local_rows(spark, truth, TRUTH),
        cases="baskets",
    )
    sums = trial_sums("cart", trial, k=2, replicates=100, seed=7)
    return trial_rows(trial, [row.asDict() for row in sums.collect()], 2)


def test_figures_are_means_over_cases(spark: SparkSession) -> None:
    rows = rows_of_trial(spark, [("1", "u", "a"), ("2", "u", "b"), ("3", "v", "c"), ("4", "v", "d")])
    found = {(row[c.RECOMMENDER], row[c.METRIC]): row for row in rows}
    assert found["own", "hit_rate"][c.VALUE] == 2 / 4
    assert found["own", "mrr"][c.VALUE] == (1 + 1 / 2) / 4
    assert found["other", "hit_rate"][c.VALUE] == 1 / 4
    assert found["own-other", "hit_rate"][c.VALUE] == 1 / 4
    # A replicate draws u's two cases together: the difference lies between 0 and 1/2, or is 1/2 where v is not drawn.
    assert (found["own-other", "hit_rate"][c.LOW], found["own-other", "hit_rate"][c.HIGH]) == (0.0, 0.5)
    assert {(row[c.NUM_CASES], row[c.CASES]) for row in rows} == {(4, "baskets")}


def test_without_a_case_there_is_no_figure(spark: SparkSession) -> None:
    assert rows_of_trial(spark, []) == []
    assert scene_figures("cart", []) == {"cart_cases": 0}


def test_the_report_says_cases_and_values(spark: SparkSession) -> None:
    rows = rows_of_trial(spark, [("1", "u", "a"), ("2", "v", "c")])
    assert scene_figures("cart", rows) == {
        "cart_cases": 2,
        "cart_hit_rate_at_2_own": 0.5,
        "cart_ndcg_at_2_own": 0.5,
        "cart_hit_rate_at_2_other": 0.5,
        "cart_ndcg_at_2_other": 0.315465,  # 1 / log2(3) of one case in two
    }
    lines = scenes_text([{c.SCENE: "cart", **row} for row in rows]).splitlines()
    assert lines[0] == "cart: 2 baskets"
    assert [line.split()[:3] for line in lines[2:]] == [
        ["other", "0.3155", "0.5000"],
        ["own", "0.5000", "0.5000"],
        ["own-other", "+0.1845", "[+0.0000,"],
    ]


def test_one_item_of_each_basket_is_hidden_whatever_the_order(spark: SparkSession) -> None:
    lines = [("1", "u", item) for item in "abc"] + [("2", "u", "a"), ("3", "v", "b"), ("3", "v", "a")]
    baskets = local_rows(spark, lines, TRUTH)
    left, hidden = hide_one(baskets)
    assert_df_equality(left.unionByName(hidden), baskets.where("case_id <> '2'"), ignore_row_order=True)
    assert [row[c.CASE_ID] for row in hidden.orderBy(c.CASE_ID).collect()] == ["1", "3"]
    again = hide_one(local_rows(spark, lines[::-1], TRUTH).repartition(3))
    assert_df_equality(again[1], hidden, ignore_row_order=True)


def test_popular_items_leave_out_what_is_taken(spark: SparkSession) -> None:
    ranks = local_rows(spark, [("a", 1), ("b", 2), ("c", 3), ("d", 4)], "item_id string, popular_rank int")
    taken = local_rows(spark, [("1", "b"), ("1", "gone"), ("2", None)], "case_id string, item_id string")
    found = popular_besides(taken, ranks, 2).orderBy(c.CASE_ID, c.RANK).collect()
    assert [tuple(row) for row in found] == [("1", 1, "a"), ("1", 2, "c"), ("2", 1, "a"), ("2", 2, "b")]


def test_a_case_is_named_by_its_columns_null_among_them(spark: SparkSession) -> None:
    def named(rows: DataFrame) -> list[str]:
        return [row[c.CASE_ID] for row in with_case_id(rows, c.USER_ID, c.BASKET).collect()]

    rows = local_rows(spark, [("u", None), ("u", "null")], "user_id string, basket string")
    assert named(rows) == ['{"user_id":"u","basket":null}', '{"user_id":"u","basket":"null"}']
