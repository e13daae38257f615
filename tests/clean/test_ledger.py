from dataclasses import replace

import pytest

from recsys import columns as c
from recsys.clean.files import InputFile
from recsys.clean.ledger import Entry, Intake, Known, entries_from, new_names, plan_intake, require_none_forgotten
from recsys.clean.mapping import KnownMapping
from recsys.errors import InputError
from tests.clean.conftest import file_of

BY_FILE = frozenset({"events"})


def entry(path: str, *, table: str = "events", rules: str = "r", known_ms: int = 5) -> Entry:
    return Entry(
        source_table=table, source_file=path, num_bytes=10, modified_ms=5, checksum="same", rules=rules,
        known_ms=known_ms, first_known_ms=5,
    )  # fmt: skip


def plan(
    files: dict[str, tuple[InputFile, ...]], *entries: Entry, checksum: str = "same", name: KnownMapping | None = None
) -> Intake:
    names = {"events": name} if name else {}
    return plan_intake(files, Known(entries=entries, rules="r", by_file=BY_FILE, names=names), lambda _: checksum)


def times(intake: Intake) -> tuple[int, int, bool]:
    """Of the one file that is there."""
    (file,) = intake.there["events"]
    return file.first_known_ms, file.known_ms, file.was_corrected


def test_without_a_ledger_and_under_other_rules_all_files_are_taken() -> None:
    files = {"events": (file_of("a"), file_of("b"))}
    assert plan(files) == Intake(files=files, there=files, is_whole=True)
    assert plan(files, entry("a"), entry("b", rules="other")) == Intake(files=files, there=files, is_whole=True)


def test_a_file_that_is_asked_for_is_taken_again() -> None:
    known = Known(
        entries=[entry("a"), entry("b")], rules="r", by_file=BY_FILE, again=frozenset({("events", "a"), ("items", "b")})
    )
    found = plan_intake({"events": (file_of("a"), file_of("b"))}, known, lambda _: "same")
    assert (found.files, found.is_whole, found.changed) == ({"events": (file_of("a"),)}, False, ())


def test_a_file_that_is_asked_for_and_says_something_else_is_taken_for_all_its_tables() -> None:
    """Its size and time are those of before."""
    again = Known(
        entries=[entry("a"), entry("a", table="items")], rules="r", by_file=BY_FILE, again=frozenset({("events", "a")})
    )
    files = {"events": (file_of("a"),), "items": (file_of("a"),)}
    assert plan_intake(files, again, lambda _: "same").files == {"events": (file_of("a"),), "items": ()}
    found = plan_intake(files, again, lambda _: "another")
    assert (found.files, found.changed) == (files, ("a",))


def test_a_file_is_taken_once() -> None:
    found = plan({"events": (file_of("a"), file_of("b"))}, entry("a"))
    assert found.files == {"events": (file_of("b"),)}
    assert (found.is_whole, found.taken, found.changed) == (False, {"a"}, ())


def test_a_file_of_another_time_or_size_is_taken_again_where_its_content_changed() -> None:
    for touched in (file_of("a", modified_ms=6), file_of("a", num_bytes=11)):
        assert plan({"events": (touched,)}, entry("a")).files == {"events": ()}
        found = plan({"events": (touched,)}, entry("a"), checksum="another")
        assert ([file.path for file in found.files["events"]], found.changed) == (["a"], ("a",))


@pytest.mark.parametrize("rules", ["r", "other"])  # file by file, and in a run over all of them
def test_a_file_is_known_since_it_was_first_taken_and_what_was_corrected_since_then(rules: str) -> None:
    new, put_back = {"events": (file_of("a", modified_ms=7),)}, {"events": (file_of("a", modified_ms=3),)}
    taken, corrected = entry("a", rules=rules), entry("a", rules=rules, known_ms=6)
    assert times(plan(new)) == (7, 7, False)
    for other_time in (new, put_back):
        assert times(plan(other_time, taken)) == (5, 5, False)
        assert times(plan(other_time, corrected)) == (5, 6, True), "not forgotten after one run"
    for before in (taken, corrected):
        assert times(plan(new, before, checksum="another")) == (5, 7, True)
        assert times(plan(put_back, before, checksum="another")) == (5, 5, False), "no earlier than the file itself"


def test_a_name_tells_when_a_file_became_known_but_not_what_was_corrected_in_it() -> None:
    name = KnownMapping(pattern=r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)")  # known when the next day began
    day, midnight = 86_400_000, 2 * 86_400_000
    files = {"events": (file_of("1970-01-02.csv", modified_ms=4 * day),)}
    path = "1970-01-02.csv"
    assert times(plan(files, name=name)) == (midnight, midnight, False), "copied later"
    assert times(plan(files, entry(path), name=name)) == (midnight, midnight, False), "the name was not read then"
    assert times(plan(files, entry(path), checksum="another", name=name)) == (midnight, 4 * day, True)
    assert times(plan(files, entry(path, known_ms=3 * day), name=name)) == (midnight, 3 * day, True)


def test_a_catalogue_is_taken_whole_and_only_where_one_of_its_files_is_new() -> None:
    files = {"events": (file_of("a"),), "items": (file_of("i1"), file_of("i2"))}
    first = (entry("a"), entry("i1", table="items"))
    assert plan(files, *first).files == {"events": (), "items": files["items"]}
    assert plan(files, *first, entry("i2", table="items")).files == {"events": (), "items": ()}


def test_files_that_are_gone_are_named() -> None:
    assert plan({"events": (file_of("b"),)}, entry("a"), entry("b")).gone == ("a",)


def test_a_run_over_all_files_that_would_forget_some_is_refused() -> None:
    others = (entry("b", rules="other"), entry("c", rules="other"), entry("i1", table="items", rules="other"))
    found = plan({"events": (file_of("a"), file_of("b"))}, *others)
    assert (found.is_whole, found.gone) == (True, ("c",)), "a catalogue is what its files there say"
    with pytest.raises(
        InputError, match=r"1 files .* no longer in the input folder /log: \['c'\].*found 2.*--forget once"
    ):
        require_none_forgotten(found, "/log")
    require_none_forgotten(plan({"events": (file_of("b"),)}, entry("a"), entry("b")), "/log")


def test_a_row_of_an_earlier_version_of_the_code_is_read() -> None:
    row = {
        c.SOURCE_TABLE: "events", c.SOURCE_FILE: "a", c.NUM_BYTES: 10, c.MODIFIED_MS: 5, c.CHECKSUM: "x", c.RULES: "o",
        c.RESCUED: [], c.COLUMN_KINDS: None, c.KNOWN_MS: None, c.FIRST_KNOWN_MS: None,
    }  # fmt: skip
    (known,) = entries_from([row])
    assert (known.kinds, known.known_ms, known.first_known_ms) == ({}, 5, 5)
    assert plan_intake({"events": (file_of("a"),)}, Known(entries=[known], rules="r", by_file=BY_FILE), str).is_whole


def test_a_column_is_new_to_each_table_once() -> None:
    before = [replace(entry("a"), rescued=("gift", "via")), replace(entry("u", table="users"), rescued=("city",))]
    found = {"events": ["via", "tax", "city"], "users": ["city"], "items": ["via"]}
    assert new_names(found, before) == {"events": ["city", "tax"], "items": ["via"]}
