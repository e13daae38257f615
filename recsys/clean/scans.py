"""One scan a file format: every record of the files, with the place where Spark found it.

A scan has the columns record (a struct of all columns), line (the raw text, where the record does not hold
all of it), is_malformed, uri, and a place: block and scan_id (see recsys/clean/sources.py).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from recsys import columns as c
from recsys.clean.files import FileHead, InputFile
from recsys.clean.mapping import CsvOptions, TableMapping

RECORD = "record"
TEXT = "text"
IS_MALFORMED = "is_malformed"
CONTENT_HASH = "content_hash"
LINE = "_line"
FIRST_KNOWN_TS = "first_known_ts"  # of the file, whatever it was corrected to since
URI = "_uri"  # as Spark spells it: with one slash or three, by format and plan
BLOCK = "_block"
SCAN_ID = "_scan_id"
OF_RAW = (RECORD, LINE, IS_MALFORMED)  # what the JSON text of a record is made of
# Of a record alone; what is made of it goes on without them.
_OF_RECORD = (TEXT, FIRST_KNOWN_TS, CONTENT_HASH)
_UNDECODED = "\ufffd"
_SPACE = " \t\r\n\u00a0"
# Types whose text has no spaces around it and that Spark can hash; a record holds all others as text.
_KEPT_TYPES = (t.NumericType, t.BooleanType, t.DateType, t.TimestampType)
_MORE_THAN_PARTITIONS = 10**6
_LARGE_ROW_GROUP = 1_000_000  # rows
_GLOB_SIGN = re.compile(r"([\[\]{}*?\\])")


@dataclass(frozen=True, kw_only=True)
class FileGroup:
    """Files of one layout, which Spark may read together."""

    head: FileHead
    files: tuple[InputFile, ...]
    rows: int = 0
    row_groups: int = 0

    @property
    def locations(self) -> list[str]:
        """Spark takes a path for a pattern."""
        return [_GLOB_SIGN.sub(r"\\\1", file.location) for file in self.files]


def scan_parquet(spark: SparkSession, group: FileGroup, columns: Sequence[str], *, as_text: bool) -> DataFrame:
    """Spark numbers the rows of a Parquet file. None is malformed: a broken file breaks as a whole.

    `as_text` makes groups of one schema; without it a record keeps numbers, flags and times as they are, and only
    those that are looked at are made into text.
    """
    rows = spark.read.parquet(*group.locations)
    kept_types = () if as_text else _KEPT_TYPES
    values = {
        name: value if isinstance(rows.schema[name].dataType, kept_types) else value.cast("string")
        for name, value in ((name, _parquet_value(name, group.head)) for name in group.head.columns)
    }
    scanned = rows.select(
        _record(values, columns),
        F.lit(None).cast("string").alias(LINE),
        F.lit(False).alias(IS_MALFORMED),
        F.col("_metadata.file_path").alias(URI),
        F.lit(0).cast("bigint").alias(BLOCK),
        F.col("_metadata.row_index").alias(SCAN_ID),
    )
    return _spread(scanned, _parts(group, spark.sparkContext.defaultParallelism))


def _parts(group: FileGroup, parallelism: int) -> int:
    """Spark reads a row group in one task: of few and large ones each is read by several."""
    is_large = group.rows >= _LARGE_ROW_GROUP * max(group.row_groups, 1)
    return math.ceil(parallelism / group.row_groups) if is_large and group.row_groups else 1


def _spread(scanned: DataFrame, parts: int) -> DataFrame:
    """Each part decodes all rows and takes its share: cheaper than a shuffle, for judging a row costs far more."""
    shares = [scanned.where(F.pmod(SCAN_ID, F.lit(parts)) == part) for part in range(parts)]
    return reduce(DataFrame.unionByName, shares) if parts > 1 else scanned


def scan_csv(spark: SparkSession, group: FileGroup, mapping: TableMapping, columns: Sequence[str]) -> DataFrame:
    """Malformed: more or fewer values than the header has names, or bytes that the encoding does not know. A record is
    a line, unless the mapping says that there are line breaks within quotes."""
    schema = t.StructType([t.StructField(name, t.StringType()) for name in (*group.head.columns, LINE)])
    options = mapping.csv
    rows = (
        spark.read.schema(schema)
        .options(header=options.column_names is None, sep=options.delimiter, encoding=options.encoding)
        .options(quote=options.quote, escape=options.quote, multiLine=options.multi_line)
        # With pruning, whether a line counts as malformed would depend on the columns that a query asks for.
        .options(mode="PERMISSIVE", columnNameOfCorruptRecord=LINE, columnPruning=False)
        .csv(group.locations)
    )
    texts = {name: F.col(quoted(name)) for name in group.head.columns}
    # The sign that Spark writes for what it cannot decode.
    undecoded = (F.coalesce(text.contains(_UNDECODED), F.lit(False)) for text in texts.values())
    is_broken = reduce(or_, undecoded, F.col(LINE).isNotNull())
    return rows.select(_record(texts, columns), LINE, is_broken.alias(IS_MALFORMED), *_place())


def goes_on(options: CsvOptions) -> Column:
    """Whether a malformed line has an odd number of quotes: it may go on with a value that the line before opened."""
    if not options.quote or options.multi_line:
        return F.lit(False)
    quotes = F.length(LINE) - F.length(F.replace(F.col(LINE), F.lit(options.quote), F.lit("")))
    return F.coalesce(quotes % (2 * len(options.quote)) != 0, F.lit(False))


def scan_json(spark: SparkSession, group: FileGroup, columns: Sequence[str]) -> DataFrame:
    """Malformed: a line that is not a JSON object in UTF-8. A name that is not among `columns` is in the line only."""
    schema = t.StructType([t.StructField(name, t.StringType()) for name in (*columns, LINE)])
    lines = spark.read.text(group.locations).where(F.trim("value") != "")
    parsed = F.from_json("value", schema, {"columnNameOfCorruptRecord": LINE})
    records = lines.select(F.col("value").alias(LINE), parsed.alias("parsed"), *_place())
    texts = {name: F.col("parsed").getField(name) for name in columns}
    is_malformed = F.col("parsed").getField(LINE).isNotNull() | F.col(LINE).contains(_UNDECODED)
    return records.select(_record(texts, columns), LINE, is_malformed.alias(IS_MALFORMED), URI, BLOCK, SCAN_ID)


def later_names(scanned: DataFrame, columns: Sequence[str]) -> list[str]:
    """Names of JSON records that are not among `columns`."""
    names = scanned.where(~F.col(IS_MALFORMED)).select(F.explode(F.json_object_keys(LINE))).distinct().collect()
    return sorted({row[0] for row in names} - set(columns))


def prepared(records: DataFrame) -> DataFrame:
    """Adds `text`, the record's values as text, and a hash: records of one hash are nearly always equal.

    Text has no spaces around it; blank is null. Only values that were text need to be looked at for that.
    """
    texts = [_text(field).alias(field.name) for field in raw_fields(records)]
    # By name, as text and without nulls (which leave a hash as it is): a record has one hash whatever files and columns
    # are read together with it.
    by_name = sorted(raw_fields(records), key=lambda field: field.name)
    of_values = F.xxhash64(*(F.col(RECORD).getField(field.name).cast("string") for field in by_name))
    content_hash = F.when(F.col(LINE).isNull(), of_values).otherwise(F.xxhash64(LINE))
    return _compiled_apart(records.select("*", content_hash.alias(CONTENT_HASH), F.struct(*texts).alias(TEXT)))


def _compiled_apart(rows: DataFrame) -> DataFrame:
    """Spark makes one method of the steps before and behind, which would be larger than what Java compiles. Nothing
    else changes: no partition is joined with another."""
    return rows.coalesce(_MORE_THAN_PARTITIONS)


def carried(records: DataFrame) -> list[str]:
    """What a table's rows carry on from the raw record: its place, and all that its JSON text would be made of."""
    return [name for name in records.columns if name not in _OF_RECORD]


