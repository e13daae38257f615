"""Model inputs that know too much: how well each alone tells the labels, and how old it is when the label happens.

The report reads a sample of the examples, drawn by hash, so that its cost does not grow with them.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import catalog
from recsys import columns as c
from recsys.config import ExamplesConfig
from recsys.examples.labels import PAIR

logger = logging.getLogger(__name__)

# Of each split, about; with one positive in ten the area under the curve is then known to 0.01.
SAMPLE_ROWS = 25_000
AUC_TOO_HIGH = "auc_too_high"
AUC_DIFFERS = "auc_differs"
KNOWS_THE_LABELS_DAY = "knows_the_labels_day"

_SALT = "leakage-v1"
_SHARES = 1_000_000
_LAG_DAYS = "lag_days"
_ITEM = (c.AS_OF_DATE, c.ITEM_ID)
# Of grains that tell it, the age of their newest events at the cut-off: 1 is the day before it. A category's newest
# purchase is no newer than the user's; of the other grains the least age stands that an event can have.
RECENCIES = {
    catalog.USER.name: (c.USER_RECENCY_DAYS, c.USER_VIEW_RECENCY_DAYS),
    catalog.USER_CATEGORY.name: (c.USER_RECENCY_DAYS,),
    catalog.ITEM.name: (c.ITEM_RECENCY_DAYS, c.ITEM_VIEW_RECENCY_DAYS),
    catalog.USER_ITEM.name: (
        c.USER_ITEM_RECENCY_DAYS, c.USER_ITEM_VIEW_RECENCY_DAYS, c.USER_ITEM_CART_RECENCY_DAYS,
    ),
}  # fmt: skip

LEAST_AGE_DAYS = 1.0

Values = NDArray[np.float64]


def leakage_sample(
    examples: DataFrame, labels: DataFrame, item_features: DataFrame, rows_of: Mapping[str, int]
) -> DataFrame:
    """Some rows of each split, with all model inputs; of positives also the age of the item's newest events, which is
    none, and the days from the cut-off to the label.

    `labels` are those of recsys/examples/labels.py; `rows_of` says how many examples a split has.
    """
    drawn = F.pmod(F.xxhash64(c.EXAMPLE_KEY, F.lit(_SALT)), F.lit(_SHARES))
    sample = examples.where(drawn < _share(rows_of))
    lag = F.datediff(c.LABEL_DATE, c.AS_OF_DATE).cast("double")
    dated = labels.select(*PAIR, lag.alias(_LAG_DAYS))
    positives = F.broadcast(sample.where(F.col(c.LABEL) > 0).select(*PAIR))
    lags = dated.join(positives, on=[*PAIR], how="left_semi")
    inputs = [model_input.name for model_input in catalog.MODEL_INPUTS]
    with_lags = sample.join(F.broadcast(lags), on=[*PAIR], how="left")
    with_ages = with_lags.join(F.broadcast(_item_ages(item_features, sample)), on=[*_ITEM], how="left")
    ages = [F.coalesce(name, F.lit(catalog.NEVER_DAYS)).alias(name) for name in RECENCIES[catalog.ITEM.name]]
    return with_ages.select(c.SPLIT, c.LABEL, *inputs, *ages, _LAG_DAYS)


def _item_ages(item_features: DataFrame, sample: DataFrame) -> DataFrame:
    asked = F.broadcast(sample.where(F.col(c.LABEL) > 0).select(*_ITEM).distinct())
    return item_features.select(*_ITEM, *RECENCIES[catalog.ITEM.name]).join(asked, on=[*_ITEM], how="left_semi")


def leakage_report(sample: pa.Table, limits: ExamplesConfig) -> list[dict[str, Any]]:
    """One row for each model input, in catalogue order, with the reasons to suspect it; each suspect is logged."""
    columns = {name: np.asarray(sample.column(name)) for name in sample.column_names}
    return [_row(model_input, columns, limits) for model_input in catalog.MODEL_INPUTS]


def auc(values: NDArray[Any], is_positive: NDArray[np.bool_]) -> float | None:
    """Share of pairs of a positive and a negative of which the positive has the larger value; a tie counts half.

    None without rows of both kinds.
    """
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return None
    _, position, count = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    above = mean_rank[position][is_positive].sum() - positives * (positives + 1) / 2
    return float(above / positives / negatives)


def _share(rows_of: Mapping[str, int]) -> Column:
    share = F.lit(0)
    for split, rows in rows_of.items():
        share = F.when(F.col(c.SPLIT) == split, F.lit(SAMPLE_ROWS * _SHARES // max(rows, 1))).otherwise(share)
    return share


def _row(
    model_input: catalog.Feature | catalog.IdInput, columns: Mapping[str, NDArray[Any]], limits: ExamplesConfig
) -> dict[str, Any]:
    grain = model_input.grain if isinstance(model_input, catalog.Feature) else None
    age = _ages(grain, columns)
    row = {
        c.FEATURE: model_input.name,
        c.GRAIN: grain,
        c.AUC_TRAIN: _auc_of(model_input.name, c.TRAIN, columns),
        c.AUC_VALIDATION: _auc_of(model_input.name, c.VALIDATION, columns),
        c.MEAN_AGE_DAYS: float(age.mean()) if len(age) else None,
        c.MIN_AGE_DAYS: float(age.min()) if len(age) else None,
    }
    reasons = _reasons(row, limits)
    if reasons:
        logger.warning("%s may know the labels (%s): %s", model_input.name, ", ".join(reasons), row)
    return {**row, c.REASONS: reasons}


def _auc_of(name: str, split: str, columns: Mapping[str, NDArray[Any]]) -> float | None:
    of_split = columns[c.SPLIT] == split
    return auc(columns[name][of_split], columns[c.LABEL][of_split] > 0)


def _ages(grain: str | None, columns: Mapping[str, NDArray[Any]]) -> Values:
    """Days from the newest event that the grain may know to the label, of positives; empty for dense indexes."""
    if grain is None:
        return np.empty(0)
    lag = columns[_LAG_DAYS].astype(np.float64)
    known = [columns[name] for name in RECENCIES.get(grain, ())]
    recency = np.minimum.reduce(known) if known else np.full(len(lag), LEAST_AGE_DAYS)
    is_known = (columns[c.LABEL] > 0) & (recency < catalog.NEVER_DAYS) & ~np.isnan(lag)
    return np.asarray(recency[is_known] + lag[is_known], dtype=np.float64)


def _reasons(row: Mapping[str, Any], limits: ExamplesConfig) -> list[str]:
    known = [value for value in (row[c.AUC_TRAIN], row[c.AUC_VALIDATION]) if value is not None]
    gap = max(known) - min(known) if len(known) == 2 else 0.0
    found = {
        AUC_TOO_HIGH: any(max(value, 1 - value) > limits.suspicious_auc for value in known),
        AUC_DIFFERS: gap > limits.suspicious_auc_gap,
        KNOWS_THE_LABELS_DAY: row[c.MIN_AGE_DAYS] is not None and row[c.MIN_AGE_DAYS] < 1,
    }
    return [reason for reason, is_found in found.items() if is_found]
