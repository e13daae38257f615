"""Prints the path from one row of recs.top_n back to the lines of the raw log that it rests on.

--user USER --item ITEM; the newest list of --set score.scene=…, or that of --run-date.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from recsys import app, tables
from recsys import columns as c
from recsys.errors import InputError
from recsys.frames.as_of import events_before
from recsys.lake.runs import CODE, scoring_record, training_record
from recsys.scoring.reasons import BUYERS, OF_CATEGORY
from recsys.scoring.top_n import ALL
from recsys.stages import Outcome, Run

# Days that the evidence of each kind looks back, and lines of the log that are shown for each.
_DAYS = {OF_CATEGORY: 91, BUYERS: 28}
_HISTORY_DAYS = 365
_LEARNED_DAYS = 2 * 365  # a model knows a year before its training
_SHOWN = 10
_DONE = (c.VIEW, c.CART, c.PURCHASE)


def report(run: Run, outcomes: Sequence[Outcome]) -> str:
    _ = outcomes
    row = _row(run)
    of_score, of_train = _records(run, row)
    lines = [*_row_lines(row), "", *_lineage_lines(row, of_score, of_train)]
    events = _events(run, of_score).where(F.col(c.EVENT_TYPE).isin(*_DONE))
    for number, evidence in enumerate(row[c.EVIDENCE], start=1):
        rests_on = _lines_behind(run, row, evidence, events)
        lines += ["", f"evidence {number}: {_told(evidence)}", *_event_lines(run, rests_on)]
    if not row[c.EVIDENCE]:
        own = events_before(events, row[c.RUN_DATE], _HISTORY_DAYS).where(F.col(c.USER_ID) == row[c.USER_ID])
        lines += ["", "no evidence is told: the user's newest events", *_event_lines(run, own)]
    return "\n".join(lines)


def _row(run: Run) -> Row:
    """Raises InputError with what the user's newest list has, where the row is not there."""
    user, item, scene = run.options["user"], run.options["item"], run.config.score.scene
    lists = run.lake.read(tables.TOP_N).where((F.col(c.SCENE) == scene) & (F.col(c.USER_ID) == user))
    if run.run_date is not None:
        lists = lists.where(F.col(c.RUN_DATE) == F.lit(run.run_date))
    newest = lists.agg(F.max(c.RUN_DATE).alias(c.RUN_DATE)).first()
    day = None if newest is None else newest[c.RUN_DATE]
    found = [] if day is None else lists.where(F.col(c.RUN_DATE) == F.lit(day)).orderBy(c.RANK).collect()
    rows = [row for row in found if row[c.ITEM_ID] == item]
    if not rows:
        raise InputError(
            f"recs.top_n has no row of {user!r} with item {item!r} in {scene} for {day or run.run_date or 'all days'}; "
            f"the user's list has {[row[c.ITEM_ID] for row in found]}. Cure: give one of these as --item, another "
            "--run-date, or --set score.scene=…"
        )
    return rows[0]


def _records(run: Run, row: Row) -> tuple[Row | None, Row | None]:
    """The run that scored the row, and the training of its model; None where there is no record of it, or, of fused
    models, no single training."""
    name, version = row[c.MODEL_NAME], row[c.MODEL_VERSION]
    of_train = None if version is None else training_record(run.lake, name, version, row[c.RUN_DATE])
    return scoring_record(run.lake, row[c.RUN_ID], row[c.RUN_DATE]), of_train


def _row_lines(row: Row) -> list[str]:
    score = "none" if row[c.SCORE] is None else f"{row[c.SCORE]:.6f}"
    place = f"{row[c.RUN_DATE]}, {row[c.SCENE]}, user {row[c.USER_ID]}, rank {row[c.RANK]}"
    rules = f"rank before rules {row[c.RANK_BEFORE_RULES]}, rules {row[c.RULES]}"
    return [
        f"recs.top_n: {place}: item {row[c.ITEM_ID]}",
        f"  score {score}, candidate from {row[c.SOURCE]}, {rules}",
        f"  reason {row[c.REASON]}: {row[c.REASON_EN]} {row[c.REASON_ZH]}",
    ]


