"""Linear models and trees of pyspark.ml on the numbers of example rows.

What they learn comes back as the arrays of the network in recsys/models that scores the same, by their names there.
Shapes: F numeric inputs, T trees, N nodes of a tree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.classification import GBTClassifier, LinearSVC, LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import LinearRegression
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.caches import releasing
from recsys.manifest import Inputs, NumericInput

_NUMBERS, _TAKEN, _WEIGHT = "numbers", "taken", "weight"
_LEAST_STD = 1e-6

Arrays = dict[str, "NDArray[Any]"]


def fitted(name: str, rows: DataFrame, inputs: Inputs, *, partitions: int, seed: int, **settings: Any) -> Arrays:
    """`rows` of example files, `settings` those of conf/models/<name>.yaml.

    Classes are "with a label" and "without"; a row with a grade weighs as much as its label. Rows lie in `partitions`
    by their keys, in order, so that their sums differ by nothing but the order in which partitions end.
    """
    fit = FITS[name]
    number = _normalized if fit.is_normalized else _raw
    numbers = array_to_vector(F.array(*(number(numeric) for numeric in inputs.numeric)))
    placed = rows.repartition(partitions, c.EXAMPLE_KEY).sortWithinPartitions(c.EXAMPLE_KEY, c.USER_IDX, c.ITEM_IDX)
    is_taken = F.col(c.LABEL) > 0
    prepared = placed.select(
        numbers.alias(_NUMBERS),
        F.col(c.LABEL).cast("double").alias(c.LABEL),
        is_taken.cast("double").alias(_TAKEN),
        F.when(is_taken, F.col(c.LABEL)).otherwise(1.0).cast("double").alias(_WEIGHT),
    ).persist()
    with releasing(prepared.unpersist):
        return fit.of_rows(prepared, seed, settings)


def _raw(numeric: NumericInput) -> Column:
    return F.col(numeric.name).cast("double")


def _normalized(numeric: NumericInput) -> Column:
    """As NormalizedNumbers of recsys/models/inputs.py."""
    value = _raw(numeric)
    transformed = F.log1p(F.greatest(value, F.lit(0.0))) if numeric.transform == "log1p" else value
    spread = 1 / numeric.std if numeric.std > _LEAST_STD else 0.0
    return (transformed - numeric.mean) * spread


def _logistic_regression(rows: DataFrame, _: int, settings: dict[str, Any]) -> Arrays:
    return _linear(LogisticRegression(**_columns(_TAKEN), **_regression(settings)).fit(rows))


def _linear_regression(rows: DataFrame, _: int, settings: dict[str, Any]) -> Arrays:
    return _linear(LinearRegression(featuresCol=_NUMBERS, labelCol=c.LABEL, **_regression(settings)).fit(rows))


def _linear_svm(rows: DataFrame, _: int, settings: dict[str, Any]) -> Arrays:
    fit = LinearSVC(
        **_columns(_TAKEN), maxIter=settings["iterations"], regParam=settings["penalty"], standardization=False
    )
    return _linear(fit.fit(rows))


def _gradient_boosted_trees(rows: DataFrame, seed: int, settings: dict[str, Any]) -> Arrays:
    fit = GBTClassifier(
        **_columns(_TAKEN), maxIter=settings["trees"], maxDepth=settings["depth"], stepSize=settings["step"],
        subsamplingRate=settings["row_share"], maxBins=settings["bins"], minInstancesPerNode=settings["leaf_rows"],
        seed=seed,
    )  # fmt: skip
    return _flat(fit.fit(rows), settings["depth"])


@dataclass(frozen=True, kw_only=True)
class Fit:
    """`is_normalized`: learns from numbers as NormalizedNumbers gives them; else from the raw ones."""

    of_rows: Callable[[DataFrame, int, dict[str, Any]], Arrays]
    is_normalized: bool = True


FITS: dict[str, Fit] = {
    "logistic_regression": Fit(of_rows=_logistic_regression),
    "linear_regression": Fit(of_rows=_linear_regression),
    "linear_svm": Fit(of_rows=_linear_svm),
    "gradient_boosted_trees": Fit(of_rows=_gradient_boosted_trees, is_normalized=False),
}


def _columns(label: str) -> dict[str, Any]:
    return {"featuresCol": _NUMBERS, "labelCol": label, "weightCol": _WEIGHT}


def _regression(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "maxIter": settings["iterations"],
        "regParam": settings["penalty"],
        "elasticNetParam": settings["l1_share"],
        "standardization": False,
    }


def _linear(model: Any) -> Arrays:
    return {"weight_F": np.asarray(model.coefficients.toArray()), "bias": np.asarray(model.intercept)}


def _flat(model: Any, depth: int) -> Arrays:
    """A tree's answer is a margin of which Spark takes twice as the logit."""
    shape = (len(model.trees), 2 ** (depth + 1) - 1)
    feature_TN, threshold_TN, value_TN = np.zeros(shape, dtype=np.int64), np.full(shape, math.inf), np.zeros(shape)
    for tree, weight, *arrays in zip(model.trees, model.treeWeights, feature_TN, threshold_TN, value_TN, strict=True):
        _lay_out(tree._java_obj.rootNode(), 0, depth, 2 * weight, *arrays)
    return {"feature_TN": feature_TN, "threshold_TN": threshold_TN, "value_TN": value_TN}


def _lay_out(node: Any, place: int, levels: int, weight: float, *arrays: "NDArray[Any]") -> None:
    """A leaf lies as far left below its place as there are levels: nothing is above an infinite threshold."""
    feature_N, threshold_N, value_N = arrays
    if node.getClass().getSimpleName() == "LeafNode":
        for _ in range(levels):
            place = 2 * place + 1
        value_N[place] = weight * node.prediction()
        return
    feature_N[place], threshold_N[place] = node.split().featureIndex(), node.split().threshold()
    _lay_out(node.leftChild(), 2 * place + 1, levels - 1, weight, *arrays)
    _lay_out(node.rightChild(), 2 * place + 2, levels - 1, weight, *arrays)
