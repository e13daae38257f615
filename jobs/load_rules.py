"""Loads business rules and what is in stock from files into rules.rules and rules.stock, each replaced as a whole.

--rules FILE: a YAML list of rules, or CSV with the columns of rules.rules, several items or values parted by `;`.
--stock FILE: CSV of item_id and units.
"""

import csv
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from recsys import app, tables
from recsys import columns as c
from recsys.errors import InputError
from recsys.frames.local_rows import local_rows
from recsys.scoring.rules import rules_of
from recsys.stages import Figures, Run, Stage

RULES_OPTION, STOCK_OPTION = "rules", "stock"
_TYPES = {column.name: column.type for column in tables.BUSINESS_RULES.columns}
_PARTED_BY = ";"


def run(run: Run) -> Figures:
    figures: Figures = {c.ROWS: 0}
    if run.options[RULES_OPTION]:
        rules = rules_of(rule_rows(Path(run.options[RULES_OPTION])))
        values = [tuple(asdict(rule)[name] for name in tables.BUSINESS_RULES.column_names) for rule in rules]
        run.lake.overwrite(tables.BUSINESS_RULES, local_rows(run.spark, values, tables.BUSINESS_RULES.schema))
        figures |= {c.ROWS: len(rules), "kinds": sorted({rule.kind for rule in rules})}
    if run.options[STOCK_OPTION]:
        stock = stock_rows(Path(run.options[STOCK_OPTION]))
        run.lake.overwrite(tables.STOCK, local_rows(run.spark, sorted(stock.items()), tables.STOCK.schema))
        figures["items_in_stock"] = sum(units > 0 for units in stock.values())
    return figures


def rule_rows(file: Path) -> list[dict[str, Any]]:
    """Typed as rules.rules. Raises InputError for what is no list of rules, an unknown column or a wrong value."""
    entries = _csv_rows(file) if file.suffix.lower() == ".csv" else _yaml_rows(file)
    return [
        {name: _typed(value, name, f"{file.name}, rule {number}") for name, value in entry.items()}
        for number, entry in enumerate(entries, start=1)
    ]


def stock_rows(file: Path) -> dict[str, float]:
    rows = _csv_rows(file)
    if rows and not {c.ITEM_ID, c.UNITS} <= set(rows[0]):
        raise InputError(f"{file} has columns {sorted(rows[0])}; expected item_id and units. Cure: name them so")
    stock = {str(row[c.ITEM_ID]): _number(row[c.UNITS], f"{file.name}, row {n}") for n, row in enumerate(rows, start=1)}
    if len(stock) < len(rows):
        raise InputError(f"{file} has {len(rows)} rows for {len(stock)} items; expected one a row. Cure: add them up")
    return stock


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: units must be a number, found {value!r}. Cure: mend the file") from error


def _csv_rows(file: Path) -> list[dict[str, Any]]:
    with _opened(file) as lines:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(lines)]


def _yaml_rows(file: Path) -> list[dict[str, Any]]:
    with _opened(file) as text:
        try:
            entries = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"{file} is not valid YAML: {error}. Cure: mend the file") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{file} must hold a list of rules, each with rule_id and kind; see jobs/README.md")
    return entries


def _opened(file: Path) -> Any:
    try:
        return file.open(encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}. Cure: give an existing file") from error


def _typed(value: Any, name: str, where: str) -> Any:
    if name not in _TYPES:
        raise InputError(
            f"{where} has {name!r}; expected columns of rules.rules: {sorted(_TYPES)}. Cure: mend the file"
        )
    if value is None:
        return None
    try:
        return _CASTS[_TYPES[name]](value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {name} must be {_TYPES[name]}, found {value!r}. Cure: mend the file") from error


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _texts(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else str(value).split(_PARTED_BY)
    return [str(part).strip() for part in parts]


_CASTS: Mapping[str, Any] = {"string": str, "int": int, "bigint": int, "date": _day, "array<string>": _texts}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rules", metavar="FILE", help="YAML or CSV; replaces all rules")
    parser.add_argument("--stock", metavar="FILE", help="CSV of item_id and units; replaces the stock")


def _check(run: Run) -> None:
    if not (run.options[RULES_OPTION] or run.options[STOCK_OPTION]):
        raise InputError("load_rules was given no file. Cure: --rules FILE, --stock FILE or both")


STAGE = Stage(
    name="load_rules",
    reads=(),
    writes=(tables.BUSINESS_RULES, tables.STOCK),
    settings=(),
    run=run,
    check=_check,
    is_dated=False,
)

if __name__ == "__main__":
    sys.exit(
        app.run_program(STAGE.name, __doc__, lambda run: [app.checked_stage(STAGE, run)], add_options=_add_options)
    )
