"""What Spark fits comes back as arrays, and the networks that take these over answer as Spark does."""

from typing import Any

import numpy as np
import pytest
import torch
from pyspark.ml.classification import GBTClassifier
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.catalog import NUMERIC_INPUTS
from recsys.frames.local_rows import local_rows
from recsys.manifest import Inputs, NumericInput
from recsys.models.boosted_trees import BoostedTrees, BoostedTreesConfig
from recsys.models.registry import model_spec
from recsys.spark_training import features
from recsys.spark_training.als import fit_als
from recsys.training.export import network_with

FIRST, SECOND = (numeric.name for numeric in NUMERIC_INPUTS[:2])
INPUTS = Inputs(
    ids=(),
    numeric=(
        NumericInput(name=FIRST, transform="none", mean=2.0, std=4.0),
        NumericInput(name=SECOND, transform="log1p", mean=0.0, std=0.0),  # a constant one says nothing
    ),
)
REGRESSION = {"iterations": 100, "penalty": 0.0, "l1_share": 0.0}


def rows_of(spark: SparkSession, labels: list[float], numbers: list[float]) -> DataFrame:
    rows = [(n, n, 0, float(number), 5.0, label) for n, (number, label) in enumerate(zip(numbers, labels, strict=True))]
    schema = f"{c.EXAMPLE_KEY} bigint, {c.USER_IDX} int, {c.ITEM_IDX} int, {FIRST} float, {SECOND} float, label float"
    return local_rows(spark, rows, schema)


def arrays_of(name: str, rows: DataFrame, settings: dict[str, Any], partitions: int = 2) -> dict[str, np.ndarray]:
    return features.fitted(name, rows, INPUTS, partitions=partitions, seed=7, **settings)


def logits_of(name: str, settings: dict[str, Any], arrays: dict[str, np.ndarray], numbers: list[float]) -> list[float]:
    network = network_with(model_spec(name, settings), INPUTS, arrays)
    numeric = torch.tensor([[number, 5.0] for number in numbers])
    return [float(logit) for logit in network(torch.zeros(len(numbers), 0, dtype=torch.int64), numeric)]


def test_a_linear_regression_finds_the_line(spark: SparkSession) -> None:
    # label = (number - 2) / 4 * .5 + .25: weight .5 on the normalised number
    rows = rows_of(spark, [0.0, 0.25, 0.5, 0.75], [0.0, 2.0, 4.0, 6.0])
    arrays = arrays_of("linear_regression", rows, REGRESSION)
    assert arrays["weight_F"] == pytest.approx([0.5, 0.0], abs=1e-6)
    assert float(arrays["bias"]) == pytest.approx(0.25, abs=1e-6)
    assert logits_of("linear_regression", REGRESSION, arrays, [10.0]) == pytest.approx([1.25], abs=1e-6)


def test_a_logistic_regression_says_the_odds_of_two_groups(spark: SparkSession) -> None:
    # Of number 2 one of four is taken, of number 6 three: the logarithm of the odds goes from -log 3 to log 3.
    labels, numbers = [1.0, 0, 0, 0, 1, 1, 1, 0], [2.0] * 4 + [6.0] * 4
    arrays = arrays_of("logistic_regression", rows_of(spark, labels, numbers), REGRESSION)
    found = logits_of("logistic_regression", REGRESSION, arrays, [2.0, 6.0])
    assert found == pytest.approx([-np.log(3), np.log(3)], abs=1e-3)


def test_a_grade_weighs_as_much_as_it_is(spark: SparkSession) -> None:
    # A positive of grade .5 beside two negatives of weight 1: odds of 1 to 4.
    rows = rows_of(spark, [0.5, 0.0, 0.0, 1.0], [2.0, 2.0, 2.0, 6.0])
    settings = {**REGRESSION, "penalty": 1e-4}
    found = logits_of("logistic_regression", settings, arrays_of("logistic_regression", rows, settings), [2.0])
    assert found == pytest.approx([np.log(1 / 4)], abs=0.05)


