"""What build_examples says about its examples: ops.leakage and ops.splits, and purchases parted in other ways."""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._overwrite import overwrite_day
from recsys import columns as c
from recsys import tables
from recsys.config import PARTED_BY_EVENT
from recsys.examples.leakage import leakage_report, leakage_sample
from recsys.examples.schemes import folds_of, split_counts
from recsys.examples.split import Cutoffs
from recsys.frames.local_rows import local_rows
from recsys.stages import Run


def write_leakage(
    run: Run, labels: DataFrame, item_features: DataFrame, version: int, rows_of: Mapping[str, int]
) -> list[str]:
    """Of one version of examples.pairs, which has `rows_of` each split; returns the names of suspicious inputs."""
    examples = run.lake.read(tables.EXAMPLES, version).where(F.col(c.RUN_DATE) == F.lit(run.day))
    report = leakage_report(leakage_sample(examples, labels, item_features, rows_of).toArrow(), run.config.examples)
    columns = [column for column in tables.LEAKAGE.columns if column.name != c.RUN_DATE]
    schema = ", ".join(f"{column.name} {column.type}" for column in columns)
    values = [tuple(row[column.name] for column in columns) for row in report]
    overwrite_day(run, tables.LEAKAGE, local_rows(run.spark, values, schema).coalesce(1))
    return [row[c.FEATURE] for row in report if row[c.REASONS]]


def write_splits(run: Run, days: Cutoffs) -> list[str]:
    """The schemes that were counted."""
    settings = run.config.examples
    is_known = (F.col(c.EVENT_TYPE) == c.PURCHASE) & (F.col(c.EVENT_DATE) < F.lit(run.day))
    purchases = run.lake.read(tables.EVENTS).where(is_known)
    folds = {scheme: folds_of(scheme, purchases, days, settings) for scheme in settings.schemes}
    counted = [
        split_counts(parted).withColumns({c.SCHEME: F.lit(scheme), c.FOLD: F.lit(fold)})
        for scheme, of_scheme in folds.items()
        for fold, parted in enumerate(of_scheme)
    ]
    if counted:
        overwrite_day(run, tables.SPLITS, reduce(DataFrame.unionByName, counted).coalesce(1))
    by_event = [folds[scheme][0].withColumn(c.SCHEME, F.lit(scheme)) for scheme in folds if scheme in PARTED_BY_EVENT]
    if by_event:
        overwrite_day(run, tables.PARTED_EVENTS, reduce(DataFrame.unionByName, by_event))
    return list(folds)
