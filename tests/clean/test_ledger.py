import pytest

from recsys import columns as c
from recsys.clean.files import InputFile
from recsys.clean.ledger import Entry, Intake, Known, entries_from, plan_intake, require_none_forgotten
from recsys.errors import InputError

BY_FILE = frozenset({"events"})


def file_of(path: str, *, num_bytes: int = 10, modified_ms: int = 5) -> InputFile:
    return InputFile(location=path, uri=path, path=path, num_bytes=num_bytes, modified_ms=modified_ms)


def entry(path: str, *, table: str = "events", rules: str = "r", checksum: str = "same") -> Entry:
    return Entry(
        source_table=table, source_file=path, num_bytes=10, modified_ms=5, checksum=checksum, rules=rules
    )  # fmt: skip


def plan(files: dict[str, tuple[InputFile, ...]], *entries: Entry, checksum: str = "same") -> Intake:
    known = Known(entries=entries, rules="r", by_file=BY_FILE)
    return plan_intake(files, known, lambda _: checksum)


def test_without_a_ledger_and_under_other_rules_all_files_are_taken() -> None:
    files = {"events": (file_of("a"), file_of("b"))}
    assert plan(files) == Intake(files=files, is_whole=True)
    assert plan(files, entry("a"), entry("b", rules="other")) == Intake(files=files, is_whole=True)


def test_a_file_that_is_asked_for_is_taken_again() -> None:
    known = Known(
        entries=[entry("a"), entry("b")], rules="r", by_file=BY_FILE, again=frozenset({("events", "a"), ("items", "b")})
    )
    found = plan_intake({"events": (file_of("a"), file_of("b"))}, known, lambda _: "same")
    assert (found.files, found.is_whole, found.changed) == ({"events": (file_of("a"),)}, False, ())


def test_a_file_is_taken_once() -> None:
    found = plan({"events": (file_of("a"), file_of("b"))}, entry("a"))
    assert found.files == {"events": (file_of("b"),)}
    assert (found.is_whole, found.taken, found.changed) == (False, {"a"}, ())


def test_a_file_of_another_time_or_size_is_taken_again_where_its_content_changed() -> None:
    for touched in (file_of("a", modified_ms=6), file_of("a", num_bytes=11)):
        assert plan({"events": (touched,)}, entry("a")).files == {"events": ()}
        found = plan({"events": (touched,)}, entry("a"), checksum="another")
        assert (found.files, found.changed) == ({"events": (touched,)}, ("a",))


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
        c.RESCUED: [], c.COLUMN_KINDS: None,
    }  # fmt: skip
    (known,) = entries_from([row])
    assert known.kinds == {}
    assert plan_intake({"events": (file_of("a"),)}, Known(entries=[known], rules="r", by_file=BY_FILE), str).is_whole
