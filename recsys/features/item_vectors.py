"""What an item's texts mean: a vector of a pretrained encoder, made once for each text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.features.item_text import HISTORY_DAYS, ITEM, TEXTS
from recsys.frames.as_of import known_before
from recsys.frames.history import day_before_cutoff, with_values_on

Encoder = Callable[[Sequence[str]], NDArray[np.float32]]

# Beyond that a number may differ with the texts that are encoded beside it.
DECIMALS = 6


def item_vector_features(
    item_days: DataFrame, item_history: DataFrame, vectors: DataFrame, as_of_dates: Sequence[date]
) -> DataFrame:
    """One row per cut-off and item with a text and with a purchase in the 365 days before it. Texts are those of the
    day before the cut-off; `vectors` has one row for each of them."""
    known = known_before(item_days, as_of_dates, HISTORY_DAYS).select(*ITEM).distinct()
    described = with_values_on(known, day_before_cutoff(), item_history, c.ITEM_ID, *TEXTS)
    with_vector = keep_with_text(described).join(vectors.select(c.TEXT, c.VECTOR), on=c.TEXT, how="inner")
    renamed = with_vector.withColumnRenamed(c.VECTOR, c.ITEM_VECTOR)
    return renamed.select(*tables.ITEM_VECTORS_FEATURES.column_names)


def with_newest_vector(items: DataFrame, vectors: DataFrame, day: date, dimensions: int) -> DataFrame:
    """Adds `item_vector` to `items`, which has item_id: of the features' last cut-off up to the day that has one, so
    that what has not sold for long keeps it; `dimensions` zeros where none has."""
    known = vectors.where(F.col(c.AS_OF_DATE) <= F.lit(day))
    newest = known.groupBy(c.ITEM_ID).agg(F.max_by(c.ITEM_VECTOR, c.AS_OF_DATE).alias(c.ITEM_VECTOR))
    none = F.array_repeat(F.lit(0.0).cast("float"), dimensions)
    with_vector = items.join(newest, on=c.ITEM_ID, how="left")
    return with_vector.withColumn(c.ITEM_VECTOR, F.coalesce(c.ITEM_VECTOR, none))


def keep_with_text(items: DataFrame) -> DataFrame:
    """Adds what the encoder is given of an item: name, brand, category and department, as far as there are any."""
    text = F.concat_ws(", ", *(F.nullif(F.trim(name), F.lit("")) for name in TEXTS))
    return items.withColumn(c.TEXT, text).where(F.col(c.TEXT) != "")


def encoded(texts: DataFrame, load_encoder: Callable[[], Encoder], tasks: int) -> DataFrame:
    """Adds `vector` to `texts`, which has one column. `load_encoder` runs in every task: it should keep what it loads,
    one a process."""

    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield encoded_batch(batch, load_encoder())

    schema = f"{c.TEXT} string, {c.VECTOR} array<float>"
    # Texts are small, and Spark would put them all into one task.
    return texts.select(c.TEXT).repartition(tasks).mapInArrow(encode, schema)


def encoded_batch(batch: pa.RecordBatch, encoder: Encoder) -> pa.RecordBatch:
    """Raises ValueError where the encoder gives another number of vectors than texts, or numbers that are none."""
    found = encoder(batch.column(c.TEXT).to_pylist())
    if found.ndim != 2 or len(found) != batch.num_rows or not np.isfinite(found).all():
        raise ValueError(
            f"the encoder must give one row of finite numbers a text: expected {batch.num_rows} rows, got {found.shape}"
        )
    rounded = np.round(found.astype(np.float32), DECIMALS)
    ends = pa.array(np.arange(len(rounded) + 1, dtype=np.int32) * rounded.shape[1])
    vectors = pa.ListArray.from_arrays(ends, pa.array(rounded.ravel()))
    return pa.RecordBatch.from_arrays([batch.column(c.TEXT), vectors], names=[c.TEXT, c.VECTOR])
