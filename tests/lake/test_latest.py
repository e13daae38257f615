"""What analysts read: the newest lists of each scene, in Spark SQL, DuckDB, Polars and delta-rs."""

from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.lake.latest import create_view, latest_lists, latest_select, statement_file, write_statement
from recsys.lake.store import Lake
from tests.feature_rows import rows_of

OLD, NEW = date(2017, 12, 17), date(2017, 12, 18)
COLUMNS = (c.SCENE, c.USER_ID, c.RANK, c.ITEM_ID)
LATEST = [("cart", "u", 1, "c"), ("home", "u", 1, "b"), ("home", "v", 1, "a")]


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Home has two days, the cart only the first."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("latest") / "lake"))
    rows = [
        (OLD, "home", "u", 1, "a"), (OLD, "home", "w", 1, "a"), (OLD, "cart", "u", 1, "c"),
        (NEW, "home", "u", 1, "b"), (NEW, "home", "v", 1, "a"),
    ]  # fmt: skip
    for day, scene in ((OLD, "home"), (OLD, "cart"), (NEW, "home")):
        of_day = [dict(zip((c.RUN_DATE, *COLUMNS), row, strict=True)) for row in rows if row[:2] == (day, scene)]
        lake.overwrite(tables.TOP_N, rows_of(spark, tables.TOP_N, of_day), f"run_date = '{day}' AND scene = '{scene}'")
    return lake


def test_spark_reads_the_view_from_the_file_and_from_the_catalog(lake: Lake) -> None:
    write_statement(lake)
    lake.spark.sql(Path(statement_file(lake)).read_text().rstrip(";\n"))
    create_view(lake, "recs.latest")
    for rows in (lake.spark.table("latest"), lake.spark.table("recs.latest"), latest_lists(lake)):
        assert sorted(tuple(row) for row in rows.select(*COLUMNS).collect()) == LATEST
    lake.spark.sql("DROP SCHEMA recs CASCADE")
    lake.spark.catalog.dropTempView("latest")


def test_an_older_version_is_read_as_it_was(lake: Lake) -> None:
    first = latest_lists(lake, 0).select(*COLUMNS).collect()
    assert sorted(tuple(row) for row in first) == [("home", "u", 1, "a"), ("home", "w", 1, "a")]


def test_duckdb_reads_the_same_statement(lake: Lake) -> None:
    files = DeltaTable(lake.path(tables.TOP_N)).file_uris()
    top_n = duckdb.read_parquet(files, hive_partitioning=True)
    assert top_n is not None
    found = duckdb.sql(latest_select("top_n")).select(", ".join(COLUMNS))
    assert sorted(found.fetchall()) == LATEST


def test_polars_reads_the_table_and_finds_the_newest_lists_of_each_scene(lake: Lake) -> None:
    top_n = pl.scan_delta(lake.path(tables.TOP_N))
    newest = top_n.group_by(c.SCENE).agg(pl.col(c.RUN_DATE).max())
    found = top_n.join(newest, on=[c.SCENE, c.RUN_DATE], how="semi").select(COLUMNS).collect()
    assert sorted(found.rows()) == LATEST
    of_old_day = top_n.filter(pl.col(c.RUN_DATE) == OLD, pl.col(c.SCENE) == "home").select(c.USER_ID, c.ITEM_ID)
    assert sorted(of_old_day.collect().rows()) == [("u", "a"), ("w", "a")]


def test_delta_rs_reads_rows_and_comments_and_prunes_by_partition(lake: Lake) -> None:
    table = DeltaTable(lake.path(tables.TOP_N))
    comments = {field.name: field.metadata.get("comment") for field in table.schema().fields}
    assert comments[c.RANK] == "Position in the list, from 1"
    assert len(table.file_uris([(c.RUN_DATE, "=", NEW.isoformat())])) < len(table.file_uris())


def test_the_change_feed_says_what_a_day_brought(lake: Lake) -> None:
    feed = lake.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 2)
    changed = feed.load(lake.path(tables.TOP_N)).select("_change_type", c.USER_ID, c.ITEM_ID).collect()
    assert sorted(tuple(row) for row in changed) == [("insert", "u", "b"), ("insert", "v", "a")]
