import pytest
from pyspark.sql import SparkSession

from recsys.clean.duplicates import Parted
from recsys.clean.quality import (
    FileCounts,
    count_files,
    count_left_out,
    count_reasons,
    figures,
    require_events,
    require_reconciled,
)
from recsys.errors import DataQualityError, InputError
from recsys.frames.local_rows import local_rows

LEFT_OUT = "source_file string, reasons array<string>, is_duplicate boolean"


def counts(read: int, kept: int, quarantined: int, duplicate: int) -> FileCounts:
    return FileCounts(
        source_table="events",
        source_file="a.csv",
        rows_read=read,
        rows_kept=kept,
        rows_quarantined=quarantined,
        rows_duplicate=duplicate,
    )


def test_every_record_is_counted_once_by_file(spark: SparkSession) -> None:
    parted = Parted(
        kept=local_rows(spark, [("a.csv",), ("a.csv",), ("b.csv",)], "source_file string"),
        left_out=local_rows(
            spark, [("a.csv", ["bad_time", "missing_user"], False), ("b.csv", ["exact_duplicate"], True)], LEFT_OUT
        ),
    )
    left_out = count_left_out(parted)
    found = count_files("events", {"a.csv": 3, "b.csv": 2, "empty.csv": 0}, parted, left_out)
    assert [(f.source_file, f.rows_read, f.rows_kept, f.rows_quarantined, f.rows_duplicate) for f in found] == [
        ("a.csv", 3, 2, 1, 0),
        ("b.csv", 2, 1, 0, 1),
        ("empty.csv", 0, 0, 0, 0),
    ]
    require_reconciled(found)
    assert count_reasons(left_out) == {"bad_time": 1, "exact_duplicate": 1, "missing_user": 1}


def test_a_lost_record_stops_the_job() -> None:
    with pytest.raises(DataQualityError, match=r"of 1 files do not add up: events a.csv: read 4, kept 2.*run again"):
        require_reconciled([counts(3, 2, 1, 0), counts(4, 2, 1, 0)])


def test_a_log_without_a_good_event_is_refused_with_its_reasons() -> None:
    with pytest.raises(InputError, match=r"no event is left of 3 records; reasons: \{'bad_time': 3\}.*the mapping"):
        require_events([counts(3, 0, 3, 0)], {"bad_time": 3})
    require_events([counts(3, 1, 2, 0)], {"bad_time": 2})


def test_figures_are_those_of_the_events() -> None:
    found = figures({"events": [counts(5, 2, 2, 1)], "items": [counts(9, 7, 1, 1)]}, {"events": {"bad_time": 2}})
    assert found == {
        "files": 1, "rows": 2, "rows_read": 5, "rows_quarantined": 2, "rows_duplicate": 1, "reasons": {"bad_time": 2},
    }  # fmt: skip
    assert figures({}, {})["rows"] == 0
