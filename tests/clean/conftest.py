"""Small raw files and mappings for them, and records made by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.files import InputFile
from recsys.clean.mapping import EventsMapping
from recsys.clean.scans import FIRST_KNOWN_TS, IS_MALFORMED, LINE, RECORD, prepared
from recsys.config import CleanConfig, build_section, load_config
from recsys.frames.local_rows import local_rows

KNOWN_TS = datetime(2024, 12, 31)
EVENT_LINES = ("user,item,at,n,price", "u1,i1,2024-05-03 09:00:00,1,2.50", "u2,i1,2024-05-03 10:00:00,2,2.50")


@pytest.fixture
def limits() -> CleanConfig:
    return replace(
        load_config([]).clean, max_quantity=100, max_amount_cents=1_000_000, last_event_date="2024-12-31"
    )  # fmt: skip


@pytest.fixture
def mapping() -> Callable[..., EventsMapping]:
    """Of events with the header of EVENT_LINES; keys that are given replace these."""

    def build(**changes: Any) -> EventsMapping:
        keys = {
            "files": "*.csv",
            "format": "csv",
            "columns": {"user_id": "user", "item_id": "item", "quantity": "n"},
            "time": {"column": "at", "zone": "UTC"},
            "event_type": {"constant": "purchase"},
            "amount": {"column": "price", "unit": "whole", "multiply_by_quantity": True},
        }
        return build_section(EventsMapping, {**keys, **changes}, where="events")

    return build


@pytest.fixture
def records(spark: SparkSession) -> Callable[..., DataFrame]:
    """Raw records with the given columns, of one file `a.csv` that became known at KNOWN_TS, numbered from 1."""

    def make(names: Sequence[str], *rows: Sequence[str | None]) -> DataFrame:
        schema = ", ".join(f"`{name}` string" for name in (*names, c.SOURCE_ROW))
        frame = local_rows(spark, [(*row, str(i)) for i, row in enumerate(rows, start=1)], schema)
        placed = frame.select(
            F.struct(*names).alias(RECORD),
            F.lit(None).cast("string").alias(LINE),
            F.lit(False).alias(IS_MALFORMED),
            F.lit("a.csv").alias(c.SOURCE_FILE),
            F.col(c.SOURCE_ROW).cast("bigint").alias(c.SOURCE_ROW),
            F.lit(KNOWN_TS).alias(c.KNOWN_TS),
            F.lit(KNOWN_TS).alias(FIRST_KNOWN_TS),
        )
        return prepared(placed)

    return make


def file_of(path: str, *, num_bytes: int = 10, modified_ms: int = 5) -> InputFile:
    """As it lies in the folder."""
    return InputFile(
        location=path,
        uri=path,
        path=path,
        num_bytes=num_bytes,
        modified_ms=modified_ms,
        known_ms=modified_ms,
        first_known_ms=modified_ms,
    )


def write_lines(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
