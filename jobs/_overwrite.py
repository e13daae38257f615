"""Replaces what a job wrote for its day, or for a scene of it."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.stages import Run
from recsys.tables import Table


def of_day(run: Run) -> str:
    """The condition that names the run date's rows."""
    return f"{c.RUN_DATE} = DATE'{run.day.isoformat()}'"


def of_scene(run: Run, scene: str) -> str:
    """Those of the scene alone, of a table that is parted by scene."""
    return f"{of_day(run)} AND {c.SCENE} = '{scene}'"


def overwrite_day(run: Run, table: Table, rows: DataFrame) -> int:
    """Adds `run_date` and returns the new version of the table."""
    return run.lake.overwrite(table, rows.withColumn(c.RUN_DATE, F.lit(run.day)), where=of_day(run))
