"""Raw records of a table's files, as text, each with its file, its number there and when the file became known, and
the records counted by file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import attrgetter, itemgetter
from urllib.parse import unquote

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.files import FileHead, InputFile, RawFolder, heads, require_apart, unreadable
from recsys.clean.mapping import TableMapping
from recsys.clean.scans import (
    BLOCK,
    FIRST_KNOWN_TS,
    IS_MALFORMED,
    LINE,
    RECORD,
    SCAN_ID,
    URI,
    FileGroup,
    goes_on,
    later_names,
    prepared,
    scan_csv,
    scan_json,
    scan_parquet,
)
from recsys.errors import InputError
from recsys.frames.local_rows import local_rows

_STORAGE = StorageLevel.MEMORY_AND_DISK
_OFFSET = "_offset"
_OF_FILE = f"{c.SOURCE_FILE} string, {c.KNOWN_MS} bigint, {c.FIRST_KNOWN_MS} bigint"
_CONTINUED, _IS_OPEN = "_continued", "_is_open"
_MOST_CONTINUED = 10_000  # of a block; with more, it is no CSV file of this dialect


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """`records`: one row a raw record, as `prepared` makes it. `rows_read`: by file, counted apart from the records."""

    mapping: TableMapping
    records: DataFrame
    rows_read: Mapping[str, int]


def read_raw(
    spark: SparkSession,
    folder: RawFolder,
    mapping: TableMapping,
    files: Sequence[InputFile],
    *,
    allow_empty_files: bool,
) -> RawTable:
    """Raises InputError for a file that cannot be read or has no record, SchemaError for one that lacks a column."""
    file_heads = heads(folder, files, mapping)
    with refusing_broken_files(mapping):
        records, counted = _read(spark, files, file_heads, mapping)
    rows_read = {file.path: counted.get(file.path, 0) for file in files}
    if not allow_empty_files:
        _require_records(rows_read)
    return RawTable(mapping=mapping, records=prepared(records), rows_read=rows_read)


@contextmanager
def refusing_broken_files(mapping: TableMapping) -> Iterator[None]:
    """Turns Spark's failure to read a file into InputError with the file's name."""
    try:
        yield
    except Exception as error:
        path = re.search(r"FAILED_READ_FILE.*?while reading file (\S+)\.\s", str(error))
        if path is None:
            raise
        raise unreadable(unquote(path.group(1)), error, mapping) from error


def _require_records(rows_read: Mapping[str, int]) -> None:
    empty = [path for path, rows in rows_read.items() if rows == 0]
    if empty:
        raise InputError(
            f"{empty[0]} has no record; of {len(rows_read)} files {len(empty)} are empty. Cure: fetch the file again, "
            "take it out of the input folder, or set clean.allow_empty_files=true where empty days are usual"
        )


def _read(
    spark: SparkSession, files: Sequence[InputFile], file_heads: Sequence[FileHead], mapping: TableMapping
) -> tuple[DataFrame, dict[str, int]]:
    """Records with their file and number, and the records of each file that has any."""
    columns = _all_columns(file_heads, mapping)
    groups = _by_layout(files, file_heads)
    by_uri = {file.uri: file for file in files}
    if not groups:
        return _no_records(spark, columns), {}
    if mapping.format == "parquet":
        scanned = _union([scan_parquet(spark, group, columns, as_text=len(groups) > 1) for group in groups])
        footers = {file.path: head.rows or 0 for file, head in zip(files, file_heads, strict=True)}
        return _with_file(scanned, files), footers
    if mapping.format == "csv":
        # Unpacking and splitting text costs more than keeping it; items that are read from the event files share it.
        scanned = _union([scan_csv(spark, group, mapping, columns) for group in groups]).persist(_STORAGE)
    else:
        scanned = _scanned_json(spark, groups, columns, is_whole=all(head.is_whole for head in file_heads))
    blocks = _count_blocks(scanned, goes_on(mapping.csv) if mapping.format == "csv" else F.lit(False))
    placed = _with_file_and_row(scanned, blocks, by_uri)
    return _without_open_quotes(placed, blocks, by_uri), _rows_by_file(blocks, by_uri)


def _scanned_json(
    spark: SparkSession, groups: Sequence[FileGroup], columns: Sequence[str], *, is_whole: bool
) -> DataFrame:
    """With the names that only records behind the heads have, too."""
    scanned = _union([scan_json(spark, group, columns) for group in groups]).persist(_STORAGE)
    later = [] if is_whole else later_names(scanned, columns)
    if not later:
        return scanned
    scanned.unpersist()
    files = [file.path for group in groups for file in group.files]
    require_apart(f"a record of the files {files[0]} to {files[-1]}", (*columns, *later))
    return _union([scan_json(spark, group, (*columns, *later)) for group in groups]).persist(_STORAGE)


def _all_columns(file_heads: Sequence[FileHead], mapping: TableMapping) -> tuple[str, ...]:
    """Of all files; an optional column that no file has is there too, empty."""
    names = [name for head in file_heads for name in head.columns]
    return tuple(dict.fromkeys([*names, *mapping.source_columns().values()]))


def _by_layout(files: Sequence[InputFile], file_heads: Sequence[FileHead]) -> list[FileGroup]:
    """CSV columns are read by position, Parquet ones by one schema: files of other layouts are read apart."""
    groups: dict[str, list[tuple[InputFile, FileHead]]] = {}
    for file, head in zip(files, file_heads, strict=True):
        if head.columns:
            groups.setdefault(head.layout, []).append((file, head))
    return [
        FileGroup(
            head=members[0][1],
            files=tuple(file for file, _ in members),
            rows=sum(head.rows or 0 for _, head in members),
            row_groups=sum(head.row_groups for _, head in members),
        )
        for members in groups.values()
    ]


def _no_records(spark: SparkSession, columns: Sequence[str]) -> DataFrame:
    fields = ", ".join(f"`{name}`: string" for name in columns)
    schema = (
        f"{RECORD} struct<{fields}>, {LINE} string, {IS_MALFORMED} boolean, "
        f"{c.SOURCE_FILE} string, {c.SOURCE_ROW} bigint, {c.KNOWN_TS} timestamp, {FIRST_KNOWN_TS} timestamp"
    )
    return local_rows(spark, [], schema)


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, frames)


def _with_file(scanned: DataFrame, files: Sequence[InputFile]) -> DataFrame:
    if len(files) == 1:
        values = zip((c.SOURCE_FILE, c.KNOWN_MS, c.FIRST_KNOWN_MS), _of_file(files[0]), strict=True)
        return _with_known_ts(scanned.withColumns({name: F.lit(value) for name, value in values}))
    rows = [(file.uri, *_of_file(file)) for file in files]
    named = local_rows(scanned.sparkSession, rows, f"{URI} string, {_OF_FILE}")
    return scanned.join(F.broadcast(_with_known_ts(named)), on=URI, how="inner")


def _of_file(file: InputFile) -> tuple[str, int, int]:
    return file.path, file.known_ms, file.first_known_ms


def _with_known_ts(rows: DataFrame) -> DataFrame:
    times = {c.KNOWN_TS: F.timestamp_millis(c.KNOWN_MS), FIRST_KNOWN_TS: F.timestamp_millis(c.FIRST_KNOWN_MS)}
    return rows.withColumns(times).drop(c.KNOWN_MS, c.FIRST_KNOWN_MS)


def _count_blocks(scanned: DataFrame, is_continued: Column) -> list[Row]:
    """Spark numbers the records of a task, not those of a file, and may split a file into blocks. So one pass finds the
    first number and the records of each block; the number within the file follows, however files were split.

    In the same pass, the first numbers of records that may go on with a quote that the record before them opened.
    """
    continued = F.collect_list(F.when(is_continued, F.col(SCAN_ID)))
    counts = scanned.groupBy(URI, BLOCK).agg(
        F.min(SCAN_ID).alias(SCAN_ID),
        F.count("*").alias(c.ROWS_READ),
        F.slice(F.array_sort(continued), 1, _MOST_CONTINUED + 1).alias(_CONTINUED),
    )
    blocks = sorted(counts.collect(), key=attrgetter(URI, BLOCK))
    _require_few_continued(blocks)
    return blocks


def _require_few_continued(blocks: Sequence[Row]) -> None:
    """Of more, the lines before them would pass for whole records."""
    for block in blocks:
        if len(block[_CONTINUED]) > _MOST_CONTINUED:
            raise InputError(
                f"{unquote(block[URI])}: more than {_MOST_CONTINUED} lines of one block of the file go on with quotes "
                "that lines before them opened; expected a record a line. Cure: set csv.multi_line: true for these "
                "files in the mapping, or name their quote sign under csv.quote"
            )


def _without_open_quotes(records: DataFrame, blocks: Sequence[Row], by_uri: Mapping[str, InputFile]) -> DataFrame:
    """A line that ends within quotes reads as if they were closed: it is malformed where the next one goes on."""
    opened = [
        (file.path, first_row + number - block[SCAN_ID] - 1)
        for file, first_row, block in _placed(blocks, by_uri)
        for number in block[_CONTINUED]
    ]
    if not opened:
        return records
    marked = local_rows(records.sparkSession, opened, f"{c.SOURCE_FILE} string, {c.SOURCE_ROW} bigint")
    is_open = marked.distinct().withColumn(_IS_OPEN, F.lit(True))
    joined = records.join(F.broadcast(is_open), on=[c.SOURCE_FILE, c.SOURCE_ROW], how="left")
    return joined.withColumn(IS_MALFORMED, F.col(IS_MALFORMED) | F.coalesce(_IS_OPEN, F.lit(False)))


def _placed(blocks: Sequence[Row], by_uri: Mapping[str, InputFile]) -> Iterator[tuple[InputFile, int, Row]]:
    """File, number within it of the block's first record, block."""
    for uri, members in groupby(blocks, key=itemgetter(URI)):
        rows_before = 0
        for block in members:
            yield by_uri[uri], rows_before + 1, block
            rows_before += block[c.ROWS_READ]


def _with_file_and_row(scanned: DataFrame, blocks: Sequence[Row], by_uri: Mapping[str, InputFile]) -> DataFrame:
    offsets = [
        (block[URI], block[BLOCK], *_of_file(file), first_row - block[SCAN_ID])
        for file, first_row, block in _placed(blocks, by_uri)
    ]
    schema = f"{URI} string, {BLOCK} bigint, {_OF_FILE}, {_OFFSET} bigint"
    places = _with_known_ts(local_rows(scanned.sparkSession, offsets, schema))
    placed = scanned.join(F.broadcast(places), on=[URI, BLOCK], how="inner")
    return placed.withColumn(c.SOURCE_ROW, F.col(SCAN_ID) + F.col(_OFFSET))


def _rows_by_file(blocks: Sequence[Row], by_uri: Mapping[str, InputFile]) -> dict[str, int]:
    return {
        by_uri[uri].path: sum(block[c.ROWS_READ] for block in members)
        for uri, members in groupby(blocks, key=itemgetter(URI))
    }
