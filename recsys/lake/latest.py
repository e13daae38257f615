"""The newest lists of each scene: a view of recs.top_n, for analysts and for the export."""

from pyspark.sql import DataFrame

from recsys import columns as c
from recsys import tables
from recsys.lake.files import Files
from recsys.lake.store import Lake

NAME = "latest"


def latest_select(top_n: str) -> str:
    """In SQL that Spark and DuckDB know; `top_n` is what they call recs.top_n."""
    newest = f"SELECT {c.SCENE}, max({c.RUN_DATE}) FROM {top_n} GROUP BY {c.SCENE}"
    return f"SELECT * FROM {top_n} WHERE ({c.SCENE}, {c.RUN_DATE}) IN ({newest})"


def latest_lists(lake: Lake, version: int | None = None) -> DataFrame:
    """Of the newest version, or a pinned one."""
    return lake.spark.sql(latest_select("{top_n}"), top_n=lake.read(tables.TOP_N, version))


def statement_file(lake: Lake) -> str:
    return f"{lake.root}/recs/{NAME}.sql"


def write_statement(lake: Lake) -> None:
    """`<lake.root>/recs/latest.sql`: makes the view in a session of spark-sql, which may begin with it (-i)."""
    text = f"CREATE OR REPLACE TEMPORARY VIEW {NAME} AS {latest_select(_table(lake))};\n"
    Files(lake.spark).write_text(statement_file(lake), text)


def create_view(lake: Lake, name: str) -> None:
    """In the session's catalog, under `<schema>.<view>`; it stays where that catalog does."""
    lake.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}")
    lake.spark.sql(f"CREATE OR REPLACE VIEW {name} AS {latest_select(_table(lake))}")


def _table(lake: Lake) -> str:
    return f"delta.`{lake.path(tables.TOP_N)}`"
