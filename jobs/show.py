"""Shows what a lake holds: stages, metrics beside the baselines, lists of three users, tables and what to type next."""

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys import app, tables
from recsys import columns as c
from recsys.config import load_yaml
from recsys.evaluation.report import table_text
from recsys.lake.at_once import at_once
from recsys.stages import Outcome, Run, newest_run_date
from recsys.tables import TOP_N

NUM_USERS_SHOWN = 3
NUM_EVENTS_SHOWN = 5
_DONE = {c.VIEW: "viewed", c.CART: "put into the cart", c.PURCHASE: "bought"}


def report(run: Run, outcomes: Sequence[Outcome]) -> str:
    """The last screen of the pipeline. Reads small slices only."""
    run_date = run.run_date or newest_run_date(run.lake)
    parts = [
        _section("Stages", _stage_lines(outcomes)),
        _section("Test window, model beside the baselines", [*_note(run), *_metric_lines(run, run_date)]),
        _section(f"Three users, as of {run_date}", user_lines(run, run_date)),
        _section("Tables", _table_lines(run)),
        _section("Type next", _next_lines(run, run_date)),
    ]
    return "\n".join(parts)


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"\n== {title} ==", *lines])


def _stage_lines(outcomes: Sequence[Outcome]) -> list[str]:
    header = f"{'stage':<16} {'seconds':>8} {'rows':>12}"
    rows = [
        f"{o.stage:<16} {'skipped' if o.is_skipped else format(o.seconds, '8.1f'):>8} {o.figures.get(c.ROWS, 0):>12,}"
        for o in outcomes
    ]
    return [header, *rows, f"{'all':<16} {sum(o.seconds for o in outcomes):>8.1f}"]


def _note(run: Run) -> list[str]:
    mapping = load_yaml(run.conf_folder / "sources" / f"{run.config.source.name}.yaml")
    note = mapping.get("note")
    return [f"Note: {' '.join(str(note).split())}"] if note else []


def _metric_lines(run: Run, run_date: date) -> list[str]:
    rows = run.lake.read(tables.METRICS).where(F.col(c.RUN_DATE) == F.lit(run_date)).collect()
    return ["", table_text(rows)]


def user_lines(run: Run, run_date: date) -> list[str]:
    lists = run.lake.read(TOP_N).where(F.col(c.RUN_DATE) == F.lit(run_date))
    names = run.lake.read(tables.ITEMS).select(c.ITEM_ID, F.coalesce(c.NAME, c.ITEM_ID).alias(c.NAME), c.BRAND)
    events = run.lake.read(tables.EVENTS).where(F.col(c.EVENT_DATE) < F.lit(run_date))
    users = _shown_users(events, lists)
    recent = _recent_events(events.where(F.col(c.USER_ID).isin(users))).join(names, on=c.ITEM_ID, how="left")
    shown = lists.where(F.col(c.USER_ID).isin(users)).join(names, on=c.ITEM_ID, how="left")
    done = recent.orderBy(c.USER_ID, F.desc(c.EVENT_TS), c.ITEM_ID, c.EVENT_TYPE).collect()
    recommended = shown.orderBy(c.USER_ID, c.RANK).collect()
    lines: list[str] = []
    for user in users:
        lines.append(f"\nuser {user}")
        lines.extend(f"  {_DONE[r[c.EVENT_TYPE]]} {r[c.EVENT_DATE]}  {_label(r)}" for r in done if r[c.USER_ID] == user)
        lines.extend(
            f"  {r[c.RANK]:>6}. {_label(r):<58} {_score_text(r[c.SCORE]):>6}  {r[c.REASON_EN]}"
            for r in recommended
            if r[c.USER_ID] == user
        )
    return lines


def _shown_users(events: DataFrame, lists: DataFrame) -> list[str]:
    """The first users by id among those with a list and a history."""
    known = events.select(c.USER_ID).distinct()
    served = lists.select(c.USER_ID).distinct().join(known, on=c.USER_ID, how="left_semi")
    return [row[c.USER_ID] for row in served.orderBy(c.USER_ID).limit(NUM_USERS_SHOWN).collect()]


def _recent_events(events: DataFrame) -> DataFrame:
    newest = Window.partitionBy(c.USER_ID).orderBy(F.desc(c.EVENT_TS), c.ITEM_ID, c.EVENT_TYPE)
    return (
        events.where(F.col(c.EVENT_TYPE).isin(list(_DONE)))
        .withColumn("position", F.row_number().over(newest))
        .where(F.col("position") <= NUM_EVENTS_SHOWN)
        .select(c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.EVENT_DATE, c.EVENT_TS)
    )


def _score_text(score: float | None) -> str:
    """Items that a rule pins or that fill a list up have none."""
    return "–" if score is None else f"{score:.4f}"


def _label(row: Any) -> str:
    brand = f" ({row[c.BRAND]})" if row[c.BRAND] else ""
    return f"{row[c.NAME]}{brand} #{row[c.ITEM_ID]}"


def _table_lines(run: Run) -> list[str]:
    found = [table for table in tables.ALL_TABLES if run.lake.exists(table)]
    counts = at_once(run.spark, [run.lake.read(table).count for table in found])
    return [f"{t.name:<26} {rows:>12,}  {run.lake.path(t)}" for t, rows in zip(found, counts, strict=True)]


def _next_lines(run: Run, run_date: date) -> list[str]:
    path = run.lake.path(TOP_N)
    binaries = Path(sys.executable).parent
    sql = f"SELECT * FROM delta.`{path}` WHERE run_date = DATE'{run_date}' ORDER BY user_id, rank LIMIT 20"
    settings = (
        "--conf spark.sql.catalogImplementation=in-memory "
        "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension "
        "--conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog"
    )
    audience = (
        "SELECT item_id, count(*) AS users FROM top_n "
        f"WHERE run_date = '{run_date}' GROUP BY item_id ORDER BY users DESC, item_id LIMIT 10"
    )
    duck = (
        "import duckdb, deltalake; "
        f"top_n = duckdb.read_parquet(deltalake.DeltaTable('{path}').file_uris(), hive_partitioning=True); "
        f'print(duckdb.sql(\\"{audience}\\"))'
    )
    uri = run.config.tracking.uri or f"sqlite:///{run.lake.root}/mlflow.db"
    return [
        f'{binaries}/spark-sql {settings} -e "{sql}"'.replace("`", "\\`"),
        f'{binaries}/python -c "{duck}"',
        f"{binaries}/mlflow ui --backend-store-uri {uri} --port 5000",
    ]


def _show(run: Run) -> list[Outcome]:
    _ = run
    return []


if __name__ == "__main__":
    sys.exit(app.run_program("show", __doc__, _show, report=report))
