"""What a job is made of: its tables, settings and work; run once, recorded, skipped where nothing changed."""

import functools
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.config import Config
from recsys.errors import InputError
from recsys.frames.feature_tables import FeatureTables
from recsys.lake import runs
from recsys.lake.read_features import read_features
from recsys.lake.store import Lake
from recsys.tables import Table

logger = logging.getLogger(__name__)

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a stage works with. `run_id` is its fingerprint: the same input, code and settings give the same id;
    `options` are its own arguments on the command line."""

    spark: SparkSession
    lake: Lake
    config: Config
    conf_folder: Path
    run_date: date | None
    run_id: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def day(self) -> date:
        """The run date of a stage that has one: `run_stage` has settled it before the stage runs."""
        assert self.run_date is not None, "only clean_logs runs without a date"
        return self.run_date

    @functools.cached_property
    def features(self) -> FeatureTables:
        """Of the run date; looked up once a run, which does not write them."""
        return read_features(self.lake, [self.day])


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One job.

    `reads` and `writes` may depend on the settings; `settings` are the configuration sections it depends on; `check`
    refuses wrong input before anything is written; `inputs` names the state of what lies outside the lake (files,
    models); `is_dated` is false where a stage takes all days at once; `scenes`: whose partitions it writes, of tables
    that are parted by scene.
    """

    name: str
    reads: tuple[Table, ...] | Callable[[Run], tuple[Table, ...]]
    writes: tuple[Table, ...] | Callable[[Run], tuple[Table, ...]]
    settings: tuple[str, ...]
    run: Callable[[Run], Figures]
    check: Callable[[Run], None] = lambda _: None
    inputs: Callable[[Run], Sequence[str]] = lambda _: ()
    is_dated: bool = True
    scenes: Callable[[Run], tuple[str, ...]] = lambda run: (run.config.score.scene,)

    def reads_of(self, run: Run) -> tuple[Table, ...]:
        return self.reads(run) if callable(self.reads) else self.reads

    def writes_of(self, run: Run) -> tuple[Table, ...]:
        return self.writes(run) if callable(self.writes) else self.writes


@dataclass(frozen=True)
class Outcome:
    """How a stage went, for the summary."""

    stage: str
    seconds: float
    is_skipped: bool
    figures: Figures = field(default_factory=dict)


def run_stage(stage: Stage, run: Run, *, is_skippable: bool = False) -> Outcome:
    """Runs a stage and records it in ops.runs; with `is_skippable`, not where its last run still stands.

    A stage that fails leaves its tables as they were: what it had already written is taken back.
    """
    run = _settled(stage, run)
    run = replace(run, run_id=fingerprint(stage, run))
    writes = stage.writes_of(run)
    if is_skippable and (last := _standing(stage, run, writes)):
        logger.info("%s: nothing changed since run %s; skipped", stage.name, run.run_id)
        return Outcome(stage.name, 0.0, is_skipped=True, figures=last)
    before = run.lake.versions(writes)
    started = time.monotonic()
    logger.info("%s for %s: started (run %s)", stage.name, run.run_date or "all days", run.run_id)
    try:
        figures = stage.run(run)
    except BaseException:
        _take_back(run.lake, stage.name, writes, before)
        raise
    seconds = time.monotonic() - started
    versions = run.lake.versions((*stage.reads_of(run), *writes))
    told = {**figures, runs.CODE: code_hash()}
    runs.record(run.lake, stage.name, run.run_date, run.run_id, seconds, versions, told)
    logger.info("%s: done in %.1f s", stage.name, seconds)
    return Outcome(stage.name, seconds, is_skipped=False, figures=figures)


def _standing(stage: Stage, run: Run, writes: Sequence[Table]) -> Figures | None:
    return runs.standing_run(run.lake, stage.name, run.run_date, run.run_id, writes, stage.scenes(run))


def fingerprint(stage: Stage, run: Run) -> str:
    """16 hexadecimal digits of everything the stage's result depends on.

    What it reads enters through the fingerprints of the runs that wrote it, not through version numbers: a broken
    run that was started again ends with the ids of an unbroken one.
    """
    state = {
        "stage": stage.name,
        "run_date": str(run.run_date),
        "code": code_hash(),
        "settings": run.config.settings_of(stage.settings),
        "tables": runs.origins(run.lake, stage.reads_of(run), run.run_date),
        "inputs": list(stage.inputs(run)),
    }
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def code_hash() -> str:
    """Of every module of the package and of the jobs beside it: any change of code makes every stage run again."""
    package = Path(__file__).parent
    files = [*package.rglob("*.py"), *(package.parent / "jobs").glob("*.py")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(package.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _settled(stage: Stage, run: Run) -> Run:
    missing = [table for table in stage.reads_of(run) if not run.lake.exists(table)]
    if missing:
        jobs = sorted({table.writer for table in missing})
        raise InputError(
            f"{stage.name} reads {[table.name for table in missing]}, which the lake {run.lake.root} does not have. "
            f"Cure: run {jobs} first, or jobs/run_pipeline.py; or check lake.root"
        )
    if not stage.is_dated:
        return replace(run, run_date=None)
    return run if run.run_date else replace(run, run_date=newest_run_date(run.lake))


def newest_run_date(lake: Lake) -> date:
    """The day after the last clean event."""
    newest = lake.read(tables.EVENTS).agg(F.date_add(F.max(c.EVENT_DATE), 1).alias("run_date")).first()
    if newest is None or newest["run_date"] is None:
        raise InputError("clean.events is empty; run clean_logs on a folder that holds events")
    day: date = newest["run_date"]
    return day


def _take_back(lake: Lake, stage: str, writes: Sequence[Table], before: Mapping[str, int]) -> None:
    with suppress(Exception):  # of a JVM that is gone
        lake.spark.sparkContext.cancelAllJobs()
    for table in writes:
        version = before.get(table.name)
        try:
            if lake.version(table) == version:
                continue
            if version is None:
                lake.drop(table)
                logger.warning("%s failed: %s, which it had made, is gone again", stage, table.name)
            else:
                lake.restore(table, version)
                logger.warning("%s failed: %s is back at version %d", stage, table.name, version)
        except Exception as error:
            logger.error("could not take %s back to version %s: %s", table.name, version, type(error).__name__)
