"""Raw records of a table's files, as text, each with its file, its number there and when the file became known, and
the records counted by file."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from operator import attrgetter
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.files import FileHead, InputFile, RawFolder, heads, require_apart, unreadable
from recsys.clean.mapping import TableMapping
from recsys.clean.rules import IS_GOOD, Judged
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
from recsys.frames.caches import in_memory
from recsys.frames.local_rows import local_rows

_FILE_BITS = 42  # files of up to 4 TiB, and two million of them
_FIRST_BLOCK = "_first_block"
_OFFSET = "_offset"
_CONTINUED, _IS_OPEN = "_continued", "_is_open"
_MOST_CONTINUED = 10_000  # of a block; with more, it is no CSV file of this dialect


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """`rows` with source_file, source_row and known_ts; `rows_read`: by file, counted before they are parted."""

    rows: DataFrame
    rows_read: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """`records`: one row a raw record, as `prepared` makes it, not yet numbered. `footers`: rows that the files say
    they have; None where they do not."""

    mapping: TableMapping
    records: DataFrame
    files: Sequence[InputFile]
    allow_empty_files: bool
    footers: Mapping[str, int] | None

    def judged(self, judge: Callable[[DataFrame], Judged]) -> tuple[Judged, Mapping[str, int]]:
        """Numbered, in memory; and the rows read of each file. Raises as `numbered` does."""
        found = judge(self.records)
        numbered = self.numbered(in_memory(found.rows))
        # Numbering finds lines that end within quotes.
        rows = numbered.rows.withColumn(IS_GOOD, F.col(IS_GOOD) & ~F.col(IS_MALFORMED))
        return replace(found, rows=rows), numbered.rows_read

    def numbered(self, rows: DataFrame) -> Numbered:
        """`rows`: what was made of the records, one of each, in memory; they are counted before anything else is.

        Raises InputError for a file that cannot be read to its end, has no record, or is no CSV file as mapped.
        """
        is_continued = goes_on(self.mapping.csv) if self.mapping.format == "csv" else F.lit(False)
        with refusing_broken_files(self.mapping):
            blocks = _count_blocks(rows, is_continued)
        _require_few_continued(blocks, self.files)
        counted = _rows_by_file(blocks, self.files) if self.footers is None else self.footers
        rows_read = {file.path: counted.get(file.path, 0) for file in self.files}
        if not self.allow_empty_files:
            _require_records(rows_read)
        return Numbered(
            rows=_without_open_quotes(_with_file_and_row(rows, blocks, self.files), blocks, self.files),
            rows_read=rows_read,
        )


def read_raw(
    spark: SparkSession,
    folder: RawFolder,
    mapping: TableMapping,
    files: Sequence[InputFile],
    *,
    allow_empty_files: bool,
) -> RawTable:
    """Raises InputError for a file that cannot be read or whose footer says that it has no record, SchemaError for one
    that lacks a column."""
    file_heads = heads(folder, files, mapping)
    footers = _footers(files, file_heads) if mapping.format == "parquet" else None
    if footers is not None and not allow_empty_files:
        _require_records(footers)
    with refusing_broken_files(mapping):
        scanned = _scanned(spark, files, file_heads, mapping)
    return RawTable(
        mapping=mapping,
        records=prepared(_with_file(scanned, files)),
        files=files,
        allow_empty_files=allow_empty_files,
        footers=footers,
    )


def _footers(files: Sequence[InputFile], file_heads: Sequence[FileHead]) -> dict[str, int]:
    return {file.path: head.rows or 0 for file, head in zip(files, file_heads, strict=True)}


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


def _scanned(
    spark: SparkSession, files: Sequence[InputFile], file_heads: Sequence[FileHead], mapping: TableMapping
) -> DataFrame:
    columns = _all_columns(file_heads, mapping)
    groups = _by_layout(files, file_heads)
    if not groups:
        return _no_records(spark, columns)
    if mapping.format == "parquet":
        return _union([scan_parquet(spark, group, columns, as_text=len(groups) > 1) for group in groups])
    if mapping.format == "csv":
        return _union([scan_csv(spark, group, mapping, columns) for group in groups])
    return _scanned_json(spark, groups, columns, is_whole=all(head.is_whole for head in file_heads))


def _scanned_json(
    spark: SparkSession, groups: Sequence[FileGroup], columns: Sequence[str], *, is_whole: bool
) -> DataFrame:
    """With the names that only records behind the heads have, too."""
    scanned = _union([scan_json(spark, group, columns) for group in groups])
    if is_whole:
        return scanned
    later = later_names(in_memory(scanned), columns)
    if not later:
        return scanned
    scanned.unpersist()
    files = [file.path for group in groups for file in group.files]
    require_apart(f"a record of the files {files[0]} to {files[-1]}", (*columns, *later))
    return _union([scan_json(spark, group, (*columns, *later)) for group in groups])


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
    schema = f"{RECORD} struct<{fields}>, {LINE} string, {IS_MALFORMED} boolean, {URI} string"
    return local_rows(spark, [], f"{schema}, {BLOCK} bigint, {SCAN_ID} bigint")


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, frames)


def _with_file(scanned: DataFrame, files: Sequence[InputFile]) -> DataFrame:
    """Numbers the blocks of all files in place of those of a file with its long address; null where it is unknown."""
    rows = [(uri, i << _FILE_BITS, file.first_known_ms) for i, file in enumerate(files) for uri in _spellings(file.uri)]
    of_file = local_rows(scanned.sparkSession, rows, f"{URI} string, {_FIRST_BLOCK} bigint, {c.FIRST_KNOWN_MS} bigint")
    known = of_file.withColumn(FIRST_KNOWN_TS, F.timestamp_millis(c.FIRST_KNOWN_MS)).drop(c.FIRST_KNOWN_MS)
    joined = scanned.join(F.broadcast(known), on=URI, how="left")
    return joined.withColumn(BLOCK, F.col(_FIRST_BLOCK) + F.col(BLOCK)).drop(URI, _FIRST_BLOCK)


def _spellings(uri: str) -> set[str]:
    """Spark writes a local file's address with one slash or three, by format and plan."""
    return {uri, re.sub("^file:/", "file:///", uri)}


