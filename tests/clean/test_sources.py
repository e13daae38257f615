import gzip
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import sources
from recsys.clean.files import HEAD_BYTES, RawFolder
from recsys.clean.mapping import EventsMapping
from recsys.clean.scans import IS_MALFORMED, RECORD, unnamed_columns, with_raw
from recsys.clean.sources import Numbered, read_raw
from recsys.errors import InputError, SchemaError
from recsys.frames.caches import in_memory
from tests.clean.conftest import EVENT_LINES, write_lines

Mapping = Callable[..., EventsMapping]
HEADER, FIRST, SECOND = EVENT_LINES
SPLIT_BYTES = "spark.sql.files.maxPartitionBytes"


def read(spark: SparkSession, folder: Path, mapping: EventsMapping, *, allow_empty_files: bool = False) -> Numbered:
    raw = RawFolder(spark, str(folder))
    table = read_raw(spark, raw, mapping, raw.files(mapping.files), allow_empty_files=allow_empty_files)
    return table.numbered(in_memory(table.records))


def places(raw: Numbered, column: str = "user") -> list[tuple[str, int, str | None]]:
    value = F.col(RECORD).getField(column).alias("value")
    rows = raw.rows.select(c.SOURCE_FILE, c.SOURCE_ROW, value).orderBy(c.SOURCE_FILE, c.SOURCE_ROW).collect()
    return [tuple(row) for row in rows]


def require_known_with_their_files(raw: Numbered, folder: Path) -> None:
    found = raw.rows.groupBy(c.SOURCE_FILE).agg(F.collect_set(F.unix_millis(c.KNOWN_TS))).collect()
    assert found
    for path, known_ms in found:
        assert known_ms == [(folder / path).stat().st_mtime_ns // 1_000_000], path


@pytest.fixture
def small_splits(spark: SparkSession) -> Iterator[None]:
    before = spark.conf.get(SPLIT_BYTES)
    spark.conf.set(SPLIT_BYTES, "600b")
    yield
    spark.conf.set(SPLIT_BYTES, str(before))


@pytest.mark.usefixtures("small_splits")
def test_records_are_numbered_by_file_however_files_are_split_and_packed(
    spark: SparkSession, tmp_path: Path, mapping: Mapping
) -> None:
    """One file lies in many blocks, one is packed, one has its columns in another order and a name that needs care."""
    users = [f"u{i:03d}" for i in range(1, 101)]
    write_lines(tmp_path / "long.csv", HEADER, *(f"{user},i1,2024-05-03 09:00:00,1,1" for user in users))
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress("\n".join([HEADER, FIRST, "", SECOND]).encode()))
    write_lines(tmp_path / "day 1" / "a b%20[1].csv", "price,n,at,item,user", "1,1,2024-05-03 09:00:00,i1,u7")
    raw = read(spark, tmp_path, mapping(files="{*.csv,*.gz,day*}"))
    assert raw.rows.rdd.getNumPartitions() > 3
    require_known_with_their_files(raw, tmp_path)
    assert places(raw) == [
        ("day 1/a b%20[1].csv", 1, "u7"),
        *(("long.csv", i, user) for i, user in enumerate(users, start=1)),
        ("packed.csv.gz", 1, "u1"),
        ("packed.csv.gz", 2, "u2"),
    ]
    assert raw.rows_read == {"day 1/a b%20[1].csv": 1, "long.csv": 100, "packed.csv.gz": 2}


