"""Raw log files, as conf/sources/<source.name>.yaml maps them, to clean tables, quarantine, counts and dense ids.

Takes the files that clean.ledger does not know yet, or whose content changed since; the tables are those of a run over
all files. With other rules (mapping, limits, code of recsys/clean) all files are taken again, where none is gone or
--forget drops the rows of those; --from, --to and --requeue take some again that did not change.
"""

import json
import logging
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._stream import run_on_arrival
from recsys import app, tables
from recsys import columns as c
from recsys.arguments import parse_day
from recsys.clean.across import is_any_asked
from recsys.clean.alarms import require_known_rules
from recsys.clean.inputs import Source, open_source, require_readable, rules_hash, state
from recsys.clean.ledger import (
    Entry,
    Files,
    Intake,
    Known,
    entries_from,
    new_names,
    plan_intake,
    require_none_forgotten,
)
from recsys.clean.log import Before, CleanLog, Past, clean_log, tables_by_file
from recsys.clean.quality import figures, quality_rows, rows_by_file
from recsys.clean.rules import EVENTS, ITEMS, PROMOTIONS
from recsys.clean.users import clean_users
from recsys.config import CleanConfig
from recsys.errors import ConfigError
from recsys.frames.caches import releasing
from recsys.frames.keys import new_ids
from recsys.frames.local_rows import local_rows
from recsys.lake.at_once import at_once
from recsys.lake.store import Lake, is_one_of
from recsys.stages import Figures, Outcome, Run, Stage, run_stage
from recsys.tables import Table

logger = logging.getLogger(__name__)


def source(run: Run) -> Source:
    return open_source(run.spark, run.conf_folder, run.config.source)


def run(run: Run) -> Figures:
    with releasing(run.spark.catalog.clearCache):
        log_source = source(run)
        known = _known(run, log_source)
        intake = _planned(run, log_source, known)
        _report(intake, known)
        before = None if intake.is_whole else _before(run.lake, run.config.clean)
        log = clean_log(run.spark, log_source, run.config.clean, intake, before, _past(run.lake, intake))
        _report_unnamed(log, known.entries)
        ledger = _ledger_rows(run, log_source, log, known.rules)
        write(run.lake, log, ledger, run.config.clean, None if intake.is_whole else known.by_file)
        return {**figures(log.counts, log.reasons), **_sizes(run.lake)}


def check(run: Run) -> None:
    """Looks at the files that the run would take, before any of them is read."""
    require_known_rules(run.config.clean)
    log_source = source(run)
    _planned(run, log_source, _known(run, log_source))


def _planned(run: Run, log_source: Source, known: Known) -> Intake:
    intake = plan_intake(log_source.files(), known, log_source.folder.checksum)
    if not run.options.get("forget"):
        require_none_forgotten(intake, log_source.folder.root)
    require_readable(log_source, intake.files, known.entries)
    return intake


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--from", metavar="YYYY-MM-DD", help="takes files again that have rows of this day (UTC) or later"
    )
    parser.add_argument(
        "--to", metavar="YYYY-MM-DD", help="or of this day or earlier; with both, of a day between them"
    )
    parser.add_argument("--requeue", action="store_true", help="takes files again that have rows in quarantine")
    parser.add_argument(
        "--forget",
        action="store_true",
        help="where all files are to be taken again: drops the rows of those that are gone",
    )
    parser.add_argument(
        "--stream", action="store_true", help="as a stream over the files that arrive, until all are taken"
    )
    parser.add_argument("--every", type=int, metavar="SECONDS", help="as a stream that goes on and looks so often")


def _again(run: Run) -> frozenset[tuple[str, str]]:
    """Table and path of the files that the command line asks to take again."""
    first, last = (parse_day(f"--{name}", run.options.get(name)) for name in ("from", "to"))
    if first and last and first > last:
        raise ConfigError(f"--from {first} lies after --to {last}: give the earlier day first")
    if not run.lake.exists(tables.QUALITY):
        return frozenset()
    is_asked = F.lit(False)
    if first or last:
        is_asked |= F.col(c.EVENT_DATE).between(F.lit(first or date.min), F.lit(last or date.max))
    if run.options.get("requeue"):
        is_asked |= F.col(c.ROWS_QUARANTINED) > 0
    elif not (first or last):
        return frozenset()
    files = run.lake.read(tables.QUALITY).where(is_asked).select(c.SOURCE_TABLE, c.SOURCE_FILE).distinct().collect()
    return frozenset((row[c.SOURCE_TABLE], row[c.SOURCE_FILE]) for row in files)


