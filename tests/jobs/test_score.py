import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from jobs.score import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import DataQualityError
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from tests.small_lake import ITEMS, RUN_DATE, USERS
from tests.trained_lake import COLD, MODEL_NAME, copied, register_model, tracking_uri


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("score") / "lake")


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], [f"tracking.uri={tracking_uri(lake)}", *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def test_two_runs_publish_equal_lists(lake: Lake) -> None:
    first = run_stage(STAGE, run_of(lake)).figures
    lists = lake.read(tables.TOP_N, lake.version(tables.TOP_N))
    again = run_stage(STAGE, run_of(lake)).figures
    assert_df_equality(lake.read(tables.TOP_N), lists, ignore_row_order=True)
    assert {**first, "pairs_per_s": 0} == {**again, "pairs_per_s": 0}


def test_every_user_who_did_not_opt_out_has_a_full_list(lake: Lake) -> None:
    figures = run_stage(STAGE, run_of(lake, "score.top_n=4")).figures
    by_user = lake.read(tables.TOP_N).groupBy(c.USER_ID).agg(F.sort_array(F.collect_list(c.RANK)).alias("ranks"))
    assert {row[c.USER_ID]: row["ranks"] for row in by_user.collect()} == {
        user: [1, 2, 3, 4] for user in (*USERS, COLD)
    }
    assert (figures[c.ROWS], figures["users"], figures["pairs"]) == (4 * 13, 13, 13 * len(ITEMS))


def test_a_list_is_as_long_as_there_are_items(lake: Lake) -> None:
    figures = run_stage(STAGE, run_of(lake, "score.top_n=50")).figures
    assert figures[c.ROWS] == 13 * len(ITEMS)
    assert figures["items"] == len(ITEMS)


def test_a_reason_follows_from_the_source(lake: Lake) -> None:
    run_stage(STAGE, run_of(lake, "score.top_n=50"))
    counted = lake.read(tables.TOP_N).groupBy(c.SOURCE, c.REASON).count().collect()
    # Five own items a user with history; without category features the rest is popular.
    assert {tuple(row) for row in counted} == {("own", "bought_before", 60), ("popular", "popular_now", 148)}


def test_another_scene_leaves_the_lists_of_the_first(lake: Lake) -> None:
    run_stage(STAGE, run_of(lake, "score.top_n=2"))
    run_stage(STAGE, run_of(lake, "score.top_n=3", "score.scene=basket"))
    counted = lake.read(tables.TOP_N).groupBy(c.SCENE).count().collect()
    assert {tuple(row) for row in counted} == {("home", 2 * 13), ("basket", 3 * 13)}


def test_candidate_recall_is_measured_where_no_evaluation_had_these_quotas(lake: Lake) -> None:
    assert run_stage(STAGE, run_of(lake)).figures["candidate_recall"] == 1.0
    # Of the three most popular items, half of the users buy one of their two: i02.
    quotas = ("candidates.own_items=0", "candidates.category_items=0", "candidates.popular_items=3", "score.top_n=2")
    assert run_stage(STAGE, run_of(lake, *quotas)).figures["candidate_recall"] == 0.25


def test_the_newest_model_is_the_one_that_scores(lake: Lake) -> None:
    run_stage(STAGE, run_of(lake))
    before = lake.read(tables.TOP_N, lake.version(tables.TOP_N)).where("scene = 'home'").localCheckpoint()
    version = register_model(lake, seed=2)
    run_stage(STAGE, run_of(lake))
    after = lake.read(tables.TOP_N).where("scene = 'home'")
    assert [tuple(row) for row in after.select(c.MODEL_NAME, copied, c.MODEL_VERSION).distinct().collect()] == [
        (MODEL_NAME, copied, version)
    ]
    assert before.select(c.SCORE).exceptAll(after.select(c.SCORE)).count() > 0


def test_lists_that_break_a_promise_are_not_published(lake: Lake) -> None:
    run_stage(STAGE, run_of(lake))
    published, items = lake.version(tables.TOP_N), lake.version(tables.ITEMS)
    assert items is not None
    lake.overwrite(tables.ITEMS, lake.read(tables.ITEMS).withColumn(c.IS_ELIGIBLE, F.lit(False)).localCheckpoint())
    with pytest.raises(DataQualityError, match=r"no list: 13 users"):
        run_stage(STAGE, run_of(lake))
    assert lake.version(tables.TOP_N) == published
    lake.restore(tables.ITEMS, items)
