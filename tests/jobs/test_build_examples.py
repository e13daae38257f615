from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.build_examples import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.lake.example_files import newest_example_files
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from tests.small_lake import DAYS, RUN_DATE, write_small_lake


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return write_small_lake(spark, str(tmp_path_factory.mktemp("small") / "lake"))


def run_of(lake: Lake, *overrides: str) -> Run:
    settings = ["examples.negatives_per_positive=3", "examples.row_groups=4", *overrides]
    return Run(
        spark=lake.spark,
        lake=lake,
        config=load_config([], settings),
        conf_folder=CONF_FOLDER,
        run_date=RUN_DATE,
    )


def test_two_runs_write_equal_examples_and_equal_files(lake: Lake) -> None:
    first = run_stage(STAGE, run_of(lake)).figures
    examples = lake.read(tables.EXAMPLES, lake.version(tables.EXAMPLES))
    files = newest_example_files(lake, RUN_DATE)
    again = run_stage(STAGE, run_of(lake)).figures
    assert_df_equality(lake.read(tables.EXAMPLES), examples, ignore_row_order=True)
    renewed = newest_example_files(lake, RUN_DATE)
    assert renewed.manifest.train == files.manifest.train
    assert renewed.manifest.inputs == files.manifest.inputs
    same = (c.ROWS, "train_rows", "train_positives", "validation_rows", "validation_positives", "cutoffs")
    assert {name: first[name] for name in same} == {name: again[name] for name in same}


def test_labels_and_splits_follow_the_cut_offs(lake: Lake) -> None:
    figures = run_stage(STAGE, run_of(lake)).figures
    counted = lake.read(tables.EXAMPLES).groupBy(c.SPLIT, c.AS_OF_DATE).agg(F.sum(c.LABEL).alias(c.LABEL)).collect()
    # Of their eight liked items, twelve users buy two in each window.
    assert {(row[c.SPLIT], row[c.AS_OF_DATE]): row[c.LABEL] for row in counted} == {
        (c.TRAIN, DAYS.train[0]): 24,
        (c.TRAIN, DAYS.train[1]): 24,
        (c.VALIDATION, DAYS.validation): 24,
    }
    assert figures["train_positives"] == 48
    assert figures["train_rows"] == 48 * (1 + 3)
    assert figures["cutoffs"] == "2017-10-23, 2017-11-06, 2017-11-20"


def test_without_features_of_a_cut_off_nothing_is_written(lake: Lake, spark: SparkSession, tmp_path: Path) -> None:
    empty = Lake(spark, str(tmp_path / "lake"))
    for table in STAGE.reads:
        empty.overwrite(table, lake.read(table).where("false"))
    with pytest.raises(InputError, match=r"features.user has no rows as of \['2017-10-23'.*run build_features"):
        run_stage(STAGE, run_of(empty))
    assert not empty.exists(tables.EXAMPLES)
