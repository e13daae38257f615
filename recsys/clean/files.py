"""Raw files: which there are in an input folder, and what the head or footer of each says, some files at a time."""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark.sql import SparkSession

from recsys.clean.kinds import json_kinds, parquet_kind
from recsys.clean.mapping import CsvOptions, TableMapping
from recsys.errors import InputError, SchemaError

FILES_AT_A_TIME = 8
HEAD_BYTES = 64 * 1024
_NUM_NAMES_SHOWN = 10
_NANOSECOND_COLUMN = re.compile(r"int64 (\S+) \(TIMESTAMP\(NANOS")


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """`location` is the plain name, `uri` the address, of a local file with one slash, `path` relative to the input.

    `known_ms`: when what it says now became known, `first_known_ms`: when what it ever said did. Both are its
    modification time until clean.ledger or its name says otherwise.
    """

    location: str
    uri: str
    path: str
    num_bytes: int
    modified_ms: int
    known_ms: int
    first_known_ms: int

    @property
    def was_corrected(self) -> bool:
        """Some of its rows may have been known before it said what it says now."""
        return self.first_known_ms < self.known_ms


@dataclass(frozen=True, kw_only=True)
class FileHead:
    """What a file says of itself. Spark may read files of one layout together; only Parquet knows its rows, and in how
    many row groups they lie. `kinds` of columns: none of CSV, which is all text; of JSON those that its head shows.
    `is_whole`: no record that comes later has further columns."""

    columns: tuple[str, ...]
    layout: str
    rows: int | None = None
    row_groups: int = 0
    nanosecond_columns: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True


class RawFolder:
    """An input folder on any filesystem that Spark knows. Raises InputError where it does not exist."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        context: Any = spark.sparkContext
        self._jvm = context._jvm
        self._configuration = context._jsc.hadoopConfiguration()
        path = self._jvm.org.apache.hadoop.fs.Path(root)
        self._fs = path.getFileSystem(self._configuration)
        if not self._fs.exists(path):
            raise InputError(
                f"the input folder {root} does not exist; give the folder of the raw files with "
                "--set source.input=<folder or URI>, or as 'input' in the source's mapping"
            )
        self._path = self._fs.makeQualified(path)
        self._heads: dict[tuple[str, str, CsvOptions], FileHead] = {}

    @property
    def root(self) -> str:
        return str(self._path.toString())

    def files(self, pattern: str) -> tuple[InputFile, ...]:
        """Sorted by path; a folder stands for its files; hidden ones are not read. Raises InputError on none."""
        found = self._fs.globStatus(self._jvm.org.apache.hadoop.fs.Path(self._path, pattern)) or []
        files = [file for status in found for file in self._leaves(status)]
        if not files:
            names = sorted(status.getPath().getName() for status in self._fs.listStatus(self._path))
            raise InputError(
                f"no file of the input folder {self.root} matches {pattern!r}; it holds {names[:_NUM_NAMES_SHOWN]}. "
                "Cure: check source.input, or the line 'files' of the mapping"
            )
        return tuple(sorted(files, key=lambda file: file.path))

    def first_lines(self, file: InputFile, encoding: str) -> tuple[list[str], bool]:
        """Those of the first bytes, unpacked by the file's ending as Spark does it, and whether there are no others;
        blank lines are left out."""
        path = self._jvm.org.apache.hadoop.fs.Path(file.location)
        codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._configuration).getCodec(path)
        stream = self._fs.open(path)
        try:
            unpacked = codec.createInputStream(stream) if codec is not None else stream
            head = bytes(unpacked.readNBytes(HEAD_BYTES))
        finally:
            stream.close()
        lines = head.decode(encoding, errors="replace").removeprefix("\ufeff").splitlines()
        is_whole = len(head) < HEAD_BYTES
        uncut = lines if is_whole or len(lines) == 1 else lines[:-1]
        return [line for line in uncut if line.strip()], is_whole

    def checksum(self, file: InputFile) -> str:
        """SHA-256 of the file's bytes; the JVM reads them in pieces."""
        stream = self._fs.open(self._jvm.org.apache.hadoop.fs.Path(file.location))
        try:
            return str(self._jvm.org.apache.commons.codec.digest.DigestUtils.sha256Hex(stream))
        finally:
            stream.close()

    def checksums(self, files: Iterable[InputFile]) -> dict[str, str]:
        """By path; each file once."""
        by_path = {file.path: file for file in files}
        with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
            return dict(zip(by_path, pool.map(self.checksum, by_path.values()), strict=True))

    def footer(self, file: InputFile) -> FileHead:
        """Of a Parquet file."""
        hadoop = self._jvm.org.apache.parquet.hadoop
        path = self._jvm.org.apache.hadoop.fs.Path(file.location)
        reader = hadoop.ParquetFileReader.open(hadoop.util.HadoopInputFile.fromPath(path, self._configuration))
        try:
            schema = reader.getFooter().getFileMetaData().getSchema()
            text = str(schema.toString())
            columns = tuple(str(schema.getFieldName(i)) for i in range(schema.getFieldCount()))
            return FileHead(
                columns=columns,
                layout=text,
                rows=int(reader.getRecordCount()),
                row_groups=int(reader.getRowGroups().size()),
                nanosecond_columns=frozenset(_NANOSECOND_COLUMN.findall(text)),
                kinds={name: parquet_kind(str(schema.getType(i).toString())) for i, name in enumerate(columns)},
            )
        finally:
            reader.close()

    def head(self, file: InputFile, mapping: TableMapping) -> FileHead:
        """Read once, also where two tables are read from one file."""
        key = (file.location, mapping.format, mapping.csv)
        if key not in self._heads:
            self._heads[key] = self.footer(file) if mapping.format == "parquet" else _text_head(self, file, mapping)
        return self._heads[key]

    def _leaves(self, status: Any) -> list[InputFile]:
        name = status.getPath().getName()
        if name.startswith((".", "_")):
            return []
        if status.isDirectory():
            return [file for inner in self._fs.listStatus(status.getPath()) for file in self._leaves(inner)]
        location, modified_ms = str(status.getPath().toString()), int(status.getModificationTime())
        return [
            InputFile(
                location=location,
                uri=re.sub("^file:/+", "file:/", str(status.getPath().toUri().toString())),
                path=location.removeprefix(self.root).lstrip("/"),
                num_bytes=int(status.getLen()),
                modified_ms=modified_ms,
                known_ms=modified_ms,
                first_known_ms=modified_ms,
            )
        ]


