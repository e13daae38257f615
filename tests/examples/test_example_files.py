import math
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.catalog import MODEL_INPUTS, numeric_inputs
from recsys.errors import InputError
from recsys.lake.example_files import ExampleFiles, RankingRows, newest_example_files, write_example_files
from recsys.lake.store import Lake
from tests.feature_rows import rows_of, write_rows

RUN_DATE = date(2017, 12, 18)
INPUTS = {i.name: 0 if i.input_type == "int" else 0.0 for i in MODEL_INPUTS}


def example(key: int, split: str = c.TRAIN, **values: Any) -> dict[str, Any]:
    return {
        c.RUN_DATE: RUN_DATE,
        c.SPLIT: split,
        c.AS_OF_DATE: date(2017, 11, 6),
        c.USER_ID: "u",
        c.ITEM_ID: str(key),
        c.LABEL: float(key % 2),
        c.EXAMPLE_KEY: key,
        **INPUTS,
        **values,
    }


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Shared: each test writes its own version of the examples."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("files") / "lake"))
    write_rows(lake, tables.USER_IDS, [{c.USER_ID: "u", c.USER_IDX: 4}])
    write_rows(lake, tables.ITEM_IDS, [{c.ITEM_ID: "i", c.ITEM_IDX: 0}])
    write_rows(lake, tables.CATEGORY_IDS, [])
    return lake


def written(lake: Lake, examples: DataFrame, row_groups: int = 3) -> ExampleFiles:
    version = lake.overwrite(tables.EXAMPLES, examples)
    return write_example_files(lake, RUN_DATE, version, row_groups=row_groups, versions={"clean.events": 5})


def contents(files: ExampleFiles, split: str) -> dict[str, list[int]]:
    """example_key by file, in the file's order."""
    groups = getattr(files.manifest, split).row_groups
    return {g.file: pq.read_table(f"{files.folder}/{g.file}")[c.EXAMPLE_KEY].to_pylist() for g in groups}


def test_rows_lie_in_their_bucket_in_the_order_of_their_key(spark: SparkSession, lake: Lake) -> None:
    # -4 mod 3 is 2; bucket 1 is empty.
    rows = [example(key) for key in (9, 2, 3, -4, 0, 5)] + [example(7, c.VALIDATION)]
    files = written(lake, rows_of(spark, tables.EXAMPLES, rows))
    assert contents(files, c.TRAIN) == {"train/00000.parquet": [0, 3, 9], "train/00002.parquet": [-4, 2, 5]}
    assert contents(files, c.VALIDATION) == {"validation/00001.parquet": [7]}
    assert [g.rows for g in files.manifest.train.row_groups] == [3, 3]
    assert (files.manifest.train.positives, files.manifest.validation.positives) == (3, 1)
    parquet = pq.ParquetFile(f"{files.folder}/train/00000.parquet")
    assert parquet.num_row_groups == 1
    assert set(parquet.schema_arrow.names) == {c.EXAMPLE_KEY, c.LABEL, c.LOG_PROBABILITY, *INPUTS}


def test_what_is_to_be_ranked_lies_by_user_in_the_order_of_item_ids(spark: SparkSession, lake: Lake) -> None:
    version = lake.overwrite(tables.EXAMPLES, rows_of(spark, tables.EXAMPLES, [example(1), example(4, c.VALIDATION)]))
    # The key of a user is that of all rows; indexes of items stand in another order than their ids.
    rows = [
        example(key, c.RANKING, **{c.USER_ID: user, c.ITEM_ID: item, c.USER_IDX: key, c.ITEM_IDX: idx})
        for key, user, item, idx in (
            (3, "v", "b", 0),
            (0, "u", "d", 1),
            (3, "v", "a", 2),
            (0, "u", "c", 3),
            (7, "w", "a", 2),
        )
    ]
    pairs = rows_of(spark, tables.EXAMPLES, rows).drop(c.RUN_DATE, c.LOG_PROBABILITY)
    ranking = RankingRows(rows=pairs.withColumn(c.NUM_RELEVANT, F.col(c.USER_IDX) + 1), users=9)
    files = write_example_files(lake, RUN_DATE, version, row_groups=3, versions={}, ranking=ranking)
    found = files.manifest.ranking
    assert (found.users, found.rows) == (9, 5)
    assert [(group.file, group.rows) for group in found.row_groups] == [
        ("ranking/00000.parquet", 4), ("ranking/00001.parquet", 1),
    ]  # fmt: skip
    table = pq.read_table(f"{files.folder}/ranking/00000.parquet")
    assert table[c.ITEM_IDX].to_pylist() == [3, 1, 2, 0]
    assert table[c.NUM_RELEVANT].to_pylist() == [1, 1, 4, 4]
    assert (files.manifest.train.rows, files.manifest.validation.rows) == (1, 1)