def _known(run: Run, log_source: Source) -> Known:
    rows = run.lake.read_older(tables.LEDGER).collect() if run.lake.exists(tables.LEDGER) else []
    return Known(
        entries=entries_from([row.asDict() for row in rows]),
        rules=rules_hash(log_source, run.config.clean),
        by_file=tables_by_file(log_source.mapping),
        again=_again(run),
        names={name: table.known for name, table in log_source.mapping.tables.items() if table.known is not None},
    )


def _before(lake: Lake, limits: CleanConfig) -> Before:
    return Before(
        events=lake.read(tables.EVENTS),
        items=_pinned(lake, tables.ITEMS),
        item_values=_pinned(lake, tables.ITEM_VALUES),
        users=lake.read(tables.USERS),
        quarantine=lake.read(tables.QUARANTINE),
        has_held=is_any_asked(limits),
        are_items_whole=lake.note(tables.LEDGER) == _items_state(lake),
    )


def _pinned(lake: Lake, table: Table) -> DataFrame:
    """As it is now, also once this run has written it: what the new rows are compared with."""
    return lake.read(table, lake.version(table))


def _past(lake: Lake, intake: Intake) -> Past:
    def found(table: Table) -> DataFrame | None:
        return lake.read_older(table, lake.version(table)) if lake.exists(table) else None

    def found_of_corrected(name: str, table: Table) -> DataFrame | None:
        """Where no file changed in place, each says when its rows became known, and none need be compared."""
        return found(table) if any(file.was_corrected for file in intake.there.get(name, ())) else None

    return Past(
        item_history=found(tables.ITEM_HISTORY),
        user_history=found(tables.USER_HISTORY),
        events=found_of_corrected(EVENTS, tables.EVENTS),
        item_values=found_of_corrected(ITEMS, tables.ITEM_VALUES),
        promotions=found_of_corrected(PROMOTIONS, tables.PROMOTIONS),
    )


def _report(intake: Intake, known: Known) -> None:
    if intake.is_whole:
        logger.info("taking all files, since there are no tables of the same rules")
    else:
        num_files = sum(map(len, intake.files.values()))
        logger.info("taking %d files: new, changed, or asked for again (%d)", num_files, len(known.again))
    if intake.changed:
        logger.warning("changed since they were taken, their rows are replaced: %s", ", ".join(intake.changed))
    if intake.gone:
        rows = "are dropped" if intake.is_whole else "stay"
        logger.warning("no longer in the input folder, their rows %s: %s", rows, ", ".join(intake.gone))


def _report_unnamed(log: CleanLog, entries: Sequence[Entry]) -> None:
    for table, names in new_names(log.unnamed, entries).items():
        logger.warning(
            "%s: columns of the files that the mapping does not name: %s. They are %s; map them, or list them under "
            "%s.ignored",
            table, ", ".join(names), "kept as clean.events.rescued" if table == EVENTS else "not kept", table,
        )  # fmt: skip


def _ledger_rows(run: Run, log_source: Source, log: CleanLog, rules: str) -> DataFrame:
    checksums = log_source.folder.checksums(file for files in log.files.values() for file in files)
    counts = rows_by_file(log.counts)
    rows = [
        {
            **counts[table, file.path],
            c.SOURCE_TABLE: table,
            c.SOURCE_FILE: file.path,
            c.NUM_BYTES: file.num_bytes,
            c.MODIFIED_MS: file.modified_ms,
            c.CHECKSUM: checksums[file.path],
            c.RULES: rules,
            c.KNOWN_MS: file.known_ms,
            c.FIRST_KNOWN_MS: file.first_known_ms,
            c.RESCUED: list(log.unnamed[table]),
            c.COLUMN_KINDS: dict(log_source.folder.head(file, log_source.mapping.tables[table]).kinds),
            c.RUN_ID: run.run_id,
        }
        for table, files in log.files.items()
        for file in files
    ]
    values = [tuple(row[name] for name in tables.LEDGER.column_names) for row in rows]
    return local_rows(run.spark, values, tables.LEDGER.schema)


