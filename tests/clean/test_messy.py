"""A log as bad as they come: each row is right or in quarantine."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from recsys import columns as c
from recsys.clean.duplicates import part
from recsys.clean.events import judged_events
from recsys.clean.files import RawFolder
from recsys.clean.mapping import EventsMapping
from recsys.clean.sources import read_raw
from recsys.config import CleanConfig

Mapping = Callable[..., EventsMapping]
BOM = "\ufeff"
HEADER = "user,item,at,n,price,title"
SEVEN = datetime(2024, 5, 3, 7)  # nine o'clock in Berlin

GOOD: list[tuple[str, tuple[object, ...]]] = [
    ("u1,i1,2024-05-03 09:00:00,1,2.50,plain", ("u1", "i1", SEVEN, 1.0, 250, "plain")),
    (
        '"u,2","i""1""",2024-05-03T07:00:00Z,1,2.50,"Bob\'s ""big"" lamp"',
        ("u,2", 'i"1"', SEVEN, 1.0, 250, 'Bob\'s "big" lamp'),
    ),
    ("用户,商品😀,2024-05-03 08:00:00+01:00,1,2.50,茶", ("用户", "商品😀", SEVEN, 1.0, 250, "茶")),
    (" u4 ,i1,2024-05-03 09:00:00.250,1.5,1e2,", ("u4", "i1", SEVEN.replace(microsecond=250_000), 1.5, 15_000, None)),
    ("u5,i1,2024-05-03,+2,0.005,12\\", ("u5", "i1", datetime(2024, 5, 2, 22), 2.0, 1, "12\\")),
]
AT = "2024-05-03 09:00:00"
BAD: list[tuple[str, list[str]]] = [
    ("u,i1,03/05/2024 09:00,1,1,", ["bad_time"]),
    ("u,i1,1714726800,1,1,", ["bad_time"]),
    ("u,i1,May 3rd,1,1,", ["bad_time"]),
    ("u,i1,2024-02-30 09:00:00,1,1,", ["bad_time"]),
    ("u,i1,2024-05-03 25:00:00,1,1,", ["bad_time"]),
    ("u,i1,+12024-05-03 09:00:00,1,1,", ["bad_time"]),
    ("u,i1,2024-03-31 02:30:00,1,1,", ["bad_time"]),  # skipped by the clocks of Berlin
    ("u,i1,1969-12-31 23:00:00,1,1,", ["time_out_of_range"]),
    ("u,i1,0001-01-01 00:00:00,1,1,", ["time_out_of_range"]),
    ("u,i1,9999-12-31 23:59:59,1,1,", ["time_out_of_range"]),
    (f'u,i1,{AT},1,"2,50",', ["bad_number"]),
    (f'u,i1,{AT},"1,000",1,', ["bad_number"]),
    (f"u,i1,{AT},1,NaN,", ["bad_number"]),
    (f"u,i1,{AT},1,£2.50,", ["bad_number"]),
    (f"u,i1,{AT},1e300,1,", ["bad_number"]),
    (f"u,i1,{AT},1,1e300,", ["bad_number"]),
    (f"u,i1,{AT},-1,1,", ["amount_out_of_range", "quantity_out_of_range"]),
    (f"u,i1,{AT},99999999,0,", ["quantity_out_of_range"]),
    (f'u,i1,{AT},1,1,"broken', ["malformed_row"]),  # a line break within quotes, which the mapping does not expect
    ('name"', ["malformed_row"]),
    (f'"u,i1,{AT},1,1,', ["malformed_row"]),
    ("u", ["malformed_row"]),
    (f"u,i1,{AT},1,1,,,", ["malformed_row"]),
]


def parted(
    spark: SparkSession, folder: Path, mapping: EventsMapping, limits: CleanConfig
) -> tuple[list[Row], dict[int, list[str]]]:
    raw = RawFolder(spark, str(folder))
    table = read_raw(spark, raw, mapping, raw.files(mapping.files), allow_empty_files=False)
    items = spark.createDataFrame([(item,) for item in ("i1", 'i"1"', "商品😀")], "item_id string")
    judge = partial(judged_events, mapping=mapping, limits=limits, known_items=items, known_users=None)
    judged, _ = table.judged(judge)
    found = part(judged, mapping.key)
    left_out = {row[c.SOURCE_ROW]: row[c.REASONS] for row in found.left_out.collect()}
    return found.kept.orderBy(c.SOURCE_ROW).collect(), left_out


def values(row: Row) -> tuple[object, ...]:
    title = (row[c.RESCUED] or {}).get("title")
    return (*(row[name] for name in (c.USER_ID, c.ITEM_ID, c.EVENT_TS, c.QUANTITY, c.AMOUNT_CENTS)), title)


@pytest.fixture
def of_berlin(mapping: Mapping) -> Mapping:
    def build(**changes: Any) -> EventsMapping:
        return mapping(**{"time": {"column": "at", "zone": "Europe/Berlin"}, **changes})

    return build


def test_each_row_is_right_or_in_quarantine(
    spark: SparkSession, tmp_path: Path, of_berlin: Mapping, limits: CleanConfig
) -> None:
    lines = [HEADER, *(line for line, _ in GOOD), *(line for line, _ in BAD)]
    undecoded = f"caf\u00e9,i1,{AT},1,1,".encode("latin-1")
    text = BOM + "".join(f"{line}\r\n" for line in lines)
    (tmp_path / "a.csv").write_bytes(text.encode() + undecoded)
    kept, left_out = parted(spark, tmp_path, of_berlin(), limits)
    assert [values(row) for row in kept] == [expected for _, expected in GOOD]
    expected = dict(enumerate((*(reasons for _, reasons in BAD), ["malformed_row"]), start=len(GOOD) + 1))
    assert left_out == expected


def test_line_breaks_within_quotes_and_other_encodings_are_read_where_the_mapping_says_so(
    spark: SparkSession, tmp_path: Path, of_berlin: Mapping, limits: CleanConfig
) -> None:
    lines = [HEADER, f'café,i1,{AT},1,1,"two\nlines, ""both"""', f"u2,i1,{AT},1,1,one"]
    (tmp_path / "a.csv").write_bytes("\n".join(lines).encode("latin-1"))
    kept, left_out = parted(spark, tmp_path, of_berlin(csv={"encoding": "ISO-8859-1", "multi_line": True}), limits)
    assert [(row[c.USER_ID], row[c.SOURCE_ROW], values(row)[-1]) for row in kept] == [
        ("café", 1, 'two\nlines, "both"'), ("u2", 2, "one"),
    ]  # fmt: skip
    assert left_out == {}