def _lineage_lines(row: Row, of_score: Row | None, of_train: Row | None) -> list[str]:
    is_fused = row[c.MODEL_VERSION] is None
    of_models = (
        f"models {row[c.MODEL_NAME]}" if is_fused else f"model {row[c.MODEL_NAME]} version {row[c.MODEL_VERSION]}"
    )
    lines = [f"{of_models}, scored by run {row[c.RUN_ID]}"]
    if is_fused:
        lines.append("  train: the lists of these models were fused; the registry has what each was trained from")
    for stage, record in (("score", of_score), *(() if is_fused else (("train", of_train),))):
        if record is None:
            lines.append(f"  {stage}: ops.runs holds no record of it any more; tables are read as they are now")
        else:
            lines += _record_lines(stage, record)
    return lines


def _record_lines(stage: str, record: Row) -> list[str]:
    figures = json.loads(record[c.FIGURES])
    return [
        f"  {stage}: run {record[c.RUN_ID]} for {record[c.RUN_DATE]}, ended {record[c.FINISHED_TS]:%Y-%m-%d %H:%M} UTC,"
        f" code {figures.get(CODE, 'unknown')}",
        *(f"    {name} version {version}" for name, version in sorted(record[c.VERSIONS].items())),
    ]


def _events(run: Run, of_score: Row | None) -> DataFrame:
    """clean.events as the run read it."""
    version = None if of_score is None else of_score[c.VERSIONS].get(tables.EVENTS.name)
    return run.lake.read(tables.EVENTS, version)


def _lines_behind(run: Run, row: Row, evidence: Any, events: DataFrame) -> DataFrame:
    days = _DAYS.get(evidence["kind"], _LEARNED_DAYS if row[c.SOURCE] == ALL else _HISTORY_DAYS)
    before, is_purchase = events_before(events, row[c.RUN_DATE], days), F.col(c.EVENT_TYPE) == c.PURCHASE
    is_own: Column = F.col(c.USER_ID) == row[c.USER_ID]
    if evidence["kind"] == BUYERS:
        return before.where(is_purchase & (F.col(c.ITEM_ID) == evidence["id"]))
    if evidence["kind"] == OF_CATEGORY:
        versions = run.lake.read(tables.ITEM_HISTORY).where(F.col(c.CATEGORY) == evidence["id"])
        held = versions.select(F.col(c.ITEM_ID).alias("of_item"), c.VALID_FROM, c.VALID_TO)
        is_held = (
            (F.col(c.ITEM_ID) == F.col("of_item"))
            & (F.col(c.EVENT_DATE) >= F.col(c.VALID_FROM))
            & (F.col(c.VALID_TO).isNull() | (F.col(c.EVENT_DATE) < F.col(c.VALID_TO)))
        )
        return before.where(is_purchase & is_own).join(held, on=is_held, how="left_semi")
    return before.where(is_own & (F.col(c.ITEM_ID) == evidence["id"]))


def _told(evidence: Any) -> str:
    count = "" if evidence["count"] is None else f", {evidence['count']}"
    owed = evidence[c.CONTRIBUTION]
    contribution = "no part of the score" if owed is None else f"the score falls by {owed:.6f} without it"
    return f"{evidence['kind']} {evidence['id']}{count}; {contribution}"


def _event_lines(run: Run, events: DataFrame) -> list[str]:
    total = events.count()
    newest = events.orderBy(F.desc(c.EVENT_TS), c.SOURCE_FILE, c.SOURCE_ROW).limit(_SHOWN).collect()
    checksums = _checksums(run, [row[c.SOURCE_FILE] for row in newest])
    shown = [
        f"  {row[c.EVENT_TS]} user {row[c.USER_ID]} {row[c.EVENT_TYPE]} {row[c.ITEM_ID]}: {row[c.SOURCE_FILE]} "
        f"record {row[c.SOURCE_ROW]}{checksums.get(row[c.SOURCE_FILE], '')}"
        for row in newest
    ]
    return [f"  rests on {total} lines of the log{'' if total == len(shown) else f', the newest {len(shown)}'}", *shown]


def _checksums(run: Run, files: Sequence[str]) -> dict[str, str]:
    """Of the files as they were taken: a file that has changed since is another."""
    if not run.lake.exists(tables.LEDGER):
        return {}
    ledger = run.lake.read_older(tables.LEDGER).where(F.col(c.SOURCE_FILE).isin(*set(files)))
    return {row[c.SOURCE_FILE]: f" (SHA-256 {row[c.CHECKSUM][:12]}…)" for row in ledger.collect()}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--user", required=True, help="user_id of the row")
    parser.add_argument("--item", required=True, help="item_id of the row")


def _nothing(run: Run) -> list[Outcome]:
    _ = run
    return []


if __name__ == "__main__":
    sys.exit(app.run_program("explain_row", __doc__, _nothing, report=report, add_options=_add_options))
