from dataclasses import replace
from datetime import timedelta

import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from jobs.evaluate import STAGE, report
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.evaluation.list_quality import LIST_METRICS
from recsys.evaluation.lists import COLD_ITEMS, COLD_USERS, NEW_ITEMS_ONLY, REPEATS_ALLOWED
from recsys.lake.store import Lake
from recsys.metrics import METRICS
from recsys.stages import Outcome, Run, run_stage
from tests.small_lake import RUN_DATE
from tests.trained_lake import MODEL_NAME, copied, tracking_uri


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("evaluate") / "lake")


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], ["evaluation.bootstrap_samples=100", f"tracking.uri={tracking_uri(lake)}", *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def values_of(lake: Lake, list_kind: str, recommender: str) -> dict[str, float]:
    rows = lake.read(tables.METRICS).where((F.col(c.LIST_KIND) == list_kind) & (F.col(c.RECOMMENDER) == recommender))
    return {row[c.METRIC]: row[c.VALUE] for row in rows.collect()}


@pytest.fixture(scope="module")
def first(lake: Lake) -> Outcome:
    return run_stage(STAGE, run_of(lake))


def test_two_runs_write_equal_figures(lake: Lake, first: Outcome) -> None:
    rows = lake.read(tables.METRICS, lake.version(tables.METRICS))
    again = run_stage(STAGE, run_of(lake)).figures
    assert first.figures == again
    assert_df_equality(lake.read(tables.METRICS), rows, ignore_row_order=True)
    # Of each kind of list, and of the items that were first sold in the window, three recommenders and two differences;
    # what the lists of three are like; candidate recall.
    assert again[c.ROWS] == rows.count() == 3 * (5 * len(METRICS) + 3 * len(LIST_METRICS) + 1)


@pytest.mark.usefixtures("first")
def test_baselines_have_the_values_worked_out_by_hand(lake: Lake) -> None:
    """Each user buys one own item (i02 or i03) and one new item (i10 or i11); i00 is the most popular, i01 next."""
    popular = values_of(lake, REPEATS_ALLOWED, "popular")
    assert popular["recall"] == pytest.approx(1 / 2)
    assert popular["mrr"] == pytest.approx((1 / 3 + 1 / 4) / 2, abs=1e-6)
    assert popular["coverage"] == pytest.approx(10 / 16)
    personal = values_of(lake, REPEATS_ALLOWED, "personal")
    assert personal["mrr"] == pytest.approx(1 / 2)
    # Without their own five items, the even users meet i10 at position 6, the odd ones i11 at 7.
    of_new = values_of(lake, NEW_ITEMS_ONLY, "popular")
    assert of_new["mrr"] == pytest.approx((1 / 6 + 1 / 7) / 2, abs=1e-6)
    assert values_of(lake, NEW_ITEMS_ONLY, "personal") == of_new
    assert values_of(lake, REPEATS_ALLOWED, "model")["candidate_recall"] == 1.0
    assert values_of(lake, COLD_ITEMS, "popular") == popular, "no log had a purchase of these four items before"
    assert values_of(lake, COLD_USERS, "popular") == {}, "all had bought something"


@pytest.mark.usefixtures("first")
def test_rows_say_which_model_they_are_about(lake: Lake) -> None:
    named = lake.read(tables.METRICS).groupBy(c.RECOMMENDER).agg(
        F.max(c.MODEL_NAME).alias("name"), F.max(c.MODEL_VERSION).alias("version"), F.max(c.NUM_USERS).alias("users")
    )  # fmt: skip
    model, baseline = (MODEL_NAME, 1, 12), (None, None, 12)
    assert {row[c.RECOMMENDER]: tuple(row)[1:] for row in named.collect()} == {
        "model": model,
        "model-popular": model,
        "model-personal": model,
        "popular": baseline,
        "personal": baseline,
    }


def test_the_model_beats_or_loses_by_the_difference_of_the_values(first: Outcome) -> None:
    figures = first.figures
    difference = figures["ndcg_at_10_model"] - figures["ndcg_at_10_popular"]
    assert figures["ndcg_at_10_model_minus_popular"] == pytest.approx(difference, abs=2e-6)
    assert figures["ndcg_at_10_model_minus_popular_low"] <= figures["ndcg_at_10_model_minus_popular_high"]


def test_the_report_shows_both_kinds_of_list(lake: Lake, first: Outcome) -> None:
    text = report(run_of(lake), [first])
    assert (
        "repeats_allowed: 12 users with a purchase in the window; the candidate set holds 100.0% of what they bought"
        in text
    )
    assert "new_items_only: 12 users" in text
    assert "cold_items: 12 users" in text


def test_without_a_training_the_cure_is_named(lake: Lake) -> None:
    too_early = replace(run_of(lake), run_date=RUN_DATE - timedelta(days=1))
    with pytest.raises(InputError, match=r"no training is recorded .* for 2017-12-17 or a day before. Cure: run the"):
        run_stage(STAGE, too_early)


def test_a_window_without_purchases_is_refused(lake: Lake) -> None:
    version = lake.version(tables.USERS)
    assert version is not None
    lake.overwrite(tables.USERS, lake.read(tables.USERS).withColumn(c.IS_OPTED_OUT, F.lit(True)).localCheckpoint())
    with pytest.raises(InputError, match=r"nothing eligible was bought .* before 2017-12-18; choose another"):
        run_stage(STAGE, run_of(lake))
    lake.restore(tables.USERS, version)


@pytest.mark.long
def test_lists_that_are_published_diverse_are_measured_beside_those_of_the_model(lake: Lake) -> None:
    """Even items are dairy, odd ones bakery, and a user likes one of the two. The last test: it leaves others."""
    figures = run_stage(
        STAGE, run_of(lake, "score.diversity=mmr", "score.diversity_weight=0.99", "evaluation.k=4")
    ).figures
    model, diverse = (values_of(lake, REPEATS_ALLOWED, name) for name in ("model", "diverse"))
    assert diverse["intra_list_diversity"] == pytest.approx(3 / 6, abs=1e-6), "once both are there, none is unlike"
    assert model["intra_list_diversity"] == 0.0
    difference = figures["ndcg_at_4_model_minus_diverse"]
    assert difference == pytest.approx(model["ndcg"] - diverse["ndcg"], abs=1e-5)
