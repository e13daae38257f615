from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.build_examples import STAGE
from recsys import columns as c
from recsys import tables
from recsys.catalog import MODEL_INPUTS, NUMERIC_INPUTS
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError
from recsys.examples.sampled_negatives import DRAWN, SHOWN
from recsys.lake.example_files import newest_example_files
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, run_stage
from tests.feature_rows import rows_of, write_rows
from tests.small_lake import DAYS, ITEMS, RUN_DATE, write_small_lake
from tests.trained_lake import copied


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return write_small_lake(spark, str(tmp_path_factory.mktemp("small") / "lake"))


def run_of(lake: Lake, *overrides: str) -> Run:
    sizes = ["examples.negatives_per_positive=3", "examples.row_groups=4", "examples.ranked_users=500"]
    settings = ["examples.gap_days=0", *sizes, *overrides]
    return Run(
        spark=lake.spark,
        lake=lake,
        config=load_config([], settings),
        conf_folder=CONF_FOLDER,
        run_date=RUN_DATE,
    )


@pytest.fixture(scope="module")
def first(lake: Lake) -> Figures:
    return run_stage(STAGE, run_of(lake)).figures


def test_two_runs_write_equal_examples_and_equal_files(lake: Lake, first: Figures) -> None:
    examples = lake.read(tables.EXAMPLES, lake.version(tables.EXAMPLES))
    files = newest_example_files(lake, RUN_DATE)
    again = run_stage(STAGE, run_of(lake)).figures
    assert_df_equality(lake.read(tables.EXAMPLES), examples, ignore_row_order=True)
    renewed = newest_example_files(lake, RUN_DATE)
    assert renewed.manifest.train == files.manifest.train
    assert renewed.manifest.inputs == files.manifest.inputs
    same = (c.ROWS, "train_rows", "train_positives", "validation_rows", "validation_positives", "cutoffs")
    assert {name: first[name] for name in same} == {name: again[name] for name in same}


def test_labels_and_splits_follow_the_cut_offs(lake: Lake, first: Figures) -> None:
    counted = lake.read(tables.EXAMPLES).groupBy(c.SPLIT, c.AS_OF_DATE).agg(F.sum(c.LABEL).alias(c.LABEL)).collect()
    # Of their eight liked items, twelve users buy two in each window.
    assert {(row[c.SPLIT], row[c.AS_OF_DATE]): row[c.LABEL] for row in counted} == {
        (c.TRAIN, DAYS.train[0]): 24,
        (c.TRAIN, DAYS.train[1]): 24,
        (c.VALIDATION, DAYS.validation): 24,
    }
    assert first["train_positives"] == 48
    assert first["train_rows"] == 48 * (1 + 3)
    assert first["cutoffs"] == "2017-10-23, 2017-11-06, 2017-11-20"


def test_all_candidates_of_the_validation_windows_buyers_are_there_to_be_ranked(lake: Lake, first: Figures) -> None:
    files = newest_example_files(lake, RUN_DATE)
    assert (files.manifest.ranking.users, first["ranked_users"]) == (12, 12)
    rows = lake.spark.read.parquet(f"{files.folder}/ranking")
    of_user = rows.groupBy(c.USER_IDX).agg(F.count("*"), F.sum(c.LABEL), F.min(c.NUM_RELEVANT), F.max(c.NUM_RELEVANT))
    # All sixteen items are candidates of each user, who bought two of them.
    assert {tuple(row)[1:] for row in of_user.collect()} == {(16, 2.0, 2, 2)}
    assert files.manifest.ranking.rows == first["ranking_rows"] == 12 * 16
    bought = rows.where(F.col(c.LABEL) > 0).select(c.USER_IDX, c.ITEM_IDX)
    examples = lake.read(tables.EXAMPLES).where((F.col(c.SPLIT) == c.VALIDATION) & (F.col(c.LABEL) > 0))
    assert_df_equality(bought, examples.select(c.USER_IDX, c.ITEM_IDX), ignore_row_order=True, ignore_nullable=True)


@pytest.mark.usefixtures("first")
def test_a_log_of_purchases_alone_leaves_out_what_needs_views_or_carts(lake: Lake) -> None:
    inputs = newest_example_files(lake, RUN_DATE).manifest.inputs
    assert inputs.left_out == tuple(feature.name for feature in NUMERIC_INPUTS if feature.needs)
    assert (len(inputs.left_out), len(inputs.numeric)) == (14, 33)


