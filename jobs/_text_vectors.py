"""Vectors of item texts, for models and for build_features: a text is encoded once, in whatever run it first comes."""

import logging
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import catalog, tables
from recsys import columns as c
from recsys.errors import InputError
from recsys.features.item_vectors import encoded, keep_with_text, with_newest_vector
from recsys.frames.local_rows import local_rows
from recsys.models import text_encoder
from recsys.stages import Run

logger = logging.getLogger(__name__)


def are_vectors_asked(run: Run) -> bool:
    return catalog.ITEM_VECTORS.name in run.config.features.grains


def require_text_vectors(run: Run) -> None:
    """Raises InputError where the lake has none and no run of build_features with these settings would make them."""
    if not run.lake.exists(tables.ITEM_VECTORS_FEATURES) and not are_vectors_asked(run):
        raise _none_found(run)


def with_text_vectors(run: Run, items: DataFrame, day: date) -> DataFrame:
    """Adds item_vector as of the day. Raises InputError where the lake has none of the day or a day before."""
    table = tables.ITEM_VECTORS_FEATURES
    vectors = run.lake.read(table) if run.lake.exists(table) else None
    if vectors is None or vectors.where(F.col(c.AS_OF_DATE) <= F.lit(day)).isEmpty():
        raise _none_found(run, f" of {day} or a day before")
    return with_newest_vector(items, vectors, day, text_encoder.DIMENSIONS)


def _none_found(run: Run, days: str = "") -> InputError:
    return InputError(
        f"two_tower.text_vectors is true, which needs {tables.ITEM_VECTORS_FEATURES.name}, and {run.lake.root} has "
        f"none{days}; features.grains is {list(run.config.features.grains)}. Cure: `make setup-text`, and "
        "features.grains=[item_vectors] from the job build_features on; or text_vectors: false in "
        "conf/models/two_tower.yaml and another training"
    )


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