def _text(field: t.StructField) -> Column:
    value = F.col(RECORD).getField(field.name)
    if not isinstance(field.dataType, t.StringType):
        return value.cast("string")
    return F.nullif(_trimmed(value), F.lit(""))


def _trimmed(value: Column) -> Column:
    """Spark takes off a list of signs many times slower than plain spaces: only where one of the others occurs."""
    has_other_space = reduce(or_, (F.contains(value, F.lit(sign)) for sign in _SPACE if sign != " "))
    return F.when(has_other_space, F.trim(value, F.lit(_SPACE))).otherwise(F.trim(value))


def with_raw(rows: DataFrame) -> DataFrame:
    """Adds the raw record as JSON text. Costly: for rows that are left out."""
    line = F.to_json(F.struct(F.col(LINE).alias("line")))
    texts = [F.col(RECORD).getField(field.name).cast("string").alias(field.name) for field in raw_fields(rows)]
    whole = F.to_json(F.struct(*texts), {"ignoreNullFields": "false"})
    is_line = F.col(IS_MALFORMED) & F.col(LINE).isNotNull()
    return rows.withColumn(c.RAW, F.when(is_line, line).otherwise(F.coalesce(F.col(LINE), whole)))


def raw_fields(rows: DataFrame) -> list[t.StructField]:
    record = rows.schema[RECORD].dataType
    assert isinstance(record, t.StructType), "every scan makes its record a struct"
    return record.fields


def unnamed_columns(records: DataFrame, mapping: TableMapping) -> list[str]:
    """Columns of the files that the mapping neither maps nor ignores."""
    named = {*mapping.source_columns().values(), *mapping.ignored}
    return [field.name for field in raw_fields(records) if field.name not in named]


def quoted(name: str) -> str:
    """For names with dots and the like."""
    return "`" + name.replace("`", "``") + "`"


def _place() -> tuple[Column, ...]:
    return (
        F.col("_metadata.file_path").alias(URI),
        F.col("_metadata.file_block_start").alias(BLOCK),
        F.monotonically_increasing_id().alias(SCAN_ID),
    )


def _record(values: Mapping[str, Column], columns: Sequence[str]) -> Column:
    """A column that the files of this layout lack is null."""
    empty = F.lit(None).cast("string")
    return F.struct(*(values.get(name, empty).alias(name) for name in columns)).alias(RECORD)


def _parquet_value(name: str, head: FileHead) -> Column:
    """Spark has no nanoseconds and reads them as a number."""
    if name in head.nanosecond_columns:
        return F.timestamp_micros(F.expr(f"{quoted(name)} div 1000"))
    return F.col(quoted(name))
