"""One shop's log, from its files to the clean tables; everything is checked and counted before a table is written."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.clean.duplicates import Parted
from recsys.clean.events import clean_events, part_events
from recsys.clean.files import RawFolder, heads
from recsys.clean.items import clean_items, part_items
from recsys.clean.mapping import SourceMapping, input_folder, load_mapping, mapping_file
from recsys.clean.promotions import clean_promotions, part_promotions
from recsys.clean.quality import (
    FileCounts,
    count_files,
    count_left_out,
    count_reasons,
    quarantine_rows,
    require_events,
    require_reconciled,
)
from recsys.clean.rules import EVENTS, ITEMS, PROMOTIONS, USERS
from recsys.clean.sources import read_raw, refusing_broken_files
from recsys.clean.users import part_users
from recsys.config import CleanConfig, SourceConfig
from recsys.logs import timed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A mapping and the folder it is applied to."""

    mapping: SourceMapping
    mapping_file: Path
    folder: RawFolder


@dataclass(frozen=True, kw_only=True)
class CleanLog:
    """Frames of clean tables, not yet written. `named_users` are those of the user files, if there are such files."""

    events: DataFrame
    items: DataFrame
    named_users: DataFrame | None
    promotions: DataFrame
    quarantine: DataFrame
    counts: Mapping[str, Sequence[FileCounts]]
    reasons: Mapping[str, Mapping[str, int]]


def open_source(spark: SparkSession, conf_folder: Path, source: SourceConfig) -> Source:
    """Raises ConfigError for a wrong mapping and InputError for a missing input folder."""
    file = mapping_file(conf_folder, source.name)
    mapping = load_mapping(file)
    return Source(mapping=mapping, mapping_file=file, folder=RawFolder(spark, input_folder(mapping, source.input)))


def require_readable(source: Source) -> None:
    """Looks at the head of every file. Raises InputError or SchemaError for the first that is not as mapped."""
    for table in source.mapping.tables.values():
        heads(source.folder, source.folder.files(table.files), table)


def state(source: Source) -> tuple[str, str]:
    """Hashes of the mapping and of the listing of the files: equal means the same input."""
    mapping = hashlib.sha256(source.mapping_file.read_bytes()).hexdigest()
    patterns = [table.files for table in source.mapping.tables.values()]
    files = sorted({file for pattern in patterns for file in source.folder.files(pattern)}, key=lambda file: file.path)
    listing = "\n".join(f"{file.path} {file.num_bytes} {file.modified_ms}" for file in files)
    return mapping, hashlib.sha256(listing.encode()).hexdigest()


def clean_log(spark: SparkSession, source: Source, limits: CleanConfig) -> CleanLog:
    """Raises InputError, SchemaError or DataQualityError where the log cannot become tables."""
    mapping = source.mapping
    with timed(logger, "reading the files"):
        parter = _Parter(spark, source, limits)
    items = parter.part(ITEMS, partial(part_items, mapping=mapping.items, limits=limits))
    users = mapping.users and parter.part(USERS, partial(part_users, mapping=mapping.users, limits=limits))
    promotions = mapping.promotions and parter.part(
        PROMOTIONS, partial(part_promotions, mapping=mapping.promotions, limits=limits)
    )
    known_users = users.kept if users and mapping.users and mapping.users.is_complete else None
    link = partial(part_events, known_items=items.kept, known_users=known_users)
    events = parter.part(EVENTS, partial(link, mapping=mapping.events, limits=limits))
    require_events(parter.counts[EVENTS], parter.reasons[EVENTS])
    return CleanLog(
        events=clean_events(events.kept, mapping.local_time_zone),
        items=clean_items(items.kept, mapping.items.eligible),
        named_users=users.kept if users else None,
        promotions=clean_promotions(spark, promotions.kept if promotions else None),
        quarantine=quarantine_rows(parter.parts),
        counts=parter.counts,
        reasons=parter.reasons,
    )


class _Parter:
    """Reads all files, then parts one table after the other and keeps what became of them."""

    def __init__(self, spark: SparkSession, source: Source, limits: CleanConfig) -> None:
        self._raw = {
            table: read_raw(spark, source.folder, mapping, allow_empty_files=limits.allow_empty_files)
            for table, mapping in source.mapping.tables.items()
        }
        self.parts: dict[str, Parted] = {}
        self.counts: dict[str, list[FileCounts]] = {}
        self.reasons: dict[str, dict[str, int]] = {}

    def part(self, table: str, part: Callable[[DataFrame], Parted]) -> Parted:
        """Raises DataQualityError unless all records of the table's files are accounted for."""
        raw = self._raw[table]
        with timed(logger, f"{table}: judging every record"), refusing_broken_files(raw.mapping):
            parted = part(raw.records)
            if table in (ITEMS, USERS):
                parted = replace(parted, kept=parted.kept.persist())  # events are linked to them several times
            left_out = count_left_out(parted)
            counts = count_files(table, raw.rows_read, parted, left_out)
        require_reconciled(counts)
        read, kept = (sum(getattr(count, name) for count in counts) for name in (c.ROWS_READ, c.ROWS_KEPT))
        logger.info("%s: %d records in %d files, %d kept", table, read, len(counts), kept)
        self.parts[table], self.counts[table], self.reasons[table] = parted, counts, count_reasons(left_out)
        return parted
