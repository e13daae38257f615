"""Vectors of users or of items, made on the executors by a function that is loaded there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import types as t

from recsys import columns as c
from recsys.scoring.arrow_lists import rectangular

Embed = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float32]]


def with_vectors(rows: DataFrame, load_embed: Callable[[], Embed], inputs: Sequence[str]) -> DataFrame:
    """Replaces the columns `inputs` by `vector`, a list of one length; all others stay.

    `load_embed` runs in every task: it should keep what it loads, one a process.
    """
    kept = [name for name in rows.columns if name not in inputs]
    schema = t.StructType([*(rows.schema[name] for name in kept), t.StructField(c.VECTOR, t.ArrayType(t.FloatType()))])

    def embed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        embedded = load_embed()
        for batch in batches:
            if batch.num_rows:
                vectors = embedded({name: rectangular(batch.column(name)) for name in inputs})
                columns = [*(batch.column(name) for name in kept), _lists(vectors)]
                yield pa.RecordBatch.from_arrays(columns, names=[*kept, c.VECTOR])

    return rows.mapInArrow(embed, schema)


def _lists(vectors: NDArray[np.float32]) -> pa.ListArray:
    rows, size = vectors.shape
    return pa.ListArray.from_arrays(np.arange(0, (rows + 1) * size, size, dtype=np.int32), pa.array(vectors.ravel()))
