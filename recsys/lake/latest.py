"""The newest lists: views of recs.top_n and of the scenes' tables, for analysts and for the export."""

from pyspark.sql import DataFrame

from recsys import columns as c
from recsys import tables
from recsys.lake.files import Files
from recsys.lake.store import Lake
from recsys.tables import Table

NAME = "latest"


def latest_select(table: Table, named: str) -> str:
    """Rows of the newest run date, of recs.top_n that of each scene, in SQL that Spark and DuckDB know; `named` is what
    they call the table."""
    if c.SCENE in table.column_names:
        newest = f"SELECT {c.SCENE}, max({c.RUN_DATE}) FROM {named} GROUP BY {c.SCENE}"
        return f"SELECT * FROM {named} WHERE ({c.SCENE}, {c.RUN_DATE}) IN ({newest})"
    return f"SELECT * FROM {named} WHERE {c.RUN_DATE} = (SELECT max({c.RUN_DATE}) FROM {named})"


def latest_lists(lake: Lake, version: int | None = None) -> DataFrame:
    """Of recs.top_n, its newest version, or a pinned one."""
    select = latest_select(tables.TOP_N, "{top_n}")
    return lake.spark.sql(select, top_n=lake.read(tables.TOP_N, version))


def statement_file(lake: Lake) -> str:
    return f"{lake.root}/recs/{NAME}.sql"


def name_latest(lake: Lake, view: str | None) -> None:
    """Makes the file of statements, and where a `view` is named those views, of the tables of lists that are there."""
    write_statements(lake)
    if view is not None:
        create_views(lake, view)


def write_statements(lake: Lake) -> None:
    """`<lake.root>/recs/latest.sql`: makes the views in a session of spark-sql, which may begin with it (-i)."""
    selects = _selects(lake, NAME)
    text = "".join(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS {select};\n" for view, select in selects.items())
    Files(lake.spark).write_text(statement_file(lake), text)


def create_views(lake: Lake, name: str) -> None:
    """In the session's catalog: `name`, which is <schema>.<view>, of recs.top_n, and <schema>.<view>_<table> of each
    scene's; they stay where that catalog does."""
    lake.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}")
    for view, select in _selects(lake, name).items():
        lake.spark.sql(f"CREATE OR REPLACE VIEW {view} AS {select}")


def _selects(lake: Lake, name: str) -> dict[str, str]:
    """By the name of the view; a view of a table that is not there is refused."""
    there = [table for table in tables.LISTS if lake.exists(table)]
    return {_view_of(table, name): latest_select(table, f"delta.`{lake.path(table)}`") for table in there}


def _view_of(table: Table, name: str) -> str:
    return name if table is tables.TOP_N else f"{name}_{table.name.partition('.')[2]}"
