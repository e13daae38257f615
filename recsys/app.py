"""What every job shares: arguments, configuration, session, lock, record of the run, summary and exit code."""

import argparse
import functools
import hashlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, Config, load_config
from recsys.errors import ConfigError, EnvironmentProblem, InputError, RecsysError
from recsys.lake import runs
from recsys.lake.lock import writer_lock
from recsys.lake.session import build_session, require_java
from recsys.lake.store import Lake
from recsys.logs import configure_logging
from recsys.tables import Table

logger = logging.getLogger(__name__)

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """A job's command line; `--lake` is already in the configuration."""

    config: Config
    conf_folder: Path
    run_date: date | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a stage works with. `run_id` is its fingerprint: the same input, code and settings give the same id."""

    spark: SparkSession
    lake: Lake
    config: Config
    conf_folder: Path
    run_date: date | None
    run_id: str = ""

    @property
    def day(self) -> date:
        """The run date of a stage that has one: `run_stage` has settled it before the stage runs."""
        assert self.run_date is not None, "only clean_logs runs without a date"
        return self.run_date


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One job.

    `settings` are the configuration sections it depends on; `check` refuses wrong input before anything is written;
    `inputs` names the state of what lies outside the lake (files, models); `is_dated` is false where a stage takes
    all days at once. `rows_of` is the figure that counts the rows of its main table.
    """

    name: str
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]
    settings: tuple[str, ...]
    run: Callable[[Run], Figures]
    check: Callable[[Run], None] = lambda _: None
    inputs: Callable[[Run], Sequence[str]] = lambda _: ()
    is_dated: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a stage went, for the summary."""

    stage: str
    seconds: float
    is_skipped: bool
    figures: Figures = field(default_factory=dict)


def parse_arguments(description: str | None, arguments: Sequence[str]) -> Arguments:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", action="append", default=[], metavar="FILE", help="YAML file; later wins")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    parser.add_argument("--lake", metavar="URI", help="the same as --set lake.root=URI")
    parser.add_argument("--run-date", metavar="YYYY-MM-DD", help="default: the day after the last clean event")
    known = parser.parse_args(arguments)
    overrides = [*known.overrides, *([f"lake.root={known.lake}"] if known.lake else [])]
    files = known.config or [CONF_FOLDER / "local.yaml"]
    config = load_config(files, overrides)
    root = absolute_uri(config.lake.root)
    return Arguments(
        config=replace(config, lake=replace(config.lake, root=root)),
        conf_folder=_conf_folder(files),
        run_date=_parse_run_date(known.run_date),
    )


def absolute_uri(root: str) -> str:
    """Spark, MLflow and the workers run in other folders: a relative lake would be another one for each."""
    return root if "://" in root else str(Path(root).expanduser().resolve())


def _conf_folder(files: Sequence[str | Path]) -> Path:
    folder = Path(files[0]).resolve().parent
    return folder if (folder / "sources").is_dir() else CONF_FOLDER


def _parse_run_date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--run-date must be a day like 2017-12-18, got {text!r}") from error


def main(stage: Stage, description: str | None = None) -> int:
    """Runs one stage from the command line and returns its exit code."""
    return run_program(stage.name, description, lambda run: [run_stage(stage, run)], checks=(stage.check,))


def run_program(
    name: str,
    description: str | None,
    work: Callable[[Run], list[Outcome]],
    *,
    checks: Sequence[Callable[[Run], None]] = (),
    report: Callable[[Run, Sequence[Outcome]], str] | None = None,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parses, checks, locks the lake, works, reports. 0: done; 2: the user can mend it; 1: the rest."""
    configure_logging()
    _use_utc()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        parsed = parse_arguments(description, sys.argv[1:] if arguments is None else arguments)
        _require_local_room(parsed.config.lake.root)
        with _running(name, parsed) as run:
            for check in checks:
                check(run)
            outcomes = work(run)
            text = (report or summary)(run, outcomes)
        _print_result(name, parsed.config.lake.root, text, outcomes)
        return 0
    except Exception as error:
        return _report(name, error)
    except KeyboardInterrupt:
        logger.error(
            "%s was interrupted; tables are as the last finished stage left them. Start it again to go on", name
        )
        return 1


@contextmanager
def _running(name: str, arguments: Arguments) -> Iterator[Run]:
    require_java()
    spark = build_session(f"recsys-{name}", arguments.config.spark)
    try:
        lake = Lake(spark, arguments.config.lake.root)
        with writer_lock(spark, lake.root, what=f"{name} for {arguments.run_date or 'the newest day'}"):
            yield Run(
                spark=spark,
                lake=lake,
                config=arguments.config,
                conf_folder=arguments.conf_folder,
                run_date=arguments.run_date,
            )
    finally:
        # An interrupt reaches the JVM too: that it is gone already must not hide why the job ended.
        with suppress(Exception):
            spark.stop()


