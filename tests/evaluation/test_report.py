from recsys import columns as c
from recsys.evaluation.ranking import REPLICATE, value_name
from recsys.evaluation.report import figures_of, metric_rows, table_text
from recsys.metrics import METRICS

ALL = "repeats_allowed"
NAMES = ("model", "popular")


def sums(replicate: int, num_users: float, model: float, popular: float) -> dict[str, object]:
    """The same sums for every metric."""
    values = {
        value_name(name, metric): value
        for name, value in zip(NAMES, (model, popular), strict=True)
        for metric in METRICS
    }
    return {c.LIST_KIND: ALL, REPLICATE: replicate, c.NUM_USERS: num_users, **values}


SUMS = [
    sums(2, 4.0, 2.0, 1.0),  # rows come in any order; differences of means: 0.25
    sums(0, 4.0, 1.0, 0.5),  # the users as they are: 0.125
    sums(1, 2.0, 1.5, 0.5),  # 0.5
    sums(3, 0.0, 0.0, 0.0),  # a replicate that counts nobody
]
OF_LISTS = [
    {c.LIST_KIND: ALL, c.RECOMMENDER: "model", c.METRIC: "coverage", c.VALUE: 0.6},
    {c.LIST_KIND: ALL, c.RECOMMENDER: "model", c.METRIC: "gini", c.VALUE: 0.25},
    {c.LIST_KIND: ALL, c.RECOMMENDER: "model", c.METRIC: "intra_list_diversity", c.VALUE: None},
]
CANDIDATE_RECALLS = [{c.LIST_KIND: ALL, c.VALUE: 0.44}, {c.LIST_KIND: "new_items_only", c.VALUE: 0.1}]
ROWS = metric_rows(SUMS, OF_LISTS, CANDIDATE_RECALLS, ("popular",), 10)


def row_of(recommender: str, metric: str) -> dict[str, object]:
    (found,) = (row for row in ROWS if (row[c.RECOMMENDER], row[c.METRIC]) == (recommender, metric))
    return found


def test_means_divide_sums_by_users():
    assert row_of("model", "ndcg") == {
        c.LIST_KIND: ALL,
        c.RECOMMENDER: "model",
        c.METRIC: "ndcg",
        c.K: 10,
        c.VALUE: 0.25,
        c.LOW: None,
        c.HIGH: None,
        c.NUM_USERS: 4,
    }
    assert row_of("popular", "ndcg")[c.VALUE] == 0.125


def test_a_difference_has_the_interval_of_the_replicates_that_have_users():
    row = row_of("model-popular", "ndcg")
    assert row[c.VALUE] == 0.125
    assert (row[c.LOW], row[c.HIGH]) == (0.25 + 0.025 * 0.25, 0.5 - 0.025 * 0.25)


def test_coverage_has_a_k_and_candidate_recall_has_none():
    assert (row_of("model", "coverage")[c.VALUE], row_of("model", "coverage")[c.K]) == (0.6, 10)
    assert (row_of("model", "candidate_recall")[c.VALUE], row_of("model", "candidate_recall")[c.K]) == (0.44, None)


def test_a_list_kind_without_users_has_no_rows():
    assert {row[c.LIST_KIND] for row in ROWS} == {ALL}
    assert len(ROWS) == 3 * len(METRICS) + 3, "no row for a metric that says nothing"


def test_figures_name_metric_k_and_recommender():
    assert figures_of(ROWS) == {
        c.NUM_USERS: 4,
        "candidate_recall": 0.44,
        "ndcg_at_10_model": 0.25,
        "ndcg_at_10_popular": 0.125,
        "ndcg_at_10_model_minus_popular": 0.125,
        "ndcg_at_10_model_minus_popular_low": 0.25625,
        "ndcg_at_10_model_minus_popular_high": 0.49375,
    }


def test_the_table_is_aligned():
    lines = table_text(ROWS).splitlines()
    assert (
        lines[0]
        == "repeats_allowed: 4 users with a purchase in the window; the candidate set holds 44.0% of what they bought"
    )
    assert lines[1] == "                               model   popular                 model-popular"
    assert lines[4] == "  ndcg@10                     0.2500    0.1250    +0.1250 [+0.2562, +0.4938]"
    assert lines[-3] == "  coverage@10                 0.6000"
    assert lines[-1] == "  gini@10                     0.2500"
