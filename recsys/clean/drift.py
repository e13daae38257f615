"""Refuses files whose columns a line of the mapping cannot read, or whose kind has changed."""

from collections.abc import Mapping, Sequence

from recsys.clean.files import FileHead, InputFile
from recsys.clean.kinds import FLAG, NUMBER, TEXT, TIME, WHOLE_NUMBER
from recsys.clean.mapping import TableMapping
from recsys.errors import SchemaError

_READABLE = (TEXT, WHOLE_NUMBER, NUMBER, TIME, FLAG)
_READABLE_AS = {NUMBER: (TEXT, WHOLE_NUMBER, NUMBER), TIME: (TEXT, TIME)}


def require_kinds(
    files: Sequence[InputFile], heads: Sequence[FileHead], mapping: TableMapping, known: Mapping[str, tuple[str, str]]
) -> None:
    """Raises SchemaError for the first mapped column that its line cannot read or that is of another kind than before.

    `known`: column → its kind and a file that has it, of earlier runs.
    """
    first = dict(known)
    for file, head in zip(files, heads, strict=True):
        for line, column in mapping.source_columns().items():
            kind = head.kinds.get(column)
            if kind is None or column in mapping.mixed_types:
                continue
            _require_readable(file, column, kind, line, mapping)
            before, where = first.setdefault(column, (kind, file.path))
            if not _is_alike(before, kind, line, mapping):
                raise _refusal(file, column, kind, f"{before}, as in {where}", line, mapping)


def _require_readable(file: InputFile, column: str, kind: str, line: str, mapping: TableMapping) -> None:
    readable = _READABLE_AS.get(mapping.kind_of_line(line), _READABLE)
    if kind not in readable:
        raise _refusal(file, column, kind, " or ".join(readable), line, mapping)


def _is_alike(before: str, now: str, line: str, mapping: TableMapping) -> bool:
    """17850 and 17850.0 are one number, but two ids, unless the mapping says otherwise."""
    is_id = mapping.kind_of_line(line) == TEXT and line.removeprefix("columns.") not in mapping.integer_like
    return before == now or ({before, now} == {WHOLE_NUMBER, NUMBER} and not is_id)


def _refusal(file: InputFile, column: str, found: str, expected: str, line: str, mapping: TableMapping) -> SchemaError:
    return SchemaError(
        f"{file.path}: column {column!r} is {found}, expected {expected}. Nothing was written. Cure: write the file as "
        f"the others are; or, if the log is so now, correct {line}: {column} in the mapping of {mapping.files!r}, and "
        "list the column under 'mixed_types' where both kinds are right"
    )
