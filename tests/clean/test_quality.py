from datetime import date, datetime

import pytest
from pyspark.sql import SparkSession

from recsys.clean.duplicates import Parted
from recsys.clean.quality import (
    DayCounts,
    count_days,
    count_left_out,
    count_reasons,
    figures,
    require_events,
    require_reconciled,
)
from recsys.errors import DataQualityError, InputError
from recsys.frames.local_rows import local_rows

LEFT_OUT = "source_file string, event_date date, reasons array<string>, is_duplicate boolean"
MAY_1, MAY_2 = date(2024, 5, 1), date(2024, 5, 2)


def counts(kept: int, quarantined: int, duplicate: int, file: str = "a.csv", day: date | None = MAY_1) -> DayCounts:
    return DayCounts(
        source_table="events", source_file=file, event_date=day,
        rows_kept=kept, rows_quarantined=quarantined, rows_duplicate=duplicate,
    )  # fmt: skip


def test_every_record_is_counted_once_by_file_and_day(spark: SparkSession) -> None:
    at = datetime(2024, 5, 1, 23, 59)
    parted = Parted(
        kept=local_rows(spark, [("a.csv", at), ("a.csv", at), ("b.csv", at)], "source_file string, event_ts timestamp"),
        left_out=local_rows(
            spark,
            [
                ("a.csv", None, ["bad_time", "missing_user"], False),
                ("a.csv", MAY_1, ["missing_user"], False),
                ("a.csv", MAY_1, ["missing_item", "missing_user"], False),
                ("b.csv", MAY_2, ["exact_duplicate"], True),
            ],
            LEFT_OUT,
        ),
    )
    left_out = count_left_out(parted)
    found = count_days("events", ["a.csv", "b.csv", "empty.csv"], parted, left_out)
    assert [
        (f.source_file, f.event_date, f.rows_read, f.rows_kept, f.rows_quarantined, f.rows_duplicate, f.rule_shares)
        for f in found
    ] == [
        ("a.csv", None, 1, 0, 1, 0, {"bad_time": 1.0, "missing_user": 1.0}),
        ("a.csv", MAY_1, 4, 2, 2, 0, {"missing_item": 0.25, "missing_user": 0.5}),
        ("b.csv", MAY_1, 1, 1, 0, 0, {}),
        ("b.csv", MAY_2, 1, 0, 0, 1, {"exact_duplicate": 1.0}),
        ("empty.csv", None, 0, 0, 0, 0, {}),
    ]
    require_reconciled({"a.csv": 5, "b.csv": 2, "empty.csv": 0}, found)
    assert count_reasons(left_out) == {"missing_user": 3, "bad_time": 1, "exact_duplicate": 1, "missing_item": 1}


def test_a_lost_record_stops_the_job() -> None:
    with pytest.raises(DataQualityError, match=r"of 1 files do not add up: events a.csv: read 4, kept 2.*run again"):
        require_reconciled({"a.csv": 4, "b.csv": 3}, [counts(1, 1, 0), counts(1, 0, 0), counts(2, 1, 0, "b.csv")])


def test_a_log_without_a_good_event_is_refused_with_its_reasons() -> None:
    with pytest.raises(InputError, match=r"no event is left of 3 records; reasons: \{'bad_time': 3\}.*the mapping"):
        require_events([counts(0, 3, 0)], {"bad_time": 3})
    require_events([counts(1, 2, 0)], {"bad_time": 2})


def test_figures_are_those_of_the_events() -> None:
    found = figures(
        {"events": [counts(2, 1, 1), counts(0, 1, 0, day=MAY_2)], "items": [counts(7, 1, 1)]},
        {"events": {"bad_time": 2}},
    )
    assert found == {
        "files": 1, "rows": 2, "rows_read": 5, "rows_quarantined": 2, "rows_duplicate": 1, "reasons": {"bad_time": 2},
    }  # fmt: skip
    assert figures({}, {})["rows"] == 0
