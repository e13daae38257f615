"""Rows that the program itself has made, as a DataFrame."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, DataType, MapType, StructType


def local_rows(spark: SparkSession, rows: Iterable[Sequence[Any]], schema: str | StructType) -> DataFrame:
    """A few rows, held in the plan. Times without a zone are UTC; structs are tuples or mappings.

    Spark's own way from Python lists starts Python workers, again each time such rows are read: 0.2 s for ten rows
    where these take 0.02 s.
    """
    types = fields_of(schema) if isinstance(schema, str) else schema
    arrow: Any = arrow_table(rows, types)  # Spark's annotations do not name Arrow's tables
    return spark.createDataFrame(arrow, types)


def fields_of(schema: str) -> StructType:
    """Of a schema as in `CREATE TABLE`; needs a running session."""
    return cast(StructType, StructType.fromDDL(schema))


def arrow_table(rows: Iterable[Sequence[Any]], types: StructType) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    arrow = to_arrow_schema(types)
    arrays = [
        pa.array([_arrow_value(value, field.dataType) for value in column], arrow_type)
        for column, field, arrow_type in zip(columns, types.fields, arrow.types, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=arrow)


def _arrow_value(value: Any, kind: DataType) -> Any:
    """Arrow takes maps as pairs and structs as dictionaries."""
    if value is None:
        return None
    if isinstance(kind, MapType):
        return [(key, _arrow_value(of_key, kind.valueType)) for key, of_key in value.items()]
    if isinstance(kind, ArrayType):
        return [_arrow_value(element, kind.elementType) for element in value]
    if isinstance(kind, StructType):
        values = [value[name] for name in kind.names] if isinstance(value, dict) else value
        return {f.name: _arrow_value(v, f.dataType) for f, v in zip(kind.fields, values, strict=True)}
    return value
