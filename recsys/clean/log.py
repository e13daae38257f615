"""One shop's log, from its files to the clean tables; everything is checked and counted before a table is written.

Either the whole log or, beside what is already clean, the files that are new or changed: both end with equal tables.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.across import is_any_asked, look_across, sifted, standing_lines, with_local_date
from recsys.clean.alarms import require_below_alarms
from recsys.clean.duplicates import Parted, part, settled_parts
from recsys.clean.events import clean_events, judged_events, with_first_known_event
from recsys.clean.files import InputFile
from recsys.clean.history import Described, history_of_files, newest, with_first_known, with_first_told_in_files
from recsys.clean.inputs import Source
from recsys.clean.items import (
    ITEM,
    clean_item_history,
    clean_items,
    history_beside,
    history_of_values,
    judged_items,
    merged_beside,
    merged_items,
    part_items,
)
from recsys.clean.ledger import Files, Intake, by_path
from recsys.clean.mapping import ItemsMapping, SourceMapping
from recsys.clean.offers import TABLES as OFFER_TABLES
from recsys.clean.offers import judged_offers
from recsys.clean.promotions import clean_promotions, judged_promotions, no_rows, with_first_known_promotion
from recsys.clean.quality import (
    DayCounts,
    count_days,
    count_left_out,
    count_reasons,
    quarantine_rows,
    require_events,
    require_reconciled,
)
from recsys.clean.rules import EVENTS, ITEMS, PROMOTIONS, USERS, Judged
from recsys.clean.scans import unnamed_columns
from recsys.clean.sources import read_raw, refusing_broken_files
from recsys.clean.users import ONE_A_FILE, USER, judged_users
from recsys.config import CleanConfig
from recsys.frames.caches import counted, settled
from recsys.logs import timed
from recsys.tables import ITEM_VALUES, USER_HISTORY, Table
from recsys.tables import PROMOTIONS as PROMOTIONS_TABLE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Before:
    """The clean tables that some files are taken into. `has_held`: rules across rows may have left out rows of them;
    `are_items_whole`: items and their history are made of these item_values, no more and no less."""

    events: DataFrame
    items: DataFrame
    item_values: DataFrame
    users: DataFrame
    quarantine: DataFrame
    has_held: bool = False
    are_items_whole: bool = False

    def good(self) -> DataFrame:
        """Place, identity and day of the rows that were right by themselves."""
        names = (c.SOURCE_FILE, c.SOURCE_ROW, c.IDENTITY, c.EVENT_DATE)
        events = self.events.select(*names)
        held = self.quarantine.where(F.col(c.EVENT).isNotNull()).select(*names)
        return events.unionByName(held) if self.has_held else events


@dataclass(frozen=True, kw_only=True)
class Past:
    """What earlier runs knew and the files of today do not hold; None: nothing. It stays the past of a run over the
    whole log too. `events`, `item_values`, `promotions`: the tables, where a file of them was once changed in place."""

    item_history: DataFrame | None = None
    user_history: DataFrame | None = None
    events: DataFrame | None = None
    item_values: DataFrame | None = None
    promotions: DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class Entities:
    """Items, or users of user files, not yet written: one row each as they are now, one row a version, and for items
    the rows of clean.item_values of the files that were read."""

    present: DataFrame
    history: DataFrame
    values: DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class CleanLog:
    """Frames of clean tables, not yet written: of all rows, or of `files` alone for events, quarantine and item_values.

    None: the table stays as it is, as do those of offers that are not in `offers`. `named_users` are those of the user
    files, if there are such files. `unnamed`: by source table, columns of its files that the mapping does not name.
    `are_users_whole`: all users are made anew, for somebody may have no event any more, or another mark.
    """

    files: Mapping[str, Files]
    events: DataFrame | None
    items: DataFrame | None
    item_values: DataFrame | None
    item_history: DataFrame | None
    named_users: DataFrame | None
    user_history: DataFrame | None
    promotions: DataFrame | None
    offers: Mapping[Table, DataFrame]
    quarantine: DataFrame | None
    counts: Mapping[str, Sequence[DayCounts]]
    reasons: Mapping[str, Mapping[str, int]]
    unnamed: Mapping[str, Sequence[str]]
    are_users_whole: bool


def tables_by_file(mapping: SourceMapping) -> frozenset[str]:
    """Tables whose rows can be replaced file by file; the others are read whole, they are as small as the catalogue."""
    return frozenset({EVENTS, *([ITEMS] if mapping.items.is_repeated else [])})


def clean_log(
    spark: SparkSession, source: Source, limits: CleanConfig, intake: Intake, before: Before | None, past: Past
) -> CleanLog:
    """`before` is None where the whole log is read.

    Raises InputError, SchemaError or DataQualityError where the files cannot become tables.
    """
    mapping = source.mapping
    parter = _Parter(spark, source, limits)
    items = _items(parter, mapping.items, intake, before, past)
    users = _users(parter, mapping, intake, past.user_history)
    promotions = _promotions(parter, mapping, intake, past.promotions)
    offers = _offers(parter, mapping, intake)
    kept_items = items.present if items is not None else None
    known_items = kept_items if kept_items is not None else _required(before).items
    known_users = _known_users(mapping, users, before)
    wanted = intake.files[EVENTS]
    if before is not None:
        complete = known_users if users is not None else None
        unsettled = _files_at(intake.there[EVENTS], _unsettled(kept_items, complete, before))
        wanted = by_path(tuple({*wanted, *unsettled}))
    events = parter.part_events(wanted, intake.there[EVENTS], known_items, known_users, before) if wanted else None
    if before is None:
        require_events(parter.counts[EVENTS], parter.reasons[EVENTS])
    require_below_alarms(parter.counts, limits)
    is_retaken = any(file.path in intake.taken for file in parter.files.get(EVENTS, ()))
    are_users_whole = is_retaken or bool(limits.reseller_quantity and events)
    if are_users_whole and users is None:
        users = _users(parter, mapping, replace(intake, files=intake.there), past.user_history)
    return CleanLog(
        files=parter.files,
        events=_known_events(parter, mapping, events, past.events) if events else None,
        items=clean_items(items.present, mapping.items.eligible) if items else None,
        item_values=items.values if items else None,
        item_history=clean_item_history(items.history, mapping.items.eligible) if items else None,
        named_users=users.present if users else None,
        user_history=_user_history(spark, users, past),
        promotions=clean_promotions(spark, promotions) if promotions is not None or before is None else None,
        offers=offers,
        quarantine=quarantine_rows(parter.parts) if parter.parts else None,
        counts=parter.counts,
        reasons=parter.reasons,
        unnamed=parter.unnamed,
        are_users_whole=are_users_whole,
    )


def _known_events(parter: "_Parter", mapping: SourceMapping, events: Parted, past: DataFrame | None) -> DataFrame:
    cleaned = clean_events(events.kept, mapping.local_time_zone)
    return with_first_known_event(cleaned, past, parter.files[EVENTS], mapping.events)


def _items(
    parter: "_Parter", mapping: ItemsMapping, intake: Intake, before: Before | None, past: Past
) -> Entities | None:
    """All items with what the files that are read say of them; None: as before."""
    files, first_day = intake.files[ITEMS], _first_day(parter.limits)
    if not files:
        return None
    by_values: list[DataFrame | None] = []

    def parted(judged: Judged) -> Parted:
        found, item_values = part_items(judged, mapping)
        by_values.append(item_values)
        return found

    said = parter.part(ITEMS, files, partial(judged_items, mapping=mapping, limits=parter.limits), parted).kept
    if by_values[0] is None:
        found = _by_files(said, past.item_history, files, ITEM, first_day)
        return replace(found, values=no_rows(said.sparkSession, ITEM_VALUES))
    told = by_values[0].select(*ITEM_VALUES.column_names)
    item_values = with_first_told_in_files(told, past.item_values, files, [F.col(name) for name in ITEM_VALUES.key])
    item_values = item_values if before is None else settled(item_values)
    others = before.item_values.where(~_is_of(files)) if before is not None else None
    of_all = item_values if others is None else others.unionByName(item_values)
    if before is None or past.item_history is None or not before.are_items_whole:
        history = history_of_values(of_all, mapping, first_day)
        return Entities(present=counted(merged_items(of_all)), history=history, values=item_values)
    changed = before.item_values.where(_is_of(files)).unionByName(item_values)
    present = settled(merged_beside(before.items, of_all, changed))
    history = history_beside(past.item_history, of_all, changed, mapping, first_day)
    return Entities(present=present, history=history, values=item_values)


def _users(parter: "_Parter", mapping: SourceMapping, intake: Intake, past: DataFrame | None) -> Entities | None:
    """Those of the user files; None: as before, or there are none."""
    files = intake.files.get(USERS)
    if mapping.users is None or not files:
        return None
    judge = partial(judged_users, mapping=mapping.users, limits=parter.limits)
    parted = parter.part(USERS, files, judge, partial(part, key=ONE_A_FILE))
    return _by_files(parted.kept, past, files, USER, _first_day(parter.limits))


def _by_files(said: DataFrame, past: DataFrame | None, files: Files, entity: Described, first_day: date) -> Entities:
    history = history_of_files(said, past, files, entity, first_day)
    present = newest(said, files, entity)
    if past is not None or len(files) > 1:
        history = history.persist()
        present = with_first_known(present, history, entity)
    return Entities(present=counted(present), history=history)


def _first_day(limits: CleanConfig) -> date:
    return date.fromisoformat(limits.first_event_date)


def _user_history(spark: SparkSession, users: Entities | None, past: Past) -> DataFrame | None:
    """A table without rows where no file has ever named a user."""
    if users is not None:
        return users.history.select(*USER_HISTORY.column_names)
    return no_rows(spark, USER_HISTORY) if past.user_history is None else None


def _promotions(parter: "_Parter", mapping: SourceMapping, intake: Intake, past: DataFrame | None) -> DataFrame | None:
    """None: as before, or there are none."""
    files = intake.files.get(PROMOTIONS)
    if mapping.promotions is None or not files:
        return None
    judge = partial(judged_promotions, mapping=mapping.promotions, limits=parter.limits)
    parted = parter.part(PROMOTIONS, files, judge, partial(part, key=PROMOTIONS_TABLE.key))
    return with_first_known_promotion(parted.kept, past)


def _offers(parter: "_Parter", mapping: SourceMapping, intake: Intake) -> dict[Table, DataFrame]:
    """Of a log without offers none, and no table of them is made."""
    found: dict[Table, DataFrame] = {}
    for name, table in OFFER_TABLES.items():
        of_table, files = mapping.of_offers[name], intake.files.get(name)
        if of_table is not None and files:
            judge = partial(judged_offers, mapping=of_table, limits=parter.limits, name=name)
            parted = parter.part(name, files, judge, partial(part, key=table.key))
            found[table] = parted.kept.select(*table.column_names)
    return found


def _known_users(mapping: SourceMapping, users: Entities | None, before: Before | None) -> DataFrame | None:
    if mapping.users is None or not mapping.users.is_complete:
        return None
    return users.present if users is not None else _required(before).users


def _required(before: Before | None) -> Before:
    assert before is not None, "a whole log has files for every table"
    return before


def _unsettled(items: DataFrame | None, users: DataFrame | None, before: Before) -> set[str]:
    """Paths of event files taken before that must be judged anew, because items or users came or went."""
    changes = ((c.ITEM_ID, "unknown_item", items, before.items), (c.USER_ID, "unknown_user", users, before.users))
    paths: set[str] = set()
    for key, reason, now, then in changes:
        if now is None:
            continue
        gone = then.select(key).join(now, on=key, how="left_anti")
        if not gone.isEmpty():  # the events of all days are looked through
            paths |= _paths_of(before.events.join(F.broadcast(gone), on=key, how="left_semi"))
        if not now.select(key).join(then, on=key, how="left_anti").isEmpty():
            waiting = F.array_contains(c.REASONS, reason) & (F.col(c.SOURCE_TABLE) == EVENTS)
            paths |= _paths_of(before.quarantine.where(waiting))
    return paths


def colliding_files(kept: DataFrame, before: DataFrame, files: Files, *, is_of_one_day: bool) -> set[str]:
    """Paths of files taken before with a row that may be the same event as one of `kept`.

    `before`: good rows with their identity, place and day. `is_of_one_day`: rows of one event have one time, so that
    only days of `kept` need to be looked at.
    """
    others = before.where(~_is_of(files))
    if is_of_one_day:
        days = [row[0] for row in kept.select(F.to_date(c.EVENT_TS)).distinct().collect()]
        others = others.where(F.col(c.EVENT_DATE).isin(days))
    return _paths_of(others.join(kept.select(c.IDENTITY), on=c.IDENTITY, how="left_semi"))


def waiting_files(kept: DataFrame, before: Before, files: Files) -> set[str]:
    """Paths of files taken before with a duplicate of a row that `files` had then and have no longer."""
    lost = before.good().where(_is_of(files)).join(kept.select(c.IDENTITY), on=c.IDENTITY, how="left_anti")
    others = before.quarantine.where(~_is_of(files))
    return _paths_of(others.join(lost.select(c.IDENTITY), on=c.IDENTITY, how="left_semi"))


def _paths_of(rows: DataFrame) -> set[str]:
    """Never as many as rows: the files of a log."""
    return {row[c.SOURCE_FILE] for row in rows.select(c.SOURCE_FILE).distinct().collect()}


def _is_of(files: Files) -> Column:
    return F.col(c.SOURCE_FILE).isin([file.path for file in files])


def _files_at(there: Files, paths: set[str]) -> set[InputFile]:
    found = {file for file in there if file.path in paths}
    if missing := sorted(paths - {file.path for file in found}):
        logger.warning(
            "%d files to be judged anew are no longer in the input folder, their rows stay as they are: %s",
            len(missing), missing[:5],
        )  # fmt: skip
    return found


class _Parter:
    """Reads and parts one table after the other and keeps what became of the rows."""

    def __init__(self, spark: SparkSession, source: Source, limits: CleanConfig) -> None:
        self.limits = limits
        self._spark, self._source = spark, source
        self.files: dict[str, Files] = {}
        self.parts: dict[str, Parted] = {}
        self.counts: dict[str, list[DayCounts]] = {}
        self.reasons: dict[str, dict[str, int]] = {}
        self.unnamed: dict[str, list[str]] = {}
        self._good: DataFrame | None = None
        self._changed: set[str] = set()

    def part(
        self, table: str, files: Files, judge: Callable[[DataFrame], Judged], part: Callable[[Judged], Parted]
    ) -> Parted:
        """Raises DataQualityError unless all records of the files are accounted for."""
        mapping = self._source.mapping.tables[table]
        with timed(logger, f"{table}: reading and judging {len(files)} files"), refusing_broken_files(mapping):
            raw = read_raw(
                self._spark, self._source.folder, mapping, files, allow_empty_files=self.limits.allow_empty_files
            )
            judged, rows_read = raw.judged(judge)
            parted = part(judged)
            left_out = count_left_out(parted)
            counts = count_days(table, rows_read, parted, left_out)
        require_reconciled(rows_read, counts)
        read, kept = (sum(getattr(count, name) for count in counts) for name in (c.ROWS_READ, c.ROWS_KEPT))
        logger.info("%s: %d records in %d files, %d kept", table, read, len(files), kept)
        self.files[table], self.parts[table], self.counts[table] = files, parted, counts
        self.reasons[table] = count_reasons(left_out)
        # Items of the event files: what the mapping does not name there, the events tell.
        is_told = table != EVENTS and mapping.files == self._source.mapping.events.files
        self.unnamed[table] = [] if is_told else unnamed_columns(raw.records, mapping)
        return parted

    def part_events(
        self, files: Files, there: Files, known_items: DataFrame, known_users: DataFrame | None, before: Before | None
    ) -> Parted:
        """Files that may hold the same events are compared with each other, whenever they came; `there`: all."""
        mapping = self._source.mapping.events
        judge = partial(
            judged_events, mapping=mapping, limits=self.limits, known_items=known_items, known_users=known_users
        )

        def parted_events(judged: Judged) -> Parted:
            good = part(judged, mapping.key)
            good = good if before is None else settled_parts(good)
            self._good = good.kept
            return self._sifted(good, judged.rows, _is_of(files), before) if is_any_asked(self.limits) else good

        while True:
            parted = self.part(EVENTS, files, judge, parted_events)
            if before is None:
                return parted
            is_of_one_day = not mapping.key or c.EVENT_TS in mapping.key
            good = self._good if self._good is not None else parted.kept
            more = colliding_files(good, before.good(), files, is_of_one_day=is_of_one_day)
            more |= waiting_files(good, before, files) | self._changed
            found = _files_at(there, more) - set(files)
            if not found:
                return parted
            logger.info("%d files taken before may hold the same events or others of a group: judged again", len(found))
            files = by_path((*files, *found))

    def _sifted(self, good: Parted, records: DataFrame, is_taken: Column, before: Before | None) -> Parted:
        """By the rules across rows; notes the files of other lines of which they find another thing now."""
        zone = self._source.mapping.local_time_zone
        standing = standing_lines(before.events, before.quarantine, is_taken, zone) if before is not None else None
        looked = look_across(with_local_date(good.kept, zone), standing, is_taken, self.limits)
        self._changed = looked.changed
        return sifted(good, looked, records)
