"""Scores pairs on the executors with a function that is loaded there."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import types as t

from recsys import columns as c
from recsys.catalog import MODEL_INPUTS, NEIGHBOUR_INPUTS
from recsys.scoring.arrow_lists import rectangular

Scorer = Callable[[Mapping[str, NDArray[np.generic]]], NDArray[np.float64]]

# Beyond that a sum may differ with the machine's vector width.
SCORE_DECIMALS = 6

INPUT_NAMES = [model_input.name for model_input in MODEL_INPUTS]


def score_pairs(pairs: DataFrame, load_scorer: Callable[[], Scorer], batch_rows: int) -> DataFrame:
    """Replaces the columns of catalog.MODEL_INPUTS, and the lists of catalog.NEIGHBOUR_INPUTS where they are there, by
    `score`, rounded to 6 decimals; all others stay.

    `load_scorer` runs in every task: it should keep what it loads, one a process. At most `batch_rows` are scored
    at once.
    """
    kept = [name for name in pairs.columns if name not in (*INPUT_NAMES, *NEIGHBOUR_INPUTS)]
    schema = t.StructType([*(pairs.schema[name] for name in kept), t.StructField(c.SCORE, t.DoubleType())])

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer = load_scorer()
        for batch in batches:
            for start in range(0, batch.num_rows, batch_rows):
                yield scored_batch(batch.slice(start, batch_rows), scorer, kept)

    return pairs.mapInArrow(score, schema)


def scored_batch(batch: pa.RecordBatch, scorer: Scorer, kept: list[str]) -> pa.RecordBatch:
    """The kept columns and `score`. Raises ValueError where the scorer gives another number of scores than rows."""
    lists = [name for name in NEIGHBOUR_INPUTS if name in batch.schema.names]
    scores = scorer({name: rectangular(batch.column(name)) for name in (*INPUT_NAMES, *lists)})
    if scores.shape != (batch.num_rows,):
        raise ValueError(f"the scorer must give one score a row: expected {(batch.num_rows,)}, got {scores.shape}")
    rounded = np.round(scores.astype(np.float64), SCORE_DECIMALS)
    columns = [*(batch.column(name) for name in kept), pa.array(rounded)]
    return pa.RecordBatch.from_arrays(columns, names=[*kept, c.SCORE])