def test_csv_dialects(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    (tmp_path / "a.csv").write_bytes("u1;'i;''1''';2024-05-03;1;é\r\nu2;i2;2024-05-03;1;2\r\n".encode("latin-1"))
    options = {
        "delimiter": ";",
        "quote": "'",
        "encoding": "ISO-8859-1",
        "column_names": ["user", "item", "at", "n", "price"],
    }
    raw = read(spark, tmp_path, mapping(csv=options))
    assert places(raw, "item") == [("a.csv", 1, "i;'1'"), ("a.csv", 2, "i2")]
    assert places(raw, "price") == [("a.csv", 1, "é"), ("a.csv", 2, "2")]


def test_parquet_columns_of_any_type_are_read(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    """Maps have no hash in Spark and bytes no text: neither may stop a log that holds them."""
    values = "'u1' AS user, 7L AS item, ' 1 ' AS at, binary(' 2 ') AS n, 2.5D AS price, map('a', 1) AS tags"
    spark.sql(f"SELECT {values}").coalesce(1).write.parquet(str(tmp_path / "day"))
    raw = read(spark, tmp_path, mapping(files="day", format="parquet"))
    require_known_with_their_files(raw, tmp_path)
    row = with_raw(raw.rows).select("text.*", c.RAW).collect()[0]
    assert (row["item"], row["at"], row["n"], row["price"]) == ("7", "1", "2", "2.5")
    assert json.loads(row[c.RAW])["at"] == " 1 "


def test_a_line_with_other_than_the_headers_values_is_malformed_and_kept_as_text(
    spark: SparkSession, tmp_path: Path, mapping: Mapping
) -> None:
    write_lines(tmp_path / "a.csv", HEADER, FIRST, "u2,i1", f"{SECOND},more")
    rows = with_raw(read(spark, tmp_path, mapping()).rows).orderBy(c.SOURCE_ROW).select(IS_MALFORMED, c.RAW).collect()
    assert [tuple(row) for row in rows] == [
        (False, '{"user":"u1","item":"i1","at":"2024-05-03 09:00:00","n":"1","price":"2.50"}'),
        (True, '{"line":"u2,i1"}'),
        (True, '{"line":"u2,i1,2024-05-03 10:00:00,2,2.50,more"}'),
    ]


def test_json_lines(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    """A blank line is no record; a name that the mapping does not know stays in the raw text."""
    good = {"user": "u1", "item": 7, "at": "2024-05-03", "n": 1.5, "price": None, "cart": {"id": 3}}
    lines = [json.dumps(good), "", '{"user": "u2",', json.dumps({**good, "user": "u3"})]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    raw = read(spark, tmp_path, mapping(files="*.jsonl.gz", format="json"))
    assert places(raw) == [("a.jsonl.gz", 1, "u1"), ("a.jsonl.gz", 2, None), ("a.jsonl.gz", 3, "u3")]
    assert [value for _, _, value in places(raw, "item")] == ["7", None, "7"]
    rows = with_raw(raw.rows).orderBy(c.SOURCE_ROW).select(IS_MALFORMED, c.RAW).collect()
    assert [row[IS_MALFORMED] for row in rows] == [False, True, False]
    assert [json.loads(row[c.RAW]) for row in rows] == [good, {"line": '{"user": "u2",'}, {**good, "user": "u3"}]


def test_json_names_that_come_behind_the_head_are_read_too(
    spark: SparkSession, tmp_path: Path, mapping: Mapping
) -> None:
    good = {"user": "u1", "item": "i1", "at": "2024-05-03", "n": 1, "price": 2}
    filler = json.dumps({**good, "note": "x" * HEAD_BYTES})
    write_lines(tmp_path / "a.json", json.dumps(good), filler, json.dumps({**good, "gift": "yes"}), '{"gone": 1')
    of_file = mapping(files="*.json", format="json", ignored=["note"])
    raw = read(spark, tmp_path, of_file)
    assert [value for _, _, value in places(raw, "gift")] == [None, None, "yes", None]
    assert "gone" not in unnamed_columns(raw.rows, of_file)
    assert raw.rows_read == {"a.json": 4}

    write_lines(tmp_path / "b.json", json.dumps(good), filler, json.dumps({**good, "User": "u2"}))
    message = r"a record of the files a.json to b.json has two columns that differ in letter case at most: \['User', 'u"
    with pytest.raises(SchemaError, match=message):
        read(spark, tmp_path, mapping(files="*.json", format="json"))


def test_parquet_files_of_different_types_and_nanosecond_times(
    spark: SparkSession, tmp_path: Path, mapping: Mapping
) -> None:
    rows = {"user": [1, 2], "item": ["i1", "i2"], "at": [datetime(2024, 5, 3, 9, 0, 0, 250_000)] * 2, "n": [1, 2]}
    frame = pd.DataFrame({**rows, "price": [2.5, 1e-7]}).astype({"at": "datetime64[ns]"})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.astype({"user": str, "at": "datetime64[us]"}).to_parquet(tmp_path / "b.parquet")
    raw = read(spark, tmp_path, mapping(files="*.parquet", format="parquet"))
    assert places(raw) == [("a.parquet", 1, "1"), ("a.parquet", 2, "2"), ("b.parquet", 1, "1"), ("b.parquet", 2, "2")]
    assert {value for _, _, value in places(raw, "at")} == {"2024-05-03 09:00:00.25"}
    assert [value for _, _, value in places(raw, "price")] == ["2.5", "1.0E-7"] * 2
    assert raw.rows_read == {"a.parquet": 2, "b.parquet": 2}
    require_known_with_their_files(raw, tmp_path)


def test_a_file_without_a_record_is_refused_unless_empty_days_are_usual(
    spark: SparkSession, tmp_path: Path, mapping: Mapping
) -> None:
    write_lines(tmp_path / "a.csv", HEADER, FIRST)
    write_lines(tmp_path / "b.csv", HEADER)
    write_lines(tmp_path / "c.csv")
    with pytest.raises(InputError, match=r"b.csv has no record; of 3 files 2 are empty.*clean.allow_empty_files"):
        read(spark, tmp_path, mapping())
    raw = read(spark, tmp_path, mapping(), allow_empty_files=True)
    assert raw.rows_read == {"a.csv": 1, "b.csv": 0, "c.csv": 0}
    assert places(raw) == [("a.csv", 1, "u1")]


def test_a_parquet_file_whose_footer_tells_of_no_record_is_refused_before_it_is_read(
    spark: SparkSession, tmp_path: Path, mapping: Mapping
) -> None:
    pd.DataFrame({name: pd.Series(dtype=str) for name in HEADER.split(",")}).to_parquet(tmp_path / "a.parquet")
    raw, of_file = RawFolder(spark, str(tmp_path)), mapping(files="*.parquet", format="parquet")
    with pytest.raises(InputError, match=r"a.parquet has no record; of 1 files 1 are empty"):
        read_raw(spark, raw, of_file, raw.files(of_file.files), allow_empty_files=False)


def test_only_empty_files(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    write_lines(tmp_path / "c.csv")
    raw = read(spark, tmp_path, mapping(), allow_empty_files=True)
    assert places(raw) == []


def test_a_file_of_many_values_over_several_lines_is_refused_with_the_line_of_the_mapping(
    spark: SparkSession, tmp_path: Path, mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_MOST_CONTINUED", 2)
    goes_on = 'its end",1'
    write_lines(tmp_path / "few.csv", HEADER, FIRST, goes_on, FIRST, goes_on)
    assert places(read(spark, tmp_path, mapping(files="few.csv")))[0] == ("few.csv", 1, "u1")
    write_lines(tmp_path / "many.csv", HEADER, FIRST, goes_on, FIRST, goes_on, goes_on)
    with pytest.raises(InputError, match=r"many.csv: more than 2 lines .* Cure: set csv.multi_line: true"):
        read(spark, tmp_path, mapping(files="many.csv"))