def test_the_files_do_not_depend_on_the_tables_partitions(spark: SparkSession, lake: Lake) -> None:
    keys = spark.range(300).select(F.xxhash64("id").alias(c.EXAMPLE_KEY), F.col("id").cast("float").alias("value"))
    base = rows_of(spark, tables.EXAMPLES, [example(0)]).drop(c.EXAMPLE_KEY, c.USER_HEAT_28D)
    examples = base.crossJoin(keys).withColumn(c.USER_HEAT_28D, F.col("value") / 7)
    examples = examples.withColumn(c.USER_HEAT_28D, F.col(c.USER_HEAT_28D).cast("float"))
    first = written(lake, examples.coalesce(1))
    first_contents = contents(first, c.TRAIN)
    second = written(lake, examples.repartition(5, "value"))
    assert contents(second, c.TRAIN) == first_contents
    assert sum(map(len, first_contents.values())) == 300
    assert second.manifest.inputs == first.manifest.inputs
    assert second.folder != first.folder
    assert not Path(first.folder).exists(), "the set of an older version is deleted"


def test_statistics_are_of_the_train_rows_after_the_transform(spark: SparkSession, lake: Lake) -> None:
    rows = [
        example(1, **{c.USER_PURCHASES_7D: math.e - 1, c.USER_USUAL_HOUR: 10.0}),
        example(2, **{c.USER_PURCHASES_7D: math.e**3 - 1, c.USER_USUAL_HOUR: 20.0}),
        example(3, c.VALIDATION, **{c.USER_PURCHASES_7D: 1000.0, c.USER_USUAL_HOUR: 0.0}),
    ]
    inputs = written(lake, rows_of(spark, tables.EXAMPLES, rows)).manifest.inputs
    found = {n.name: (n.transform, n.mean, n.std) for n in inputs.numeric}
    assert found[c.USER_PURCHASES_7D] == ("log1p", pytest.approx(2.0, abs=1e-6), pytest.approx(1.0, abs=1e-6))
    assert found[c.USER_USUAL_HOUR] == ("none", 15.0, 5.0)
    assert found[c.USER_PURCHASES_91D] == ("log1p", 0.0, 0.0)


def test_the_manifest_names_the_inputs_that_are_left_out(spark: SparkSession, lake: Lake) -> None:
    version = lake.overwrite(tables.EXAMPLES, rows_of(spark, tables.EXAMPLES, [example(1)]))
    taken = numeric_inputs({c.PURCHASE, c.CART})
    write_example_files(lake, RUN_DATE, version, row_groups=3, versions={}, taken=taken)
    inputs = newest_example_files(lake, RUN_DATE).manifest.inputs
    assert inputs.numeric_names == tuple(feature.name for feature in taken)
    assert c.USER_CARTS_28D in inputs.numeric_names
    assert c.ITEM_CART_RATE_28D in inputs.left_out  # it needs views too
    assert c.CONTEXT_MAIN_DEVICE_SHARE_91D in inputs.left_out
    assert len(inputs.left_out) == 10


def test_the_manifest_names_vocabularies_and_versions_and_is_found_again(spark: SparkSession, lake: Lake) -> None:
    files = written(lake, rows_of(spark, tables.EXAMPLES, [example(1)]))
    assert {v.name: v.size for v in files.manifest.inputs.ids} == {c.USER_IDX: 5, c.ITEM_IDX: 1, c.CATEGORY_IDX: 0}
    version = lake.versions([tables.EXAMPLES])["examples.pairs"]
    assert files.manifest.versions == {"clean.events": 5, "examples.pairs": version}
    assert newest_example_files(lake, RUN_DATE) == files
    again = write_example_files(lake, RUN_DATE, version, row_groups=3, versions={"clean.events": 5})
    assert again == files


@pytest.mark.long
def test_vacuum_of_the_table_takes_no_file_from_a_training(spark: SparkSession, lake: Lake) -> None:
    files = written(lake, rows_of(spark, tables.EXAMPLES, [example(1)]))
    lake.overwrite(tables.EXAMPLES, rows_of(spark, tables.EXAMPLES, [example(2)]))
    check = "spark.databricks.delta.retentionDurationCheck.enabled"
    spark.conf.set(check, "false")
    try:
        spark.sql(f"VACUUM delta.`{lake.path(tables.EXAMPLES)}` RETAIN 0 HOURS")
    finally:
        spark.conf.unset(check)
    assert contents(newest_example_files(lake, RUN_DATE), c.TRAIN) == contents(files, c.TRAIN)


def test_a_set_without_its_manifest_is_not_there(spark: SparkSession, lake: Lake) -> None:
    files = written(lake, rows_of(spark, tables.EXAMPLES, [example(1)]))
    Path(files.folder, "manifest.json").unlink()
    with pytest.raises(InputError, match=r"no example files for 2017-12-18 in .*Cure: run build_examples"):
        newest_example_files(lake, RUN_DATE)


def test_the_newest_version_counts_as_a_number(lake: Lake, spark: SparkSession) -> None:
    files = written(lake, rows_of(spark, tables.EXAMPLES, [example(1)]))
    parent = Path(files.folder).parent
    Path(files.folder).rename(parent / "v1000-00000000")
    older = parent / "v999-00000000"
    older.mkdir()
    (older / "manifest.json").write_text("never read")
    assert newest_example_files(lake, RUN_DATE).folder.endswith("/v1000-00000000")


def test_no_train_examples_are_refused_with_a_cure(spark: SparkSession, lake: Lake) -> None:
    rows = rows_of(spark, tables.EXAMPLES, [example(1, c.VALIDATION)])
    with pytest.raises(InputError, match=r"no train examples for 2017-12-18: .*Cure: a run date with more events"):
        written(lake, rows)
