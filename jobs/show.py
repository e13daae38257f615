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
from recsys.tables import TOP_N

NUM_USERS_SHOWN = 3
NUM_PURCHASES_SHOWN = 5
_METRIC_ORDER = ("ndcg", "recall", "precision", "map", "mrr", "hit_rate", "coverage")


def report(run: app.Run, outcomes: Sequence[app.Outcome]) -> str:
    """The last screen of the pipeline. Reads small slices only."""
    run_date = run.run_date or app.newest_run_date(run.lake)
    parts = [
        _section("Stages", _stage_lines(outcomes)),
        _section("Test window, model beside the baselines", [*_note(run), *_metric_lines(run, run_date)]),
        _section(f"Three users, as of {run_date}", _user_lines(run, run_date)),
        _section("Tables", _table_lines(run)),
        _section("Type next", _next_lines(run, run_date)),
    ]
    return "\n".join(parts)


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"\n== {title} ==", *lines])


def _stage_lines(outcomes: Sequence[app.Outcome]) -> list[str]:
    header = f"{'stage':<16} {'seconds':>8} {'rows':>12}"
    rows = [
        f"{o.stage:<16} {'skipped' if o.is_skipped else format(o.seconds, '8.1f'):>8} {o.figures.get(c.ROWS, 0):>12,}"
        for o in outcomes
    ]
    return [header, *rows, f"{'all':<16} {sum(o.seconds for o in outcomes):>8.1f}"]


def _note(run: app.Run) -> list[str]:
    mapping = load_yaml(run.conf_folder / "sources" / f"{run.config.source.name}.yaml")
    note = mapping.get("note")
    return [f"Note: {' '.join(str(note).split())}"] if note else []


def _metric_lines(run: app.Run, run_date: date) -> list[str]:
    rows = run.lake.read(tables.METRICS).where(F.col(c.RUN_DATE) == F.lit(run_date)).collect()
    lines: list[str] = []
    for kind in sorted({row[c.LIST_KIND] for row in rows}, reverse=True):
        lines.extend(["", *_metric_table([row for row in rows if row[c.LIST_KIND] == kind], kind)])
    return lines


def _metric_table(rows: Sequence[Any], kind: str) -> list[str]:
    values = {(row[c.METRIC], row[c.RECOMMENDER]): row for row in rows}
    recommenders = [name for name in ("model", "personal", "popular") if any(key[1] == name for key in values)]
    differences = sorted({row[c.RECOMMENDER] for row in rows if row[c.LOW] is not None})
    lines = [f"{kind:<20}" + "".join(f"{name:>10}" for name in recommenders) + "".join(f"{d:>34}" for d in differences)]
    for metric in _METRIC_ORDER:
        found = [values.get((metric, name)) for name in recommenders]
        k = next((row[c.K] for row in found if row is not None), None)
        cells = "".join("         -" if row is None else f"{row[c.VALUE]:>10.4f}" for row in found)
        cells += "".join(_interval(values.get((metric, name))) for name in differences)
        lines.append(f"{f'{metric}@{k}':<20}{cells}")
    users = next((row[c.NUM_USERS] for row in rows if row[c.METRIC] == "ndcg"), 0)
    recall = values.get(("candidate_recall", "model"))
    tail = "" if recall is None else f"; the candidate set holds {recall[c.VALUE]:.1%} of what they bought"
    return [*lines, f"{users:,} users with a purchase in the window{tail}"]


def _interval(row: Any) -> str:
    return " " * 34 if row is None else f"{row[c.VALUE]:>+13.4f} [{row[c.LOW]:+.4f}, {row[c.HIGH]:+.4f}]".rjust(34)


def _user_lines(run: app.Run, run_date: date) -> list[str]:
    lists = run.lake.read(TOP_N).where(F.col(c.RUN_DATE) == F.lit(run_date))
    names = run.lake.read(tables.ITEMS).select(c.ITEM_ID, F.coalesce(c.NAME, c.ITEM_ID).alias(c.NAME), c.BRAND)
    events = run.lake.read(tables.EVENTS).where(F.col(c.EVENT_DATE) < F.lit(run_date))
    users = _shown_users(events, lists)
    recent = _recent_purchases(events.where(F.col(c.USER_ID).isin(users))).join(names, on=c.ITEM_ID, how="left")
    shown = lists.where(F.col(c.USER_ID).isin(users)).join(names, on=c.ITEM_ID, how="left")
    bought = recent.orderBy(c.USER_ID, F.desc(c.EVENT_TS), c.ITEM_ID).collect()
    recommended = shown.orderBy(c.USER_ID, c.RANK).collect()
    lines: list[str] = []
    for user in users:
        lines.append(f"\nuser {user}")
        lines.extend(f"  bought {r[c.EVENT_DATE]}  {_label(r)}" for r in bought if r[c.USER_ID] == user)
        lines.extend(
            f"  {r[c.RANK]:>6}. {_label(r):<58} {r[c.SCORE]:.4f}  {r[c.REASON]}"
            for r in recommended
            if r[c.USER_ID] == user
        )
    return lines


def _shown_users(events: DataFrame, lists: DataFrame) -> list[str]:
    """The first users by id among those with a list and a history."""
    known = events.select(c.USER_ID).distinct()
    served = lists.select(c.USER_ID).distinct().join(known, on=c.USER_ID, how="left_semi")
    return [row[c.USER_ID] for row in served.orderBy(c.USER_ID).limit(NUM_USERS_SHOWN).collect()]


def _recent_purchases(events: DataFrame) -> DataFrame:
    newest = Window.partitionBy(c.USER_ID).orderBy(F.desc(c.EVENT_TS), c.ITEM_ID)
    return (
        events.withColumn("position", F.row_number().over(newest))
        .where(F.col("position") <= NUM_PURCHASES_SHOWN)
        .select(c.USER_ID, c.ITEM_ID, c.EVENT_DATE, c.EVENT_TS)
    )


def _label(row: Any) -> str:
    brand = f" ({row[c.BRAND]})" if row[c.BRAND] else ""
    return f"{row[c.NAME]}{brand} #{row[c.ITEM_ID]}"


def _table_lines(run: app.Run) -> list[str]:
    found = [table for table in tables.ALL_TABLES if run.lake.exists(table)]
    return [f"{t.name:<26} {run.lake.read(t).count():>12,}  {run.lake.path(t)}" for t in found]


def _next_lines(run: app.Run, run_date: date) -> list[str]:
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


def _show(run: app.Run) -> list[app.Outcome]:
    _ = run
    return []


if __name__ == "__main__":
    sys.exit(app.run_program("show", __doc__, _show, report=report))
