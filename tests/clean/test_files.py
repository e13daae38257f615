import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from recsys.clean.files import RawFolder, heads
from recsys.clean.mapping import EventsMapping
from recsys.clean.sources import read_raw
from recsys.errors import InputError, SchemaError
from recsys.frames.caches import in_memory
from tests.clean.conftest import EVENT_LINES, write_lines

Mapping = Callable[..., EventsMapping]


def check(spark: SparkSession, folder: Path, mapping: EventsMapping) -> None:
    raw = RawFolder(spark, str(folder))
    heads(raw, raw.files(mapping.files), mapping)


def test_folders_and_hidden_files(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("day 1/b.csv", "day 1/a.csv", "day 1/_SUCCESS", "day 1/.a.csv.crc", "c.csv", "c.txt"):
        write_lines(tmp_path / name, "x")
    found = RawFolder(spark, str(tmp_path)).files("{day*,*.csv}")
    assert [file.path for file in found] == ["c.csv", "day 1/a.csv", "day 1/b.csv"]


def test_a_missing_folder_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"input folder .*nowhere does not exist.*source.input"):
        RawFolder(spark, str(tmp_path / "nowhere"))


def test_a_pattern_without_a_file_says_what_there_is(spark: SparkSession, tmp_path: Path) -> None:
    write_lines(tmp_path / "events.txt", "x")
    with pytest.raises(InputError, match=r"no file of .* matches '\*.csv'; it holds \['events.txt'\]"):
        RawFolder(spark, str(tmp_path)).files("*.csv")


def test_a_missing_column_names_file_column_and_line(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    write_lines(tmp_path / "a.csv", *EVENT_LINES)
    write_lines(tmp_path / "b.csv", "user;item;at", "u1;i1;2024")
    with pytest.raises(
        SchemaError, match=r"b.csv lacks the columns \['at'.*it has \['user;item;at'\].*columns.user_id: "
    ):
        check(spark, tmp_path, mapping())


def test_an_optional_column_may_be_missing(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    write_lines(tmp_path / "a.csv", "user,item,at,price", "u1,i1,2024-05-03,1")
    check(spark, tmp_path, mapping(optional=["n"]))
    with pytest.raises(SchemaError, match=r"a.csv lacks the columns \['n'\]; it has .*columns.quantity: n"):
        check(spark, tmp_path, mapping())


def test_two_columns_of_one_name_are_refused(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    write_lines(tmp_path / "a.csv", "user,item,at,n,price,User")
    with pytest.raises(
        SchemaError, match=r"a.csv has two columns that differ in letter case at most: \['User', 'user'"
    ):
        check(spark, tmp_path, mapping())


def test_a_csv_file_that_is_not_packed_as_its_ending_says(
    spark: SparkSession, tmp_path: Path, mapping: Mapping
) -> None:
    write_lines(tmp_path / "a.csv.gz", *EVENT_LINES)
    with pytest.raises(InputError, match=r"a.csv.gz cannot be read as csv: .*not a gzip file.*fetch the file again"):
        check(spark, tmp_path, mapping(files="*.csv.gz"))


def test_a_file_cut_off_in_the_middle(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    lines = [*EVENT_LINES, *(f"u{i},i{i * i},2024-05-03 09:00:00,1,{i}" for i in range(20_000))]
    packed = gzip.compress("\n".join(lines).encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    folder = RawFolder(spark, str(tmp_path))
    raw = read_raw(spark, folder, mapping(files="*.csv.gz"), folder.files("*.csv.gz"), allow_empty_files=False)
    with pytest.raises(InputError, match=r"a.csv.gz cannot be read as csv: Unexpected end of input stream"):
        raw.numbered(in_memory(raw.records))


def test_a_parquet_file_that_is_none(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    write_lines(tmp_path / "a.parquet", *EVENT_LINES)
    with pytest.raises(InputError, match=r"a.parquet cannot be read as parquet: .*is not a Parquet file"):
        check(spark, tmp_path, mapping(files="*.parquet", format="parquet"))


def test_a_json_file_that_is_none(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    write_lines(tmp_path / "a.json", *EVENT_LINES)
    with pytest.raises(InputError, match=r"a.json cannot be read as json: .*no line of its head is a JSON object"):
        check(spark, tmp_path, mapping(files="*.json", format="json"))


def test_a_parquet_file_tells_the_kinds_of_its_columns(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    at = pd.to_datetime(["2024-05-03"])
    rows = {"user": [1], "item": ["i1"], "at": at, "n": [1.5], "price": [b"1"], "gift": [True], "tags": [[1]]}
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    raw = RawFolder(spark, str(tmp_path))
    (head,) = heads(raw, raw.files("*"), mapping(files="*", format="parquet"))
    assert head.kinds == {
        "user": "whole number", "item": "text", "at": "time", "n": "number", "price": "bytes", "gift": "flag",
        "tags": "nested",
    }  # fmt: skip


def test_a_parquet_file_without_a_column(spark: SparkSession, tmp_path: Path, mapping: Mapping) -> None:
    pd.DataFrame({"user": ["u1"], "item": ["i1"], "at": ["2024-05-03"], "n": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match=r"a.parquet lacks the columns \['price'\].*amount.column: price"):
        check(spark, tmp_path, mapping(files="*.parquet", format="parquet"))
