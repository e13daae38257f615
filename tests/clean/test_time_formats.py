import pytest

from recsys.clean.drift import require_kinds
from recsys.clean.files import FileHead
from recsys.clean.kinds import NUMBER, TEXT, TIME
from recsys.clean.mapping import EventsMapping, TimeMapping
from recsys.clean.time_formats import require_one_day_a_text
from recsys.config import build_section
from recsys.errors import ConfigError
from tests.clean.conftest import file_of


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (
            ["dd/MM/yyyy", "MM/dd/yyyy"],
            r"'dd/MM/yyyy' and 'MM/dd/yyyy' can read one text as different days: '02/01/2001'",
        ),
        (["dd.MM.yyyy", "iso", "MM.dd.yyyy"], r"'dd.MM.yyyy' and 'MM.dd.yyyy' .*as 2001-01-02 or as 2001-02-01. Cure"),
        (["yy/MM/dd HH:mm", "dd/MM/yy HH:mm"], r"different days: '01/01/02 01:11'"),
        (["M/d/yyyy[ HH:mm]", "d/M/yyyy H:mm"], r"different days"),
        (["iso", "yyyy-dd-MM"], r"'2001-01-02' as 2001-01-02 or as 2001-02-01"),
        (["unix_seconds", "unix_milliseconds"], r"'978311472' as 2001-01-01 or as 1970-01-12"),
        (["yyyyMMdd", "unix_seconds"], r"'20010101' as 2001-01-01 or as 1970-08-20"),
        (["yyyyMMdd", "yyMMddHH"], r"as 2001-01-01 or as 2020-01-01"),
        (["iso", "yyyy DDD"], r"'yyyy DDD' cannot be compared with the other formats, for 'D' may read any day"),
    ],
)
def test_formats_that_read_one_text_as_two_days_are_refused(formats: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"time.format: .*{message}"):
        build_section(TimeMapping, {"column": "at", "format": formats}, where="time")


@pytest.mark.parametrize(
    "formats",
    [
        ["iso", "dd/MM/yyyy HH:mm", "unix_seconds", "d MMM yyyy"],
        ["dd/MM/yyyy", "d/M/yyyy H:mm", "yyyy/MM/dd"],
        ["MMM d, yyyy h:mm a", "EEEE d MMMM yyyy HH:mm z", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "iso"],
        ["yyyy DDD"],  # alone it need not be compared
    ],
)
def test_formats_that_read_each_text_as_one_day_go_together(formats: list[str]) -> None:
    require_one_day_a_text(formats)


def test_one_format_needs_no_list_and_an_empty_list_is_refused() -> None:
    assert build_section(TimeMapping, {"column": "at", "format": "iso"}, where="time").formats == ("iso",)
    with pytest.raises(ConfigError, match=r"time.format: the list is empty; give at least one"):
        TimeMapping(column="at", format=())


def test_a_column_of_numbers_and_texts_is_read_as_either() -> None:
    kinds = {("unix_seconds",): NUMBER, ("iso", "dd/MM/yyyy"): TIME, ("iso", "unix_seconds"): TEXT}
    assert {formats: TimeMapping(column="at", format=formats).kind for formats in kinds} == kinds
    keys = {
        "files": "*",
        "format": "json",
        "columns": {"user_id": "u", "item_id": "i"},
        "event_type": {"constant": "view"},
    }
    mapping = build_section(
        EventsMapping, {**keys, "time": {"column": "at", "format": ["iso", "unix_seconds"]}}, where="events"
    )
    file = file_of("a")
    for kind in ("text", "whole number"):
        require_kinds([file], [FileHead(columns=("at",), layout="", kinds={"at": kind})], mapping, {})