def test_leakage_and_splits_are_reported_for_the_run_date(lake: Lake, first: Figures) -> None:
    leakage = lake.read(tables.LEAKAGE).collect()
    assert {row[c.FEATURE] for row in leakage} == {i.name for i in MODEL_INPUTS}
    suspects = {row[c.FEATURE] for row in leakage if row[c.REASONS]}
    assert first["suspicious_inputs"] == (", ".join(i.name for i in MODEL_INPUTS if i.name in suspects) or "none")
    splits = {row[c.SPLIT]: row for row in lake.read(tables.SPLITS).collect()}
    # Two train windows, one validation and one test window of 24 purchases.
    assert {split: (row[c.SCHEME], row[c.FOLD], row[c.ROWS]) for split, row in splits.items()} == {
        c.TRAIN: ("global_time", 0, 48),
        c.VALIDATION: ("global_time", 0, 24),
        c.TEST: ("global_time", 0, 24),
    }
    assert splits[c.TEST][c.FIRST_DATE] >= DAYS.test
    assert splits[c.TEST][c.NUM_COLD_USERS] == 0
    assert not lake.exists(tables.NEGATIVES)
    assert not lake.exists(tables.PARTED_EVENTS)


@pytest.mark.long
def test_what_the_configuration_asks_for_besides_is_written_and_used(lake: Lake, tmp_path: Path) -> None:
    other = copied(lake, tmp_path / "lake")
    promotions = [
        {c.STORE_ID: "s1", c.ITEM_ID: item, c.STARTS_ON: DAYS.train[0], c.ENDS_BEFORE: RUN_DATE, c.IS_MAILED: True,
         c.IS_DISPLAYED: False}
        for item in ITEMS
    ]  # fmt: skip
    other.overwrite(tables.PROMOTIONS, rows_of(other.spark, tables.PROMOTIONS, promotions))
    users = other.read(tables.USER_FEATURES).withColumn(c.USER_MAIN_STORE_ID, F.lit("s1"))
    other.overwrite(tables.USER_FEATURES, users)
    asked = ("examples.negatives=uniform", "examples.shown_per_positive=1", "examples.negatives_per_positive=2")
    schemes = "examples.schemes=[global_time, rolling_time, leave_one_out, user_ratio, held_apart]"
    figures = run_stage(STAGE, run_of(other, *asked, schemes, "examples.folds=2")).figures
    # Of two positives a window: two shown and four drawn among the ten to twelve items that are no positives.
    negatives = other.read(tables.NEGATIVES)
    kinds = {row[c.NEGATIVE_KIND]: row["count"] for row in negatives.groupBy(c.NEGATIVE_KIND).count().collect()}
    positives = 72
    assert kinds[SHOWN] == positives
    assert positives < kinds[DRAWN] <= 2 * positives
    assert figures[c.ROWS] == positives + kinds[SHOWN] + kinds[DRAWN]
    examples = other.read(tables.EXAMPLES)
    of_negatives = examples.join(negatives, on=[c.AS_OF_DATE, c.USER_ID, c.ITEM_ID], how="left_semi")
    assert of_negatives.agg(F.count("*"), F.sum(c.LABEL)).first() == (kinds[SHOWN] + kinds[DRAWN], 0.0)
    of_files = other.spark.read.parquet(f"{newest_example_files(other, RUN_DATE).folder}/*/*.parquet")
    known = {
        name: rows.where(F.col(c.LOG_PROBABILITY) < 0) for name, rows in (("table", examples), ("files", of_files))
    }
    assert {name: rows.count() for name, rows in known.items()} == {"table": kinds[DRAWN], "files": kinds[DRAWN]}
    found = {(row[c.SCHEME], row[c.FOLD]) for row in other.read(tables.SPLITS).collect()}
    assert found == {("global_time", 0), ("rolling_time", 0), ("rolling_time", 1), ("leave_one_out", 0),
                     ("user_ratio", 0), ("held_apart", 0)}  # fmt: skip
    parted = other.read(tables.PARTED_EVENTS).groupBy(c.SCHEME).count().collect()
    assert {row[c.SCHEME]: row["count"] for row in parted} == dict.fromkeys(
        ("leave_one_out", "user_ratio", "held_apart"), 96
    )


def test_more_workers_than_row_groups_are_refused_before_anything_is_done(lake: Lake) -> None:
    with pytest.raises(
        ConfigError, match=r"train.workers is 5, but examples.row_groups is 4, .* --set examples.row_groups=5 or more"
    ):
        STAGE.check(run_of(lake, "train.workers=5"))
    STAGE.check(run_of(lake, "train.workers=4"))


def test_without_features_of_a_cut_off_nothing_is_written(lake: Lake, spark: SparkSession, tmp_path: Path) -> None:
    empty = Lake(spark, str(tmp_path / "lake"))
    for table in STAGE.reads_of(run_of(lake)):
        write_rows(empty, table, [])
    with pytest.raises(InputError, match=r"features.user has no rows as of \['2017-10-23'.*run build_features"):
        run_stage(STAGE, run_of(empty))
    assert not empty.exists(tables.EXAMPLES)
