import pytest
from chispa import assert_approx_df_equality, assert_df_equality

from recsys import columns as c
from recsys.evaluation.ranking import candidate_recall, share_found, sums_by_replicate, user_hits, value_name
from recsys.frames.local_rows import local_rows

ALL = "repeats_allowed"
NEW = "new_items_only"
NAMES = ("model", "popular")


@pytest.fixture(scope="module")
def truth(spark):
    return local_rows(
        spark,
        [
            (ALL, "u1", "a"),
            (ALL, "u1", "b"),
            (NEW, "u1", "b"),
            (ALL, "u2", "a"),  # nobody recommends it to u2
        ],
        "list_kind string, user_id string, item_id string",
    )


@pytest.fixture(scope="module")
def lists(spark):
    return local_rows(
        spark,
        [
            (ALL, "model", "u1", 1, "a"),
            (ALL, "model", "u1", 2, "x"),
            (ALL, "model", "u1", 3, "b"),
            (ALL, "popular", "u1", 1, "x"),
            (ALL, "popular", "u1", 2, "b"),
            (NEW, "model", "u1", 1, "b"),
            (ALL, "model", "u2", 1, "b"),  # u1's truth, not u2's
            (NEW, "model", "u2", 1, "y"),  # u2 bought no new item: no user of this kind
        ],
        "list_kind string, recommender string, user_id string, rank int, item_id string",
    )


def sums_of(lists, truth, replicates=0):
    hits = user_hits(lists, truth, NAMES, seed=7)
    return sums_by_replicate(hits, NAMES, k=3, replicates=replicates)


def test_sums_over_users_are_those_made_by_hand(lists, truth):
    rows = {row[c.LIST_KIND]: row for row in sums_of(lists, truth).collect()}
    assert set(rows) == {ALL, NEW}
    assert rows[ALL][c.NUM_USERS] == 2
    assert rows[ALL][value_name("model", "recall")] == pytest.approx(2 / 2 + 0)
    assert rows[ALL][value_name("model", "precision")] == pytest.approx(2 / 3 + 0)
    assert rows[ALL][value_name("model", "map")] == pytest.approx((1 + 2 / 3) / 2)
    assert rows[ALL][value_name("popular", "mrr")] == pytest.approx(1 / 2)
    assert rows[NEW][c.NUM_USERS] == 1
    assert rows[NEW][value_name("model", "ndcg")] == pytest.approx(1)
    assert rows[NEW][value_name("popular", "ndcg")] == 0


def test_sums_do_not_depend_on_the_partitioning(lists, truth):
    hits = user_hits(lists, truth, NAMES, seed=7)
    assert_approx_df_equality(
        sums_by_replicate(hits.repartition(3), NAMES, k=3, replicates=20),
        sums_by_replicate(hits.coalesce(1), NAMES, k=3, replicates=20),
        ignore_row_order=True,
        precision=1e-9,
        ignore_nullable=True,
    )


def test_without_a_truth_there_are_no_sums(lists, truth):
    assert sums_of(lists, truth.where("false")).isEmpty()


def test_the_share_that_was_found_counts_each_wanted_pair_once(spark):
    pairs = "user_id string, item_id string"
    wanted = spark.createDataFrame([("u", "a"), ("u", "b"), ("v", "a")], pairs)
    found = spark.createDataFrame([("u", "a"), ("v", "b"), ("w", "a"), ("u", "c")], pairs)
    assert share_found(wanted, found) == 0.333333
    assert share_found(wanted.limit(0), found) is None


def test_candidate_recall_is_the_mean_share_of_a_users_truth(spark, truth):
    candidates = local_rows(spark, [("u1", "a"), ("u2", "b")], "user_id string, item_id string")
    expected = local_rows(
        spark,
        [
            (ALL, (1 / 2 + 0) / 2),  # one of two of u1; none of u2, whose candidates miss all
            (NEW, 0.0),
        ],
        "list_kind string, value double",
    )
    actual = candidate_recall(candidates, truth)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
