"""Makes the lists of the scenes that score.scenes names; tries each on the last label window beside its baselines."""

import functools
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import _scene_anonymous, _scene_buy_again, _scene_cart, _scene_coupons, _scene_new_items, _scene_substitutes
from jobs._day_rules import optional_inputs, optional_reads
from jobs._overwrite import of_day
from jobs._rules import write_audit
from jobs._scene_rules import SceneRules, depth, scene_rules, under_rules
from jobs._scenes import Scene
from recsys import columns as c
from recsys import tables
from recsys.app import checked_stage, run_program, summary
from recsys.config import ANONYMOUS, BUY_AGAIN, CART, COUPONS, NEW_ITEMS, SUBSTITUTES
from recsys.errors import ConfigError
from recsys.evaluation.report import MetricRow
from recsys.evaluation.scenes import scene_figures, scenes_text, trial_rows, trial_sums
from recsys.frames.local_rows import local_rows
from recsys.lake.interaction_files import delete_vector_files
from recsys.lake.latest import name_latest
from recsys.lake.read_features import FEATURE_TABLES
from recsys.lake.store import is_one_of
from recsys.logs import timed
from recsys.scoring.scene_checks import require_not_emptied, require_sound_lists
from recsys.stages import Figures, Outcome, Run, Stage, newest_run_date
from recsys.tables import Table

logger = logging.getLogger(__name__)

SCENES: Mapping[str, Scene] = {
    CART: _scene_cart.SCENE,
    SUBSTITUTES: _scene_substitutes.SCENE,
    BUY_AGAIN: _scene_buy_again.SCENE,
    NEW_ITEMS: _scene_new_items.SCENE,
    ANONYMOUS: _scene_anonymous.SCENE,
    COUPONS: _scene_coupons.SCENE,
}


def run(run: Run) -> Figures:
    """All scenes are tried and all lists made and looked at before the first table is written."""
    asked = {name: SCENES[name] for name in run.config.score.scenes}
    for scene in asked.values():
        scene.check(run)
    rules = scene_rules(run, asked)
    measured = {name: _measure(run, name) for name in asked}
    made = {name: _made(run, name, rules) for name in asked}
    for lists in made.values():
        for table, rows in lists.frames.items():
            run.lake.overwrite(table, rows, where=of_day(run))
    for name, lists in made.items():
        if rules.of_scene[name] and lists.audited:
            rows = functools.reduce(DataFrame.unionByName, lists.audited)
            write_audit(run, name, rows, rules.of_scene[name])
    name_latest(run.lake, run.config.publishing.view)
    run.spark.catalog.clearCache()
    _write_metrics(run, measured)
    if rules.load_facts is not None:
        delete_vector_files(run.lake)
    figures: Figures = {c.ROWS: sum(lists.num_rows for lists in made.values())}
    for name, lists in made.items():
        figures |= {f"{name}_rows": lists.num_rows, **scene_figures(name, measured[name])}
    return figures


def check(run: Run) -> None:
    if not run.config.score.scenes:
        raise ConfigError(
            f"score.scenes is empty: nothing to do. Cure: name one or more of {list(SCENES)}, as in "
            "--set score.scenes=[cart]"
        )


def _reads(run: Run) -> tuple[Table, ...]:
    of_scenes = [table for name in run.config.score.scenes for table in SCENES[name].reads if run.lake.exists(table)]
    return (*READS, *of_scenes, *optional_reads(run))


@dataclass(frozen=True, kw_only=True)
class Lists:
    """What a scene's tables are going to hold, the rows of the first, and what the audit of rules takes."""

    frames: Mapping[Table, DataFrame]
    num_rows: int
    audited: Sequence[DataFrame]


def _made(run: Run, name: str, rules: SceneRules) -> Lists:
    """Raises DataQualityError where a list is none that may be shown."""
    scene, constants = SCENES[name], {c.RUN_DATE: F.lit(run.day), c.RUN_ID: F.lit(run.run_id)}
    with timed(logger, f"scene {name}"):
        obeying = {
            table: under_rules(run, rules, name, table, rows)
            for table, rows in scene.rows(run, depth(run, rules, name)).items()
        }
        frames = {table: found.rows.withColumns(constants).persist() for table, found in obeying.items()}
        counts = {table: require_sound_lists(rows, table) for table, rows in frames.items()}
    if not run.config.scenes.allow_empty:
        for table in (table for table in scene.writes if table not in scene.may_be_empty):
            require_not_emptied(table, counts[table], _had_rows(run, table))
    audited = [found.audited for found in obeying.values() if found.audited is not None]
    return Lists(frames=frames, num_rows=counts[scene.writes[0]], audited=audited)


def _had_rows(run: Run, table: Table) -> bool:
    if not run.lake.exists(table):
        return False
    return not run.lake.read(table).where(F.col(c.RUN_DATE) <= F.lit(run.day)).isEmpty()


def _measure(run: Run, name: str) -> list[MetricRow]:
    with timed(logger, f"trial of the scene {name}"):
        settings, trial = run.config.evaluation, SCENES[name].trial(run)
        sums = trial_sums(name, trial, k=settings.k, replicates=settings.bootstrap_samples, seed=settings.seed)
        # A row a bootstrap replicate.
        measured = trial_rows(trial, [row.asDict() for row in sums.collect()], settings.k)
    run.spark.catalog.clearCache()
    return measured


def _write_metrics(run: Run, measured: Mapping[str, Sequence[MetricRow]]) -> None:
    """Those of scenes that were not asked for stay."""
    constants = {c.RUN_DATE: run.day, c.RUN_ID: run.run_id}
    whole: list[dict[str, Any]] = [
        {**constants, c.SCENE: name, **row} for name, rows in measured.items() for row in rows
    ]
    values = [tuple(row.get(name) for name in tables.SCENE_METRICS.column_names) for row in whole]
    frame = local_rows(run.spark, values, tables.SCENE_METRICS.schema).coalesce(1)
    run.lake.overwrite(tables.SCENE_METRICS, frame, where=f"{of_day(run)} AND {is_one_of(c.SCENE, measured)}")


def report(run: Run, outcomes: Sequence[Outcome]) -> str:
    run_date = run.run_date or newest_run_date(run.lake)
    found = run.lake.read(tables.SCENE_METRICS).where(F.col(c.RUN_DATE) == F.lit(run_date))
    asked = found.where(F.col(c.SCENE).isin(*run.config.score.scenes)).collect()
    return f"{scenes_text(asked)}\n\n{summary(run, outcomes)}"


def _writes(run: Run) -> tuple[Table, ...]:
    return (*(table for name in run.config.score.scenes for table in SCENES[name].writes), *_BESIDE)


_BESIDE = (tables.RULE_AUDIT, tables.SCENE_METRICS)
READS = (tables.EVENTS, tables.ITEMS, tables.USERS, tables.ITEM_IDS, *FEATURE_TABLES)

STAGE = Stage(
    name="score_scenes",
    reads=_reads,
    writes=_writes,
    settings=("examples", "evaluation", "features", "score", "scenes"),
    run=run,
    check=check,
    inputs=optional_inputs,
    scenes=lambda run: run.config.score.scenes,
)

if __name__ == "__main__":
    sys.exit(run_program(STAGE.name, __doc__, lambda run: [checked_stage(STAGE, run)], report=report))
