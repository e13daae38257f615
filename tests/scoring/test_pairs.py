import numpy as np
import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.catalog import MODEL_INPUTS
from recsys.frames.local_rows import local_rows
from recsys.scoring.pairs import score_pairs, scored_batch

NUM_ROWS = 25
KEPT = "user_id string, item_id string, source string"


def halved_index(columns):
    """A stub: the item index / 3, so that rounding shows."""
    return columns[c.ITEM_IDX] / 3.0


def load_halved_index():
    return halved_index


@pytest.fixture(scope="module")
def pairs(spark: SparkSession) -> DataFrame:
    schema = f"{KEPT}, " + ", ".join(f"{i.name} {i.input_type}" for i in MODEL_INPUTS)
    inputs = {i.name: 0 if i.input_type == "int" else 0.0 for i in MODEL_INPUTS}
    rows = [("u", f"i{number:02d}", "own", *{**inputs, c.ITEM_IDX: number}.values()) for number in range(NUM_ROWS)]
    return local_rows(spark, rows, schema)


def test_scores_are_rounded_and_other_columns_stay(spark, pairs):
    expected = [("u", f"i{number:02d}", "own", round(number / 3, 6)) for number in range(NUM_ROWS)]
    assert_df_equality(
        score_pairs(pairs, load_halved_index, batch_rows=1000),
        local_rows(spark, expected, f"{KEPT}, score double"),
        ignore_nullable=True,
        ignore_row_order=True,
    )


@pytest.mark.parametrize("batch_rows", [1, 7])
def test_scores_depend_neither_on_the_batch_nor_on_the_partitioning(pairs, batch_rows):
    assert_df_equality(
        score_pairs(pairs.repartition(5), load_halved_index, batch_rows),
        score_pairs(pairs.coalesce(1), load_halved_index, batch_rows=1000),
        ignore_row_order=True,
    )


def test_no_batch_is_larger_than_told(pairs):
    def load_batch_size():
        return lambda columns: np.full(len(columns[c.ITEM_IDX]), float(len(columns[c.ITEM_IDX])))

    scores = [row[c.SCORE] for row in score_pairs(pairs.coalesce(1), load_batch_size, batch_rows=10).collect()]
    assert sorted(scores) == [5.0] * 5 + [10.0] * 20


def test_no_pairs_give_no_scores(pairs):
    assert score_pairs(pairs.where("false"), load_halved_index, batch_rows=10).isEmpty()


def test_another_number_of_scores_than_rows_is_refused():
    batch = pa.RecordBatch.from_pydict({i.name: [0, 0] for i in MODEL_INPUTS})
    with pytest.raises(ValueError, match=r"expected \(2,\), got \(2, 1\)"):
        scored_batch(batch, lambda columns: np.zeros((len(columns[c.ITEM_IDX]), 1)), [])
