from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.errors import InputError, SchemaError
from recsys.frames.caches import held
from recsys.frames.local_rows import local_rows
from recsys.lake.store import Lake

SCHEMA = "user_id string, user_idx int"


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, str(tmp_path / "lake"))


def test_overwrite_then_read_returns_the_rows_and_an_old_version_can_be_pinned(spark: SparkSession, lake: Lake) -> None:
    first = local_rows(spark, [("a", 0)], SCHEMA)
    second = local_rows(spark, [("a", 0), ("b", 1)], SCHEMA)
    pinned = lake.overwrite(tables.USER_IDS, first)
    lake.overwrite(tables.USER_IDS, second)
    assert_df_equality(
        lake.read(tables.USER_IDS), second, ignore_nullable=True, ignore_row_order=True, ignore_metadata=True
    )
    assert_df_equality(lake.read(tables.USER_IDS, pinned), first, ignore_nullable=True, ignore_metadata=True)


def test_what_reads_a_held_table_takes_it_from_memory(spark: SparkSession, lake: Lake) -> None:
    lake.overwrite(tables.USER_IDS, local_rows(spark, [("a", 0)], SCHEMA))

    def is_held() -> bool:
        plan = lake.read(tables.USER_IDS).where(F.col(c.USER_IDX) == 0)._jdf.queryExecution().withCachedData()
        return "InMemoryRelation" in plan.toString()

    with held(lake.read(tables.USER_IDS)):
        assert is_held()
    assert not is_held()


def test_column_comments_reach_the_table(spark: SparkSession, lake: Lake) -> None:
    lake.overwrite(tables.USER_IDS, local_rows(spark, [("a", 0)], SCHEMA))
    described = spark.sql(f"DESCRIBE TABLE delta.`{lake.path(tables.USER_IDS)}`").where("col_name = 'user_idx'").first()
    assert described is not None
    assert described["comment"] == "Dense index from 0; never changes"


def test_a_wrong_type_is_refused_before_anything_is_written(spark: SparkSession, lake: Lake) -> None:
    rows = local_rows(spark, [("a", "0")], "user_id string, user_idx string")
    with pytest.raises(SchemaError, match=r"ids.users do not fit it: user_idx: expected int, found string"):
        lake.overwrite(tables.USER_IDS, rows)
    assert not lake.exists(tables.USER_IDS)


def test_reading_a_table_that_is_not_there_names_the_cure(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"recs.top_n does not exist.*run jobs/score.py first"):
        lake.read(tables.TOP_N)


def test_a_table_that_an_earlier_version_wrote_names_its_columns_and_the_cure(spark: SparkSession, lake: Lake) -> None:
    local_rows(spark, [("a",)], "user_id string").write.format("delta").save(lake.path(tables.USER_IDS))
    cure = r"ids.users at .* lacks the columns \['user_idx'\]; it has \['user_id'\].*run jobs/clean_logs.py again"
    with pytest.raises(SchemaError, match=cure):
        lake.read(tables.USER_IDS)
    assert [tuple(row) for row in lake.read_older(tables.USER_IDS).collect()] == [("a", None)]


def test_restore_takes_the_table_back(spark: SparkSession, lake: Lake) -> None:
    first = lake.overwrite(tables.USER_IDS, local_rows(spark, [("a", 0)], SCHEMA))
    lake.overwrite(tables.USER_IDS, local_rows(spark, [("b", 0)], SCHEMA))
    lake.restore(tables.USER_IDS, first)
    assert [row[c.USER_ID] for row in lake.read(tables.USER_IDS).collect()] == ["a"]
