"""A job's command line."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from recsys.config import CONF_FOLDER, Config, conf_folder, load_config
from recsys.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """A job's command line; `--lake` is already in the configuration. `options` are the job's own, by name."""

    config: Config
    conf_folder: Path
    run_date: date | None
    options: Mapping[str, Any]


def no_options(_: argparse.ArgumentParser) -> None:
    """Of a job that takes what every job takes."""


def parse_arguments(
    description: str | None,
    arguments: Sequence[str],
    add_options: Callable[[argparse.ArgumentParser], None] = no_options,
) -> Arguments:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", action="append", default=[], metavar="FILE", help="YAML file; later wins")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    parser.add_argument("--lake", metavar="URI", help="the same as --set lake.root=URI")
    parser.add_argument("--run-date", metavar="YYYY-MM-DD", help="default: the day after the last clean event")
    common = {action.dest for action in parser._actions}
    add_options(parser)
    known = parser.parse_args(arguments)
    overrides = [*known.overrides, *([f"lake.root={known.lake}"] if known.lake else [])]
    files = known.config or [CONF_FOLDER / "local.yaml"]
    config = load_config(files, overrides)
    root = absolute_uri(config.lake.root)
    return Arguments(
        config=replace(config, lake=replace(config.lake, root=root)),
        conf_folder=conf_folder(files),
        run_date=parse_day("--run-date", known.run_date),
        options={name: value for name, value in vars(known).items() if name not in common},
    )


def absolute_uri(root: str) -> str:
    """Spark, MLflow and the workers run in other folders: a relative lake would be another one for each."""
    return root if "://" in root else str(Path(root).expanduser().resolve())


def parse_day(argument: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{argument} must be a day like 2017-12-18, got {text!r}") from error
