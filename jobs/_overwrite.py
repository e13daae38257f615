"""Replaces what a job wrote for its day."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.stages import Run
from recsys.tables import Table


def overwrite_day(run: Run, table: Table, rows: DataFrame) -> int:
    """Adds `run_date` and returns the new version of the table."""
    of_day = f"{c.RUN_DATE} = DATE'{run.day.isoformat()}'"
    return run.lake.overwrite(table, rows.withColumn(c.RUN_DATE, F.lit(run.day)), where=of_day)
