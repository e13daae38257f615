import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.score import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import DataQualityError
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, run_stage
from tests.small_lake import ITEMS, RUN_DATE, USERS
from tests.trained_lake import COLD, MODEL_NAME, copied, register_model, tracking_uri


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("score") / "lake")


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], [f"tracking.uri={tracking_uri(lake)}", *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


@pytest.fixture(scope="module")
def first(lake: Lake) -> Figures:
    return run_stage(STAGE, run_of(lake, "score.top_n=4")).figures


def of_home(lake: Lake) -> DataFrame:
    return lake.read(tables.TOP_N).where(F.col(c.SCENE) == "home")


def test_every_user_who_did_not_opt_out_has_a_full_list(lake: Lake, first: Figures) -> None:
    by_user = of_home(lake).groupBy(c.USER_ID).agg(F.sort_array(F.collect_list(c.RANK)).alias("ranks"))
    assert {row[c.USER_ID]: row["ranks"] for row in by_user.collect()} == {
        user: [1, 2, 3, 4] for user in (*USERS, COLD)
    }
    assert (first[c.ROWS], first["users"], first["pairs"]) == (4 * 13, 13, 13 * len(ITEMS))


def test_a_second_run_publishes_equal_lists_whatever_the_number_of_partitions(lake: Lake, first: Figures) -> None:
    lists = of_home(lake).localCheckpoint()
    lake.spark.conf.set("spark.sql.shuffle.partitions", "7")
    again = run_stage(STAGE, run_of(lake, "score.top_n=4")).figures
    lake.spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert_df_equality(of_home(lake), lists, ignore_row_order=True)
    assert {**first, "pairs_per_s": 0} == {**again, "pairs_per_s": 0}


@pytest.mark.long
def test_another_scene_leaves_the_lists_of_the_first(lake: Lake, first: Figures) -> None:
    assert first["candidate_recall"] == 1.0
    # Of the three most popular items, half of the users buy one of their two: i02. No evaluation had these quotas.
    quotas = ("candidates.own_items=0", "candidates.category_items=0", "candidates.popular_items=3", "score.top_n=2")
    basket = run_stage(STAGE, run_of(lake, "score.scene=basket", *quotas)).figures
    assert (basket[c.ROWS], basket["candidate_recall"]) == (13 * 2, 0.25)
    assert of_home(lake).count() == first[c.ROWS]


@pytest.mark.long
@pytest.mark.usefixtures("first")
def test_the_newest_model_scores_as_many_items_as_there_are(lake: Lake) -> None:
    before = of_home(lake).localCheckpoint()
    version = register_model(lake, seed=2)
    figures = run_stage(STAGE, run_of(lake, "score.top_n=50")).figures
    assert (figures[c.ROWS], figures["items"]) == (13 * len(ITEMS), len(ITEMS))
    lists = of_home(lake).localCheckpoint()
    models = lists.select(c.MODEL_NAME, c.MODEL_VERSION).distinct().collect()
    assert [tuple(row) for row in models] == [(MODEL_NAME, version)]
    assert before.select(c.SCORE).exceptAll(lists.select(c.SCORE)).count() > 0
    counted = lists.groupBy(c.SOURCE, c.REASON).count().collect()
    # Five own items a user with history; without category features the rest is popular.
    assert {tuple(row) for row in counted} == {("own", "bought_before", 60), ("popular", "popular_now", 148)}


@pytest.mark.usefixtures("first")
def test_lists_that_break_a_promise_are_not_published(lake: Lake) -> None:
    published, items = lake.version(tables.TOP_N), lake.version(tables.ITEMS)
    assert items is not None
    lake.overwrite(tables.ITEMS, lake.read(tables.ITEMS).withColumn(c.IS_ELIGIBLE, F.lit(False)).localCheckpoint())
    with pytest.raises(DataQualityError, match=r"no list: 13 users"):
        run_stage(STAGE, run_of(lake))
    assert lake.version(tables.TOP_N) == published
    lake.restore(tables.ITEMS, items)
