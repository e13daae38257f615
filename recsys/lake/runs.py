"""The record of runs, ops.runs: what ran, from which versions, to which versions, with which figures."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.local_rows import local_rows
from recsys.lake.store import Lake
from recsys.tables import RUNS, Table

# Among the figures of a record.
CODE = "code"  # the hash of the code that ran
OTHER_MODELS = "other_models"  # of a training: the figures of that day's trainings of other models, by registered name

_TRAIN = "train"


def record(  # noqa: PLR0913  # the columns of one row
    lake: Lake,
    stage: str,
    run_date: date | None,
    run_id: str,
    seconds: float,
    versions: Mapping[str, int],
    figures: Mapping[str, Any],
) -> None:
    """Replaces the record of this stage and date; that of a training keeps what the day's last one says of other
    models."""
    told = {**figures, **_other_models(lake, stage, run_date, figures)}
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
        json.dumps(told),
    )
    rows = local_rows(lake.spark, [row], RUNS.schema)
    lake.overwrite(RUNS, rows, where=f"{c.STAGE} = '{stage}' AND {c.RUN_DATE} <=> {_sql_date(run_date)}")


def standing_run(
    lake: Lake, stage: str, run_date: date | None, fingerprint: str, writes: Sequence[Table]
) -> dict[str, Any] | None:
    """The figures of the last run where it had this fingerprint and its rows are still as it left them."""
    last = _last(lake, stage, run_date)
    if last is None or last[c.FINGERPRINT] != fingerprint:
        return None
    is_standing = all(lake.is_same(table, last[c.VERSIONS].get(table.name), run_date) for table in writes)
    figures = {key: value for key, value in json.loads(last[c.FIGURES]).items() if key not in (CODE, OTHER_MODELS)}
    return figures if is_standing else None


def origins(lake: Lake, tables: Sequence[Table], run_date: date | None) -> dict[str, str]:
    """By table, the id of the run that wrote what `run_date` reads of it; its version where no run is recorded."""
    found: dict[str, str] = {}
    if lake.exists(RUNS):
        dates = F.expr(f"{c.RUN_DATE} <=> {_sql_date(run_date)} OR {c.RUN_DATE} IS NULL")
        found = {row[c.STAGE]: row[c.RUN_ID] for row in lake.read(RUNS).where(dates).collect()}
    return {table.name: found.get(table.writer) or f"version {lake.version(table)}" for table in tables}


def newest_figures(lake: Lake, stage: str, not_after: date) -> dict[str, Any] | None:
    """Figures of the newest run of a stage for `not_after` or an earlier day."""
    if not lake.exists(RUNS):
        return None
    past = _runs_of(lake, stage).where(F.col(c.RUN_DATE) <= F.lit(not_after))
    newest = past.orderBy(F.desc(c.RUN_DATE)).first()
    return None if newest is None else dict(json.loads(newest[c.FIGURES]))


def newest_trainings(lake: Lake, not_after: date) -> dict[str, dict[str, Any]]:
    """By registered name, figures of the model's newest training for `not_after` or an earlier day: a row a model."""
    if not lake.exists(RUNS):
        return {}
    past = _runs_of(lake, _TRAIN).where(F.col(c.RUN_DATE) <= F.lit(not_after))
    own = past.select(c.RUN_DATE, F.get_json_object(c.FIGURES, f"$.{c.MODEL_NAME}").alias(c.MODEL_NAME), c.FIGURES)
    others = F.from_json(F.get_json_object(c.FIGURES, f"$.{OTHER_MODELS}"), "map<string,string>")
    trained = own.unionByName(past.select(c.RUN_DATE, F.explode(others).alias(c.MODEL_NAME, c.FIGURES)))
    newest = trained.groupBy(c.MODEL_NAME).agg(F.max_by(c.FIGURES, c.RUN_DATE).alias(c.FIGURES))
    found = newest.where(F.col(c.MODEL_NAME).isNotNull()).collect()
    return {row[c.MODEL_NAME]: json.loads(row[c.FIGURES]) for row in found}


def _other_models(lake: Lake, stage: str, run_date: date | None, figures: Mapping[str, Any]) -> dict[str, Any]:
    last = _last(lake, stage, run_date) if stage == _TRAIN and c.MODEL_NAME in figures else None
    if last is None:
        return {}
    before = json.loads(last[c.FIGURES])
    trained = {**before.pop(OTHER_MODELS, {}), before.get(c.MODEL_NAME): before}
    others = {name: told for name, told in trained.items() if name not in (None, figures[c.MODEL_NAME])}
    return {OTHER_MODELS: others} if others else {}


def _last(lake: Lake, stage: str, run_date: date | None) -> Row | None:
    if not lake.exists(RUNS):
        return None
    return _runs_of(lake, stage).where(F.expr(f"{c.RUN_DATE} <=> {_sql_date(run_date)}")).first()


def _runs_of(lake: Lake, stage: str) -> DataFrame:
    return lake.read(RUNS).where(F.col(c.STAGE) == stage)


def _sql_date(day: date | None) -> str:
    return "NULL" if day is None else f"DATE'{day.isoformat()}'"