def write(lake: Lake, log: CleanLog, ledger: DataFrame, limits: CleanConfig, by_file: frozenset[str] | None) -> None:
    """`by_file`: tables whose rows are replaced file by file; None: the tables are made anew.

    The ledger last: a run that was killed before takes its files again, and replaces what it wrote of them.
    """
    is_whole = by_file is None
    of_files = {table: _is_of(files) for table, files in log.files.items()}
    of_rows = _rows_of(log.files, by_file or frozenset())
    wheres = {tables.EVENTS: of_files.get(EVENTS), tables.ITEM_VALUES: of_files.get(ITEMS)}
    wheres |= dict.fromkeys((tables.QUARANTINE, tables.QUALITY), of_rows)
    rows = {
        tables.EVENTS: log.events and log.events.hint("rebalance", c.EVENT_DATE),
        tables.PROMOTIONS: log.promotions,
        tables.ITEMS: log.items,
        tables.ITEM_VALUES: log.item_values,
        tables.ITEM_HISTORY: log.item_history,
        tables.USER_HISTORY: log.user_history,
        tables.QUARANTINE: log.quarantine,
        tables.QUALITY: quality_rows(lake.spark, log.counts) if log.counts else None,
        **log.offers,
    }
    changed = {table: frame for table, frame in rows.items() if frame is not None}
    at_once(
        lake.spark,
        [
            partial(lake.overwrite, table, frame, None if is_whole else wheres.get(table))
            for table, frame in changed.items()
        ],
    )
    _write_users(lake, log, limits, is_whole=is_whole)
    _write_ids(lake)
    if log.files:
        lake.overwrite(tables.LEDGER, ledger.coalesce(1), None if is_whole else of_rows, note=_items_state(lake))


def _is_of(files: Files) -> str:
    return is_one_of(c.SOURCE_FILE, (file.path for file in files))


def _rows_of(files: Mapping[str, Files], by_file: frozenset[str]) -> str:
    """Of a table that is read whole all rows, those of files that are gone too."""
    return " OR ".join(
        f"({c.SOURCE_TABLE} = '{table}'{f' AND {_is_of(of_table)}' if table in by_file else ''})"
        for table, of_table in files.items()
    )


def _items_state(lake: Lake) -> str:
    """What a whole run leaves in the ledger's commit: where it differs later, a run broke off between these tables."""
    return json.dumps(lake.versions((tables.ITEM_VALUES, tables.ITEMS, tables.ITEM_HISTORY)), sort_keys=True)


def _write_users(lake: Lake, log: CleanLog, limits: CleanConfig, *, is_whole: bool) -> None:
    events = lake.read(tables.EVENTS)
    if is_whole or log.are_users_whole or log.named_users is not None:
        lake.overwrite(tables.USERS, clean_users(log.named_users, events, limits))
    elif log.events is not None:
        known = lake.read(tables.USERS).select(c.USER_ID)
        new = clean_users(None, log.events, limits).join(known, on=c.USER_ID, how="left_anti")
        if not new.isEmpty():
            lake.append(tables.USERS, new)


def _write_ids(lake: Lake) -> None:
    items, users = lake.read(tables.ITEMS), lake.read(tables.USERS)
    with_ids = ((tables.USER_IDS, users), (tables.ITEM_IDS, items), (tables.CATEGORY_IDS, items))
    at_once(lake.spark, [partial(append_new_ids, lake, table, rows) for table, rows in with_ids])


def append_new_ids(lake: Lake, table: Table, rows: DataFrame) -> None:
    key, idx = table.column_names
    if not lake.exists(table):
        lake.overwrite(table, new_ids(local_rows(lake.spark, [], f"{key} string, {idx} int"), rows, key, idx))
    elif not (added := new_ids(lake.read(table), rows, key, idx)).isEmpty():
        lake.append(table, added)


def _sizes(lake: Lake) -> Figures:
    sized = {"items": tables.ITEMS, "promotions": tables.PROMOTIONS, "users": tables.USERS}
    counts = at_once(lake.spark, [lake.read(table).count for table in sized.values()])
    return dict(zip(sized, counts, strict=True))


STAGE = Stage(
    name="clean_logs",
    reads=(),
    writes=tuple(table for table in tables.ALL_TABLES if table.writer == "clean_logs"),
    settings=("source", "clean"),
    run=run,
    check=check,
    inputs=lambda run: state(source(run)),
    is_dated=False,
)


def work(run: Run) -> list[Outcome]:
    every = run.options["every"]
    if every is not None and every < 1:
        raise ConfigError(f"--every takes whole seconds, at least 1, got {every}")
    STAGE.check(run)
    if not (run.options["stream"] or every):
        return [run_stage(STAGE, run)]
    checkpoint = f"{run.lake.root}/_streams/{STAGE.name}"
    folder = source(run).folder.root
    return [run_on_arrival(run.spark, folder, checkpoint, lambda: run_stage(STAGE, run), every)]


if __name__ == "__main__":
    sys.exit(app.run_program(STAGE.name, __doc__, work, add_options=add_options))