def _count_blocks(rows: DataFrame, is_continued: Column) -> list[Row]:
    """Spark numbers the records of a task, not those of a file, and may split a file into blocks. So one pass finds the
    first number and the records of each block; the number within the file follows, however files were split.

    In the same pass, the first numbers of records that may go on with a quote that the record before them opened.
    """
    continued = F.collect_list(F.when(is_continued, F.col(SCAN_ID)))
    counts = rows.groupBy(BLOCK).agg(
        F.min(SCAN_ID).alias(SCAN_ID),
        F.count("*").alias(c.ROWS_READ),
        F.slice(F.array_sort(continued), 1, _MOST_CONTINUED + 1).alias(_CONTINUED),
    )
    blocks = counts.collect()
    assert all(block[BLOCK] is not None for block in blocks), "Spark names a file as the listing of its folder does"
    return sorted(blocks, key=attrgetter(BLOCK))


def _number_of_file(block: Row) -> int:
    return int(block[BLOCK]) >> _FILE_BITS


def _require_few_continued(blocks: Sequence[Row], files: Sequence[InputFile]) -> None:
    """Of more, the lines before them would pass for whole records."""
    for block in blocks:
        if len(block[_CONTINUED]) > _MOST_CONTINUED:
            raise InputError(
                f"{files[_number_of_file(block)].path}: more than {_MOST_CONTINUED} lines of one block of the file go "
                "on with quotes that lines before them opened; expected a record a line. Cure: set csv.multi_line: "
                "true for these files in the mapping, or name their quote sign under csv.quote"
            )


def _without_open_quotes(numbered: DataFrame, blocks: Sequence[Row], files: Sequence[InputFile]) -> DataFrame:
    """A line that ends within quotes reads as if they were closed: it is malformed where the next one goes on."""
    opened = [
        (file.path, first_row + number - block[SCAN_ID] - 1)
        for file, first_row, block in _placed(blocks, files)
        for number in block[_CONTINUED]
    ]
    if not opened:
        return numbered
    marked = local_rows(numbered.sparkSession, opened, f"{c.SOURCE_FILE} string, {c.SOURCE_ROW} bigint")
    is_open = marked.distinct().withColumn(_IS_OPEN, F.lit(True))
    joined = numbered.join(F.broadcast(is_open), on=[c.SOURCE_FILE, c.SOURCE_ROW], how="left")
    return joined.withColumn(IS_MALFORMED, F.col(IS_MALFORMED) | F.coalesce(_IS_OPEN, F.lit(False))).drop(_IS_OPEN)


def _placed(blocks: Sequence[Row], files: Sequence[InputFile]) -> Iterator[tuple[InputFile, int, Row]]:
    """File, number within it of the block's first record, block."""
    for number, members in groupby(blocks, key=_number_of_file):
        rows_before = 0
        for block in members:
            yield files[number], rows_before + 1, block
            rows_before += block[c.ROWS_READ]


def _with_file_and_row(rows: DataFrame, blocks: Sequence[Row], files: Sequence[InputFile]) -> DataFrame:
    offsets = [
        (block[BLOCK], file.path, file.known_ms, first_row - block[SCAN_ID])
        for file, first_row, block in _placed(blocks, files)
    ]
    schema = f"{BLOCK} bigint, {c.SOURCE_FILE} string, {c.KNOWN_MS} bigint, {_OFFSET} bigint"
    places = local_rows(rows.sparkSession, offsets, schema).withColumn(c.KNOWN_TS, F.timestamp_millis(c.KNOWN_MS))
    placed = rows.join(F.broadcast(places.drop(c.KNOWN_MS)), on=BLOCK, how="inner")
    return placed.withColumn(c.SOURCE_ROW, F.col(SCAN_ID) + F.col(_OFFSET)).drop(BLOCK, SCAN_ID, _OFFSET)


def _rows_by_file(blocks: Sequence[Row], files: Sequence[InputFile]) -> dict[str, int]:
    return {
        files[number].path: sum(block[c.ROWS_READ] for block in members)
        for number, members in groupby(blocks, key=_number_of_file)
    }
