"""What a column may hold, and that it stays so from file to file."""

from collections.abc import Callable
from typing import Any

import pytest

from recsys.clean.drift import require_kinds
from recsys.clean.files import FileHead
from recsys.clean.kinds import json_kinds, parquet_kind
from recsys.clean.ledger import Entry, known_kinds
from recsys.clean.mapping import EventsMapping
from recsys.errors import SchemaError
from tests.clean.conftest import file_of

Mapping = Callable[..., EventsMapping]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("optional binary user (STRING)", "text"),
        ("optional binary raw", "bytes"),
        ("required int32 n (INTEGER(8,true))", "whole number"),
        ("optional int64 at (TIMESTAMP(NANOS,true))", "time"),
        ("optional int32 day (DATE)", "time"),
        ("optional int96 at", "time"),
        ("optional double price", "number"),
        ("optional fixed_len_byte_array(16) price (DECIMAL(38,2))", "number"),
        ("optional boolean no_ads", "flag"),
        (
            "optional group tags (MAP) {\n  repeated group key_value {\n    required binary key (STRING);\n  }\n}",
            "nested",
        ),
    ],
)
def test_kinds_of_parquet_columns(field: str, kind: str) -> None:
    assert parquet_kind(field) == kind


def test_kinds_of_json_names_are_those_of_their_values() -> None:
    records = [{"a": 1, "b": "x", "c": None, "d": [1]}, {"a": 2.5, "b": 3, "e": True}]
    assert json_kinds(records) == {"a": "number", "b": "text", "d": "nested", "e": "flag"}


def check(mapping: EventsMapping, *kinds: dict[str, str], known: dict[str, tuple[str, str]] | None = None) -> None:
    files = [file_of(f"day-{number}.parquet") for number in range(1, len(kinds) + 1)]
    heads = [FileHead(columns=tuple(of_file), layout="", kinds=of_file) for of_file in kinds]
    require_kinds(files, heads, mapping, known or {})


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (
            {"price": "bytes"},
            r"'price' is bytes, expected text or whole number or number\..*correct amount.column: price",
        ),
        (
            {"at": "flag"},
            r"day-1.parquet: column 'at' is flag, expected text or time\. .*correct time.column: at in the",
        ),
        ({"user": "nested"}, r"'user' is nested, expected text or .*correct columns.user_id: user"),
    ],
)
def test_a_column_that_its_line_cannot_read_is_refused(mapping: Mapping, kinds: dict[str, str], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        check(mapping(), kinds)


def test_a_kind_that_changes_is_refused_with_the_file_that_has_the_other(mapping: Mapping) -> None:
    message = (
        r"day-2.parquet: column 'price' is text, expected number, as in day-1.parquet. Nothing was written. Cure: .*"
        r"correct amount.column: price in the mapping of '\*.csv', and list the column under 'mixed_types'"
    )
    with pytest.raises(SchemaError, match=message):
        check(mapping(), {"price": "number"}, {"price": "text"})
    with pytest.raises(
        SchemaError, match=r"day-1.parquet: column 'price' is text, expected number, as in day-0.parquet"
    ):
        check(mapping(), {"price": "text"}, known={"price": ("number", "day-0.parquet")})
    check(mapping(mixed_types=["price"]), {"price": "number"}, {"price": "text"})
    check(mapping(), {"price": "number"}, {"gift": "text"}, {"gift": "number"})  # not mapped, or not there


def test_a_fraction_makes_another_id_but_no_other_number(mapping: Mapping) -> None:
    check(mapping(), {"price": "whole number"}, {"price": "number"})
    changed: Any = ({"user": "whole number"}, {"user": "number"})
    with pytest.raises(SchemaError, match=r"'user' is number, expected whole number, as in day-1.parquet"):
        check(mapping(), *changed)
    check(mapping(integer_like=["user_id"]), *changed)


def test_a_file_that_is_read_again_is_not_compared_with_itself() -> None:
    entries = [
        Entry(
            source_table="events",
            source_file=path,
            num_bytes=1,
            modified_ms=1,
            checksum="",
            known_ms=1,
            first_known_ms=1,
            rules="",
            kinds={"n": kind},
        )
        for path, kind in (("b", "number"), ("a", "text"))
    ]
    assert known_kinds(entries, "events", (file_of("a"),)) == {"n": ("number", "b")}
    assert known_kinds(entries, "events", ()) == {"n": ("text", "a")}
    assert known_kinds(entries, "items", ()) == {}
