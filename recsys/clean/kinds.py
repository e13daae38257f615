"""Kinds of a file's columns, as its head or footer tells. No framework."""

import re
from collections.abc import Iterable, Mapping

TEXT = "text"
WHOLE_NUMBER = "whole number"
NUMBER = "number"
TIME = "time"
FLAG = "flag"
BYTES = "bytes"
NESTED = "nested"

_PARQUET_FIELD = re.compile(r"^(?:required|optional|repeated) (\S+).*?(?:\(([A-Z_]+)|$)", re.DOTALL)
_KIND_OF_PARQUET = {
    "int32": WHOLE_NUMBER, "int64": WHOLE_NUMBER, "float": NUMBER, "double": NUMBER, "boolean": FLAG, "int96": TIME,
    "group": NESTED,
}  # fmt: skip
_KIND_OF_ANNOTATION = {
    "STRING": TEXT, "UTF": TEXT, "ENUM": TEXT, "JSON": TEXT, "UUID": TEXT, "TIMESTAMP": TIME, "DATE": TIME,
    "DECIMAL": NUMBER,
}  # fmt: skip
_KIND_OF_PYTHON = {str: TEXT, bool: FLAG, int: WHOLE_NUMBER, float: NUMBER, dict: NESTED, list: NESTED}


def parquet_kind(field: str) -> str:
    """Of a column as Parquet's schema writes it, such as `optional binary name (STRING)`."""
    found = _PARQUET_FIELD.match(field)
    assert found is not None, f"Parquet writes its columns otherwise: {field}"
    physical, annotation = found.groups()
    return _KIND_OF_ANNOTATION.get(annotation or "", _KIND_OF_PARQUET.get(physical, BYTES))


def json_kinds(records: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Of the names that have a value in some record; of numbers with and without a fraction, `number`."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.items():
            if value is not None:
                found.setdefault(name, set()).add(_KIND_OF_PYTHON[type(value)])
    return {name: _joined(kinds) for name, kinds in found.items()}


def _joined(kinds: set[str]) -> str:
    if kinds == {WHOLE_NUMBER, NUMBER}:
        return NUMBER
    return next(iter(kinds)) if len(kinds) == 1 else TEXT
