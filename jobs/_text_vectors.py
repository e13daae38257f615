"""Vectors of item texts, as build_features reads them: a text is encoded once, in whatever run it first comes."""

import logging

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import catalog, tables
from recsys import columns as c
from recsys.features.item_vectors import encoded, keep_with_text
from recsys.frames.local_rows import local_rows
from recsys.models import text_encoder
from recsys.stages import Run

logger = logging.getLogger(__name__)


def are_vectors_asked(run: Run) -> bool:
    return catalog.ITEM_VECTORS.name in run.config.features.grains


def text_vectors(run: Run, item_days: DataFrame, item_history: DataFrame) -> DataFrame:
    """One row a text, those of all versions of the items of `item_days` among them: texts that texts.vectors does not
    have are encoded and added to it."""
    sold = item_history.join(item_days.select(c.ITEM_ID).distinct(), on=c.ITEM_ID, how="left_semi")
    asked = keep_with_text(sold).select(c.TEXT).distinct()
    new = asked.join(_known(run), on=c.TEXT, how="left_anti").persist()
    if num_texts := new.count():
        logger.info("encoding %d new texts of items", num_texts)
        vectors = encoded(new, text_encoder.load_text_encoder, run.spark.sparkContext.defaultParallelism)
        rows = vectors.withColumn(c.ENCODER, F.lit(text_encoder.NAME)).select(*tables.TEXT_VECTORS.column_names)
        (run.lake.append if run.lake.exists(tables.TEXT_VECTORS) else run.lake.overwrite)(tables.TEXT_VECTORS, rows)
    new.unpersist()
    return _known(run)


def _known(run: Run) -> DataFrame:
    if not run.lake.exists(tables.TEXT_VECTORS):
        return local_rows(run.spark, [], tables.TEXT_VECTORS.schema)
    return run.lake.read(tables.TEXT_VECTORS).where(F.col(c.ENCODER) == text_encoder.NAME)
