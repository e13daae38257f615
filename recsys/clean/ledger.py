"""Which raw files a run takes: those that clean.ledger does not know, or knows otherwise. No framework."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from recsys import columns as c
from recsys.clean.files import InputFile
from recsys.clean.mapping import KnownMapping
from recsys.errors import InputError

Files = tuple[InputFile, ...]
Place = tuple[str, str]  # table, path

_NUM_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of clean.ledger, as far as the next run needs it."""

    source_table: str
    source_file: str
    num_bytes: int
    modified_ms: int
    checksum: str
    rules: str
    known_ms: int
    first_known_ms: int
    rescued: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Files to read, by source table, of those that are `there`; `is_whole`: all of them, and the tables are made anew.

    `taken` are paths that were taken before, `changed` those among them whose content is another now, `gone` those
    of tables that are taken file by file that are no longer there: their rows stay, but for a whole run.
    """

    files: Mapping[str, Files]
    there: Mapping[str, Files]
    is_whole: bool
    taken: frozenset[str] = frozenset()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Known:
    """What there is to compare with. `rules` names mapping, limits and code: rows of other rules are judged anew.

    `again`: table and path of files that are taken again although nothing about them changed. `names`: of tables whose
    files tell by their names when they became known.
    """

    entries: Sequence[Entry]
    rules: str
    by_file: frozenset[str]
    again: frozenset[Place] = frozenset()
    names: Mapping[str, KnownMapping] = field(default_factory=dict)


def plan_intake(files: Mapping[str, Files], known: Known, checksum_of: Callable[[InputFile], str]) -> Intake:
    """New and changed files, and those to be taken again. A table that is not in `known.by_file` is read whole where
    one of its files is.

    A file of another size or time, or that is to be taken again, is read once to see whether its content is another
    too: then all its tables take it. Raises InputError for a file whose name is to tell when it became known and does
    not.
    """
    entries = {(entry.source_table, entry.source_file): entry for entry in known.entries}
    changed = _changed(files, entries, {path for _, path in known.again}, checksum_of)
    there = {
        table: tuple(
            _timed(f, entries.get((table, f.path)), known.names.get(table), is_changed=(table, f.path) in changed)
            for f in of_table
        )
        for table, of_table in files.items()
    }
    places = {(table, f.path) for table, of_table in files.items() for f in of_table}
    gone = tuple(sorted({path for table, path in entries if table in known.by_file and (table, path) not in places}))
    if not entries or any(entry.rules != known.rules for entry in known.entries):
        return Intake(files=there, there=there, is_whole=True, gone=gone)
    return Intake(
        files=_wanted(there, (places - set(entries)) | changed | known.again, known.by_file),
        there=there,
        is_whole=False,
        taken=frozenset(path for _, path in entries),
        changed=tuple(sorted({path for _, path in changed})),
        gone=gone,
    )


def _wanted(there: Mapping[str, Files], places: Set[Place], by_file: frozenset[str]) -> dict[str, Files]:
    wanted = {table: tuple(f for f in of_table if (table, f.path) in places) for table, of_table in there.items()}
    return {table: there[table] if few and table not in by_file else few for table, few in wanted.items()}


def _changed(
    files: Mapping[str, Files], entries: Mapping[Place, Entry], again: Set[str], checksum_of: Callable[[InputFile], str]
) -> frozenset[Place]:
    """Those that were taken with another content."""
    taken = [(table, f) for table, of_table in files.items() for f in of_table if (table, f.path) in entries]
    touched = [(table, f) for table, f in taken if f.path in again or _is_touched(f, entries[table, f.path])]
    return frozenset((table, f.path) for table, f in touched if checksum_of(f) != entries[table, f.path].checksum)


def _timed(file: InputFile, entry: Entry | None, name: KnownMapping | None, *, is_changed: bool) -> InputFile:
    """Copied or put back without another content, a file is known since the same time as before."""
    first = name.known_ms(file.path) if name else entry.first_known_ms if entry else file.modified_ms
    corrected = [file.modified_ms] if is_changed else []
    if entry is not None and not is_changed and entry.first_known_ms < entry.known_ms:
        corrected = [entry.known_ms]
    return replace(file, known_ms=max([first, *corrected]), first_known_ms=first)


def require_none_forgotten(intake: Intake, folder: str) -> None:
    """Raises InputError where a run over all files would drop the rows of files that are gone."""
    if intake.is_whole and intake.gone:
        there = len({file.path for of_table in intake.files.values() for file in of_table})
        raise InputError(
            f"{len(intake.gone)} files that were taken before are no longer in the input folder {folder}: "
            f"{list(intake.gone[:_NUM_SHOWN])}. All files are to be taken again, for the mapping, the limits or the "
            f"code of recsys/clean changed; found {there}, and the rows of the others would be lost. Nothing was read. "
            "Cure: put the files back for this run; or run jobs/clean_logs.py --forget once, which drops their rows"
        )


def by_path(files: Sequence[InputFile]) -> Files:
    """In the order in which rows of several files are compared."""
    return tuple(sorted(files, key=lambda file: file.path))


def entries_from(rows: Sequence[Mapping[str, object]]) -> list[Entry]:
    """Of rows of clean.ledger; of one that an earlier version of the code wrote the newest columns are null."""
    return [
        Entry(
            source_table=str(row[c.SOURCE_TABLE]),
            source_file=str(row[c.SOURCE_FILE]),
            num_bytes=int(str(row[c.NUM_BYTES])),
            modified_ms=int(str(row[c.MODIFIED_MS])),
            checksum=str(row[c.CHECKSUM]),
            rules=str(row[c.RULES]),
            known_ms=int(str(row[c.KNOWN_MS] or row[c.MODIFIED_MS])),
            first_known_ms=int(str(row[c.FIRST_KNOWN_MS] or row[c.MODIFIED_MS])),
            rescued=tuple(row[c.RESCUED] or ()),  # type: ignore[arg-type]  # Spark gives a list
            kinds=dict(row[c.COLUMN_KINDS] or {}),  # type: ignore[call-overload]  # and a dictionary
        )
        for row in rows
    ]


def new_names(unnamed: Mapping[str, Sequence[str]], entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Of the columns by table that the mapping does not name, those that no file of the table had before."""
    known = {(entry.source_table, name) for entry in entries for name in entry.rescued}
    new = {table: sorted(name for name in names if (table, name) not in known) for table, names in unnamed.items()}
    return {table: names for table, names in new.items() if names}


def known_kinds(entries: Sequence[Entry], table: str, files: Files) -> dict[str, tuple[str, str]]:
    """Column → its kind and the first file by path that has it, of files of the table that are not read again."""
    read = {file.path for file in files}
    others = [entry for entry in entries if entry.source_table == table and entry.source_file not in read]
    found: dict[str, tuple[str, str]] = {}
    for entry in sorted(others, key=lambda entry: entry.source_file):
        for column, kind in entry.kinds.items():
            found.setdefault(column, (kind, entry.source_file))
    return found


def _is_touched(file: InputFile, entry: Entry) -> bool:
    return (file.num_bytes, file.modified_ms) != (entry.num_bytes, entry.modified_ms)