def run_stage(stage: Stage, run: Run, *, is_skippable: bool = False) -> Outcome:
    """Runs a stage and records it in ops.runs; with `is_skippable`, not where its last run still stands.

    A stage that fails leaves its tables as they were: what it had already written is taken back.
    """
    run = _settled(stage, run)
    run = replace(run, run_id=fingerprint(stage, run))
    if is_skippable and (last := runs.standing_run(run.lake, stage.name, run.run_date, run.run_id, stage.writes)):
        logger.info("%s: nothing changed since run %s; skipped", stage.name, run.run_id)
        return Outcome(stage.name, 0.0, is_skipped=True, figures=last)
    before = run.lake.versions(stage.writes)
    started = time.monotonic()
    logger.info("%s for %s: started (run %s)", stage.name, run.run_date or "all days", run.run_id)
    try:
        figures = stage.run(run)
    except BaseException:
        _take_back(run.lake, stage, before)
        raise
    seconds = time.monotonic() - started
    versions = run.lake.versions((*stage.reads, *stage.writes))
    runs.record(run.lake, stage.name, run.run_date, run.run_id, seconds, versions, figures)
    logger.info("%s: done in %.1f s", stage.name, seconds)
    return Outcome(stage.name, seconds, is_skipped=False, figures=figures)


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
        "tables": runs.origins(run.lake, stage.reads, run.run_date),
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
    missing = [table for table in stage.reads if not run.lake.exists(table)]
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


def _take_back(lake: Lake, stage: Stage, before: Mapping[str, int]) -> None:
    for table in stage.writes:
        version = before.get(table.name)
        try:
            if version is not None and lake.version(table) != version:
                lake.restore(table, version)
                logger.warning("%s failed: %s is back at version %d", stage.name, table.name, version)
        except Exception as error:
            logger.error("could not take %s back to version %s: %s", table.name, version, error)


def _report(name: str, error: Exception) -> int:
    known = explained(error)
    if known is None:
        logger.error("%s failed", name, exc_info=error)
        return 1
    logger.error("%s stopped: %s", name, known)
    return known.exit_code


def explained(error: BaseException) -> RecsysError | None:
    """Our own error, or one that says what a known failure of the machine means; None for the unknown."""
    if isinstance(error, RecsysError):
        return error
    if "No space left on device" in _whole_text(error):
        return EnvironmentProblem(
            "the disk is full: a write ended with 'No space left on device'. The tables are as they were before this "
            "stage. Cure: free space (the lake and Spark's spark.local.dir both need some), then start the job again"
        )
    return None


def _whole_text(error: BaseException) -> str:
    causes = [str(error)]
    while (cause := error.__cause__ or error.__context__) is not None:
        causes.append(str(cause))
        error = cause
    return "\n".join(causes)


def _require_local_room(root: str) -> None:
    """Refused before Spark starts: a lake folder that cannot be written, or a disk with next to nothing left."""
    if "://" in root and not root.startswith("file:"):
        return
    folder = Path(root.removeprefix("file://").removeprefix("file:"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"lake.root {folder} cannot be made: {error.strerror}; give a folder you may write"
        ) from error
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"lake.root {folder} cannot be written by this user; give a folder you may write")


def _use_utc() -> None:
    """Rows that pass through Python take the process's zone: fix it, whatever the machine's clock says."""
    os.environ["TZ"] = "UTC"
    time.tzset()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def summary(run: Run, outcomes: Sequence[Outcome]) -> str:
    """For people: each stage with its figures."""
    lines = [f"lake {run.lake.root}"]
    for outcome in outcomes:
        took = "skipped, nothing changed" if outcome.is_skipped else f"{outcome.seconds:.1f} s"
        lines.append(f"  {outcome.stage:<16} {took}")
        lines.extend(f"    {key}: {_readable(value)}" for key, value in outcome.figures.items())
    return "\n".join(lines)


def _print_result(name: str, root: str, text: str, outcomes: Sequence[Outcome]) -> None:
    """The text for people, then all figures as one JSON line, the last line of standard output."""
    stages = [
        {"stage": o.stage, "seconds": round(o.seconds, 2), "skipped": o.is_skipped, **o.figures} for o in outcomes
    ]
    sys.stdout.write(f"{text}\n{json.dumps({'job': name, 'lake': root, 'stages': stages})}\n")
    sys.stdout.flush()


def _readable(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