@pytest.mark.long
def test_a_support_vector_machine_parts_the_two_sides(spark: SparkSession) -> None:
    settings = {"iterations": 100, "penalty": 0.01}
    rows = rows_of(spark, [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 5.0, 6.0])
    found = logits_of("linear_svm", settings, arrays_of("linear_svm", rows, settings), [0.0, 1.0, 5.0, 6.0])
    assert [logit > 0 for logit in found] == [False, False, True, True]
    assert found == sorted(found)


def test_trees_as_arrays_answer_as_those_of_spark(spark: SparkSession) -> None:
    generator = np.random.default_rng(3)
    numbers = generator.uniform(0, 8, 200).round(2).tolist()
    labels = [float(3 < number < 5 or number > 7) for number in numbers]
    rows = rows_of(spark, labels, numbers)
    vectors = rows.select(array_to_vector(F.array(F.col(FIRST).cast("double"), F.lit(5.0))).alias("features"), "label")
    model = GBTClassifier(maxIter=5, maxDepth=3, stepSize=0.3, seed=7).fit(vectors)
    raw = model.transform(vectors).select(vector_to_array("rawPrediction").alias("raw")).toPandas()["raw"]
    settings = {"trees": 5, "depth": 3, "step": 0.3, "row_share": 1.0, "bins": 32, "leaf_rows": 1}
    network = BoostedTrees(BoostedTreesConfig(**settings), INPUTS)
    arrays = {name: torch.from_numpy(array) for name, array in features._flat(model, 3).items()}
    network.load_state_dict({**network.state_dict(), **arrays})
    numeric = torch.tensor([[number, 5.0] for number in numbers])
    found = network(torch.zeros(len(numbers), 0, dtype=torch.int64), numeric).numpy()
    assert found == pytest.approx([2 * both[1] for both in raw], abs=1e-5)
    assert len(set(found.round(4).tolist())) > 2


@pytest.mark.parametrize("name", ["logistic_regression", "gradient_boosted_trees"])
def test_a_second_fit_of_rows_in_another_order_is_equal(spark: SparkSession, name: str) -> None:
    settings = REGRESSION if name == "logistic_regression" else {
        "trees": 2, "depth": 2, "step": 0.3, "row_share": 0.7, "bins": 8, "leaf_rows": 1,
    }  # fmt: skip
    numbers = [float(number % 7) for number in range(40)]
    rows = rows_of(spark, [float(number > 3) for number in numbers], numbers)
    first, second = (arrays_of(name, frame, settings) for frame in (rows, rows.repartition(3, F.rand(1))))
    assert first.keys() == second.keys()
    for key, array in first.items():
        assert array == pytest.approx(second[key], abs=1e-9), key


def test_als_likes_what_like_users_took(spark: SparkSession) -> None:
    """Even users take even items; each leaves one of them out, which then scores above all odd ones."""
    pairs = [(u, i) for u in range(8) for i in range(12) if u % 2 == i % 2 and i // 2 != u // 2]
    frame = local_rows(spark, pairs, f"{c.USER_IDX} int, {c.ITEM_IDX} int")
    settings = {"seed": 7, "dim": 4, "iterations": 8, "l2": 0.1, "alpha": 10.0, "blocks": 2}
    factors = fit_als(frame, **settings)
    vectors = [
        np.stack(sides.orderBy(key).toPandas()[c.VECTOR].to_numpy())
        for sides, key in ((factors.users, c.USER_IDX), (factors.items, c.ITEM_IDX))
    ]
    score_UI = vectors[0] @ vectors[1].T
    for user in range(8):
        left_out = user // 2 * 2 + user % 2
        others = [score_UI[user, item] for item in range(12) if item % 2 != user % 2]
        assert score_UI[user, left_out] > max(others)
    again = fit_als(frame.orderBy(F.desc(c.ITEM_IDX)), **settings).items.orderBy(c.ITEM_IDX).toPandas()[c.VECTOR]
    assert np.stack(again.to_numpy()) == pytest.approx(vectors[1], abs=1e-6)
