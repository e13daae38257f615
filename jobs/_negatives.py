"""Negatives that are no candidates: drawn from all items, or shown and not bought; written to examples.negatives."""

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._overwrite import overwrite_day
from recsys import columns as c
from recsys import tables
from recsys.config import CANDIDATES, POPULARITY
from recsys.examples.labels import PAIR
from recsys.examples.negatives import keep_sampled
from recsys.examples.sampled_negatives import drawn_negatives, item_weights, shown_negatives, shown_pairs, wanted_of
from recsys.frames.feature_tables import FeatureTables
from recsys.stages import Run


def sampled(run: Run, labelled: DataFrame, labels: DataFrame, features: FeatureTables) -> DataFrame:
    """The labelled candidates that examples are made of, and the further negatives that the configuration asks for.

    `features` are those of all cut-offs of the `labels`. `log_probability` is null but for drawn negatives.
    """
    settings = run.config.examples
    is_drawn, is_shown = settings.negatives != CANDIDATES, settings.shown_per_positive > 0
    of_candidates = keep_sampled(labelled, 0 if is_drawn else settings.negatives_per_positive)
    untold = F.lit(None).cast("double").alias(c.LOG_PROBABILITY)
    if not is_drawn and not is_shown:
        return of_candidates.select("*", untold)
    asked = [make for make, is_asked in ((_shown, is_shown), (_drawn, is_drawn)) if is_asked]
    negatives = reduce(_with_new, (make(run, of_candidates, labels, features) for make in asked))
    return of_candidates.select(*PAIR, c.LABEL, untold).unionByName(_written(run, negatives, of_candidates))


def _with_new(negatives: DataFrame, more: DataFrame) -> DataFrame:
    """An item that is shown and drawn stands once, as shown."""
    return negatives.unionByName(more.join(negatives, on=list(PAIR), how="left_anti"))


def _shown(run: Run, of_candidates: DataFrame, labels: DataFrame, features: FeatureTables) -> DataFrame:
    settings, lake = run.config.examples, run.lake
    in_window = shown_pairs(
        features.user, lake.read(tables.PROMOTIONS), lake.read(tables.EVENTS), label_days=settings.label_days
    )
    return shown_negatives(wanted_of(of_candidates, settings.shown_per_positive), in_window, labels)


def _drawn(run: Run, of_candidates: DataFrame, labels: DataFrame, features: FeatureTables) -> DataFrame:
    settings = run.config.examples
    exponent = settings.popularity_exponent if settings.negatives == POPULARITY else 0.0
    weights = item_weights(features.item, run.lake.read(tables.ITEMS), exponent)
    return drawn_negatives(wanted_of(of_candidates, settings.negatives_per_positive), weights, labels)


def _written(run: Run, negatives: DataFrame, of_candidates: DataFrame) -> DataFrame:
    """As written, so that nothing is drawn twice; without pairs that are examples already."""
    version = overwrite_day(run, tables.NEGATIVES, negatives)
    written = run.lake.read(tables.NEGATIVES, version).where(F.col(c.RUN_DATE) == F.lit(run.day))
    others = written.select(*PAIR, c.LOG_PROBABILITY).join(of_candidates, on=list(PAIR), how="left_anti")
    return others.withColumn(c.LABEL, F.lit(0.0).cast("float"))
