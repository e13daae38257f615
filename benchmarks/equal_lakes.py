"""Whether two lakes hold equal tables: a figure of lakes that differ would be fast and wrong."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.lake.store import Lake


def written_by(*jobs: str) -> tuple[tables.Table, ...]:
    """Without indexes, which are given in the order of arrival."""
    return tuple(
        table for table in tables.ALL_TABLES if table.writer in jobs and not table.name.startswith(("ids.", "texts."))
    )


def require_equal(grown: Lake, whole: Lake, compared: Sequence[tables.Table]) -> None:
    """Ends the benchmark where a table that `whole` has differs, but for the ids of runs."""
    for table in compared:
        if whole.exists(table):
            ours, theirs = _lines(grown, table, whole), _lines(whole, table, whole)
            differing = ours.exceptAll(theirs).unionByName(theirs.exceptAll(ours))
            if found := differing.limit(3).collect():
                raise SystemExit(f"{table.name} differs in {grown.root} and {whole.root}, such as {found}")


def _lines(lake: Lake, table: tables.Table, whole: Lake) -> DataFrame:
    """Rows as text: maps cannot be compared. Of features those that the other lake has, which ran once."""
    rows = lake.read(table)
    if c.AS_OF_DATE in table.column_names:
        rows = rows.join(whole.read(table).select(c.AS_OF_DATE).distinct(), on=c.AS_OF_DATE, how="left_semi")
    names = sorted(set(table.column_names) - {c.RUN_ID})
    return rows.select(F.to_json(F.struct(*names)).alias("line"))
