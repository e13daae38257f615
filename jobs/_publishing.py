"""Lists are published once they are like the last ones: checked, written in one commit, recorded in ops.publishing."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.evaluation.baselines import popular_ranks
from recsys.frames.local_rows import local_rows
from recsys.lake.latest import create_view, write_statement
from recsys.lake.read_features import read_features
from recsys.scoring.publishing import Check, checks, require_alike
from recsys.stages import Run


def publish(run: Run, lists: DataFrame) -> None:
    """Replaces the run date's and scene's rows of recs.top_n, or raises DataQualityError and leaves them.

    The checks are recorded either way: a failure is what people look for there.
    """
    last_day = newest_day(run, F.col(c.RUN_DATE) < F.lit(run.day))
    found = _checks(run, lists, last_day)
    try:
        require_alike(found, run.config.score.scene, run.day, last_day)
    except Exception:
        _record(run, found, last_day)
        raise
    run.lake.overwrite(tables.TOP_N, lists, where=of_run(run))
    _record(run, found, last_day)
    write_statement(run.lake)
    if run.config.publishing.view is not None:
        create_view(run.lake, run.config.publishing.view)


def of_run(run: Run) -> str:
    return f"{c.RUN_DATE} = DATE'{run.day.isoformat()}' AND {c.SCENE} = '{run.config.score.scene}'"


def newest_day(run: Run, is_asked: Column) -> date | None:
    """The newest run date, of those asked for, that has lists of the scene."""
    if not run.lake.exists(tables.TOP_N):
        return None
    of_scene = run.lake.read(tables.TOP_N).where(F.col(c.SCENE) == run.config.score.scene)
    newest = of_scene.where(is_asked).agg(F.max(c.RUN_DATE).alias(c.RUN_DATE)).first()
    return None if newest is None else newest[c.RUN_DATE]


def _checks(run: Run, lists: DataFrame, last_day: date | None) -> list[Check]:
    limits, items = run.config.publishing, run.lake.read(tables.ITEMS)
    ranks = popular_ranks(items, read_features(run.lake, [run.day]).item, window_days=28)
    popular = ranks.toDF(c.ITEM_ID, c.RANK).where(F.col(c.RANK) <= limits.popular_items)
    last = None
    if last_day is not None:
        is_last = (F.col(c.RUN_DATE) == F.lit(last_day)) & (F.col(c.SCENE) == run.config.score.scene)
        last = run.lake.read(tables.TOP_N).where(is_last)
    return checks(lists, last, popular, items.where(c.IS_ELIGIBLE).count(), limits)


def _record(run: Run, found: list[Check], last_day: date | None) -> None:
    rows = [
        (
            run.day, run.config.score.scene, check.name, check.value, check.last, check.low, check.high,
            check.is_passed, last_day, run.run_id,
        )
        for check in found
    ]  # fmt: skip
    frame = local_rows(run.spark, rows, tables.PUBLISHING.schema).coalesce(1)
    run.lake.overwrite(tables.PUBLISHING, frame, where=of_run(run))