def heads(folder: RawFolder, files: Sequence[InputFile], mapping: TableMapping) -> tuple[FileHead, ...]:
    """Of each file. Raises InputError where one is not of the mapped format, SchemaError where it lacks a column."""
    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        found = tuple(pool.map(lambda file: _head(folder, file, mapping), files))
    for file, head in zip(files, found, strict=True):
        _require_columns(file, head, mapping)
    return found


def _head(folder: RawFolder, file: InputFile, mapping: TableMapping) -> FileHead:
    try:
        return folder.head(file, mapping)
    except Exception as error:
        raise unreadable(file.path, error, mapping) from error


def unreadable(path: str, error: BaseException, mapping: TableMapping) -> InputError:
    """For a file that is broken, packed otherwise than its ending says, or of another format."""
    causes = re.findall(r"\S*(?:Exception|Error): ([^\n]+)", str(error)) or [str(error)]
    return InputError(
        f"{path} cannot be read as {mapping.format}: {causes[-1].strip()}. Cure: fetch the file again or take it out "
        "of the input folder, or correct the lines 'files' and 'format' of the mapping"
    )


def _text_head(folder: RawFolder, file: InputFile, mapping: TableMapping) -> FileHead:
    lines, is_whole = folder.first_lines(file, mapping.csv.encoding if mapping.format == "csv" else "UTF-8")
    return _csv_head(lines, mapping) if mapping.format == "csv" else replace(_json_head(lines), is_whole=is_whole)


def _csv_head(lines: Sequence[str], mapping: TableMapping) -> FileHead:
    names = mapping.csv.column_names
    if names is None:
        rows = csv.reader(lines[:1], delimiter=mapping.csv.delimiter, quotechar=mapping.csv.quote)
        names = tuple(next(rows, []))
    return FileHead(columns=names, layout=json.dumps(names))


def _json_head(lines: Sequence[str]) -> FileHead:
    """The names of all records in the head. A record is read by names, so all files have one layout."""
    records = [record for record in map(_parsed, lines) if isinstance(record, dict)]
    if lines and not records:
        raise ValueError(f"no line of its head is a JSON object, the first is {lines[0][:80]!r}")
    names = dict.fromkeys(name for record in records for name in record)
    return FileHead(columns=tuple(names), layout="", kinds=json_kinds(records))


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _require_columns(file: InputFile, head: FileHead, mapping: TableMapping) -> None:
    """A file without a single byte has no columns either: it is refused as empty when rows are counted."""
    if not head.columns:
        return
    missing = {
        line: column
        for line, column in mapping.source_columns().items()
        if column not in head.columns and column not in mapping.optional
    }
    if missing:
        lines = "; ".join(f"{line}: {column}" for line, column in missing.items())
        raise SchemaError(
            f"{file.path} lacks the columns {sorted(set(missing.values()))}; it has {list(head.columns)}. "
            f"Cure: correct in the mapping {mapping.files!r}: {lines}; or list the columns under 'optional'"
        )
    require_apart(file.path, head.columns)


def require_apart(path: str, columns: Sequence[str]) -> None:
    """Raises SchemaError for two columns that are one to Spark."""
    names = [name.lower() for name in columns]
    repeated = sorted({name for name in columns if names.count(name.lower()) > 1})
    if repeated:
        raise SchemaError(
            f"{path} has two columns that differ in letter case at most: {repeated}; rename one, or for CSV "
            "give other names under csv.column_names"
        )
