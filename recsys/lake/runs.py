"""The record of runs, ops.runs: what ran, from which versions, to which versions, with which figures."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.local_rows import local_rows
from recsys.lake.store import Lake, is_one_of
from recsys.tables import RUNS, Table

# Among the figures of a record: the hash of the code that ran.
CODE = "code"

_TRAIN = "train"
# By these a run comes after another; ids tell apart what ended at one moment.
_ORDER = (c.RUN_DATE, c.FINISHED_TS, c.RUN_ID)


def record(  # noqa: PLR0913  # the columns of one row
    lake: Lake,
    stage: str,
    run_date: date | None,
    run_id: str,
    seconds: float,
    versions: Mapping[str, int],
    figures: Mapping[str, Any],
) -> None:
    """Replaces the record of the same run; the others of the day stay, for rows that they wrote name them."""
    now = datetime.now(tz=UTC)
    row = (
        stage,
        run_date,
        run_id,
        run_id,
        now,
        seconds,
        int(figures.get(c.ROWS, 0)),
        dict(versions),
        json.dumps(figures),
    )
    of_run = (is_one_of(c.STAGE, [stage]), f"{c.RUN_DATE} <=> {_sql_date(run_date)}", is_one_of(c.RUN_ID, [run_id]))
    lake.overwrite(RUNS, local_rows(lake.spark, [row], RUNS.schema), where=" AND ".join(of_run))


def standing_run(
    lake: Lake,
    stage: str,
    run_date: date | None,
    fingerprint: str,
    writes: Sequence[Table],
    scenes: Collection[str],
) -> dict[str, Any] | None:
    """The figures of the run with this fingerprint where its rows, of the run date and the scenes, are still as it left
    them. Where it wrote no table, no other run of the day may have come after it."""
    if not lake.exists(RUNS):
        return None
    of_day = _runs_of(lake, stage).where(F.expr(f"{c.RUN_DATE} <=> {_sql_date(run_date)}"))
    last = _newest(of_day.where(F.col(c.FINGERPRINT) == fingerprint) if writes else of_day)
    if last is None or last[c.FINGERPRINT] != fingerprint:
        return None
    own = {c.SCENE: scenes, **({} if run_date is None else {c.RUN_DATE: (run_date.isoformat(),)})}
    is_standing = all(lake.is_same(table, last[c.VERSIONS].get(table.name), own) for table in writes)
    figures = {key: value for key, value in json.loads(last[c.FIGURES]).items() if key != CODE}
    return figures if is_standing else None


def origins(lake: Lake, tables: Sequence[Table], run_date: date | None) -> dict[str, str]:
    """By table, the id of the run that last wrote what `run_date` reads of it; its version where no run is recorded."""
    found: dict[str, str] = {}
    if lake.exists(RUNS):
        dates = F.expr(f"{c.RUN_DATE} <=> {_sql_date(run_date)} OR {c.RUN_DATE} IS NULL")
        rows = lake.read(RUNS).where(dates).orderBy(*_ORDER).collect()
        found = {row[c.STAGE]: row[c.RUN_ID] for row in rows}
    return {table.name: found.get(table.writer) or f"version {lake.version(table)}" for table in tables}


def newest_figures(lake: Lake, stage: str, not_after: date) -> dict[str, Any] | None:
    """Figures of the newest run of a stage for `not_after` or an earlier day."""
    newest = _newest(_past(lake, stage, not_after)) if lake.exists(RUNS) else None
    return None if newest is None else dict(json.loads(newest[c.FIGURES]))


def newest_trainings(lake: Lake, not_after: date) -> dict[str, dict[str, Any]]:
    """By registered name, figures of the model's newest training for `not_after` or an earlier day: a row a model."""
    if not lake.exists(RUNS):
        return {}
    trained = _past(lake, _TRAIN, not_after).withColumn(c.MODEL_NAME, figure(c.MODEL_NAME))
    newest = trained.groupBy(c.MODEL_NAME).agg(F.max_by(c.FIGURES, F.struct(*_ORDER)).alias(c.FIGURES))
    found = newest.where(F.col(c.MODEL_NAME).isNotNull()).collect()
    return {row[c.MODEL_NAME]: json.loads(row[c.FIGURES]) for row in found}


def scoring_record(lake: Lake, run_id: str, not_after: date) -> Row | None:
    """The newest run of score with this id, for `not_after` or an earlier day."""
    return _newest(_past(lake, "score", not_after).where(F.col(c.RUN_ID) == run_id)) if lake.exists(RUNS) else None


def training_record(lake: Lake, name: str, version: int, not_after: date) -> Row | None:
    """The newest training of this version of a registered model, for `not_after` or an earlier day."""
    if not lake.exists(RUNS):
        return None
    is_model = (figure(c.MODEL_NAME) == name) & (figure(c.MODEL_VERSION) == str(version))
    return _newest(_past(lake, _TRAIN, not_after).where(is_model))


def figure(name: str) -> Column:
    """Of a record, as text."""
    return F.get_json_object(c.FIGURES, f"$.{name}")


def superseded(lake: Lake, before: datetime) -> DataFrame:
    """stage, run_date and run_id of records that ended before then and are not the newest of their stage, day and
    model: nothing but rows that they wrote asks for them."""
    newest_first = Window.partitionBy(c.STAGE, c.RUN_DATE, figure(c.MODEL_NAME)).orderBy(*map(F.desc, _ORDER))
    numbered = lake.read(RUNS).withColumn("place", F.row_number().over(newest_first))
    old = numbered.where((F.col("place") > 1) & (F.col(c.FINISHED_TS) < F.lit(before)))
    return old.select(c.STAGE, c.RUN_DATE, c.RUN_ID)


def _past(lake: Lake, stage: str, not_after: date) -> DataFrame:
    return _runs_of(lake, stage).where(F.col(c.RUN_DATE) <= F.lit(not_after))


def _newest(runs: DataFrame) -> Row | None:
    return runs.orderBy(*map(F.desc, _ORDER)).first()


def _runs_of(lake: Lake, stage: str) -> DataFrame:
    return lake.read(RUNS).where(F.col(c.STAGE) == stage)


def _sql_date(day: date | None) -> str:
    return "NULL" if day is None else f"DATE'{day.isoformat()}'"
