"""The program around a job: configuration, session, lock, summary and exit code."""

import json
import logging
import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from recsys.arguments import Arguments, no_options, parse_arguments
from recsys.errors import ConfigError, EnvironmentProblem, RecsysError
from recsys.lake.lock import writer_lock
from recsys.lake.session import build_session, require_java
from recsys.lake.store import Lake
from recsys.logs import configure_logging
from recsys.stages import Outcome, Run, Stage, run_stage

logger = logging.getLogger(__name__)


def main(stage: Stage, description: str | None = None) -> int:
    """Runs one stage from the command line and returns its exit code."""
    return run_program(stage.name, description, lambda run: [checked_stage(stage, run)])


def checked_stage(stage: Stage, run: Run) -> Outcome:
    stage.check(run)
    return run_stage(stage, run)


def run_program(
    name: str,
    description: str | None,
    work: Callable[[Run], list[Outcome]],
    *,
    report: Callable[[Run, Sequence[Outcome]], str] | None = None,
    add_options: Callable[[ArgumentParser], None] = no_options,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parses, checks, locks the lake, works, reports. 0: done; 2: the user can mend it; 1: the rest."""
    configure_logging()
    _use_utc()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        parsed = parse_arguments(description, sys.argv[1:] if arguments is None else arguments, add_options)
        _require_local_room(parsed.config.lake.root)
        with _running(name, parsed) as run:
            outcomes = work(run)
            text = (report or summary)(run, outcomes)
        _print_result(name, parsed.config.lake.root, text, outcomes)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        return _report(name, error)


@contextmanager
def _running(name: str, arguments: Arguments) -> Iterator[Run]:
    require_java()
    spark = build_session(f"recsys-{name}", arguments.config.spark)
    # Spark's own handler calls the JVM from within a call that is waiting for it.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        lake = Lake(spark, arguments.config.lake.root)
        with writer_lock(spark, lake.root, what=f"{name} for {arguments.run_date or 'the newest day'}"):
            yield Run(
                spark=spark,
                lake=lake,
                config=arguments.config,
                conf_folder=arguments.conf_folder,
                run_date=arguments.run_date,
                options=arguments.options,
            )
    finally:
        # An interrupt reaches the JVM too: that it is gone already must not hide why the job ended.
        with suppress(Exception):
            spark.stop()


def _report(name: str, error: BaseException) -> int:
    # Whatever fails on the way out of an interrupt, it was an interrupt.
    if any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error)):
        logger.error(
            "%s was interrupted; tables are as the last finished stage left them. Start it again to go on", name
        )
        return 1
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
    if "No space left on device" in "\n".join(map(_text, _causes(error))):
        return EnvironmentProblem(
            "the disk is full: a write ended with 'No space left on device'. The tables are as they were before this "
            "stage. Cure: free space (the lake and Spark's spark.local.dir both need some), then start the job again"
        )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _text(error: BaseException) -> str:
    """An error of the JVM asks the JVM for its text, which may be gone."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


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
