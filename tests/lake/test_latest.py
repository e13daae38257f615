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
from recsys.lake.latest import latest_lists, latest_select, name_latest, statement_file
from recsys.lake.store import Lake
from recsys.tables import Table
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


def test_spark_reads_the_views_from_the_file_and_from_the_catalog(lake: Lake) -> None:
    """The scene of new items has a table of its own, the others have none."""
    scenes_columns = (c.USER_ID, c.RANK, c.ITEM_ID)
    for day, item in ((OLD, "x"), (NEW, "y")):
        row = {c.RUN_DATE: day, **dict(zip(scenes_columns, ("u", 1, item), strict=True))}
        lake.overwrite(tables.NEW_ITEMS, rows_of(lake.spark, tables.NEW_ITEMS, [row]), f"run_date = '{day}'")
    name_latest(lake, "recs.newest")
    for statement in Path(statement_file(lake)).read_text().splitlines():
        lake.spark.sql(statement.rstrip(";"))
    assert not lake.spark.catalog.tableExists("recs.newest_cart")
    for rows in (lake.spark.table("latest"), lake.spark.table("recs.newest"), latest_lists(lake)):
        assert sorted(tuple(row) for row in rows.select(*COLUMNS).collect()) == LATEST
    for name in ("latest_new_items", "recs.newest_new_items"):
        assert [tuple(row) for row in lake.spark.table(name).select(*scenes_columns).collect()] == [("u", 1, "y")]
    lake.spark.sql("DROP SCHEMA recs CASCADE")
    for name in ("latest", "latest_new_items"):
        lake.spark.catalog.dropTempView(name)


@pytest.mark.parametrize("table", tables.LISTS, ids=lambda table: table.name)
def test_tables_of_lists_tell_their_changes_and_are_sorted_by_whom_and_what_they_name(table: Table) -> None:
    assert table.has_change_feed
    assert set(table.cluster_by) <= {*table.column_names} - {*table.partition_by}
    assert len(table.cluster_by) == 2


def test_an_older_version_is_read_as_it_was(lake: Lake) -> None:
    first = latest_lists(lake, 0).select(*COLUMNS).collect()
    assert sorted(tuple(row) for row in first) == [("home", "u", 1, "a"), ("home", "w", 1, "a")]


def test_duckdb_reads_the_same_statement(lake: Lake) -> None:
    files = DeltaTable(lake.path(tables.TOP_N)).file_uris()
    top_n = duckdb.read_parquet(files, hive_partitioning=True)
    assert top_n is not None
    found = duckdb.sql(latest_select(tables.TOP_N, "top_n")).select(", ".join(COLUMNS))
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
