import logging
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.catalog import MODEL_INPUTS, NEVER_DAYS
from recsys.config import load_config
from recsys.examples import leakage
from recsys.examples.leakage import auc, leakage_report, leakage_sample
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of

LIMITS = load_config([], ["examples.suspicious_auc=0.9", "examples.suspicious_auc_gap=0.2"]).examples
ROWS = 400


def sample_with(**planted: np.ndarray) -> pa.Table:
    """As many train as validation rows, every fourth positive; inputs are noise but for the planted ones."""
    generator = np.random.default_rng(7)
    columns = {i.name: generator.permutation(ROWS).astype(np.float32) for i in MODEL_INPUTS}
    for name in (name for names in leakage.RECENCIES.values() for name in names):
        columns[name] = np.full(ROWS, NEVER_DAYS, dtype=np.float32)
    split = np.repeat([c.TRAIN, c.VALIDATION], ROWS // 2)
    return pa.table({c.SPLIT: split, c.LABEL: label(), "lag_days": np.full(ROWS, np.nan), **columns, **planted})


def label() -> np.ndarray:
    return (np.arange(ROWS) % 4 == 0).astype(np.float32)


def reasons(sample: pa.Table) -> dict[str, list[str]]:
    report = leakage_report(sample, LIMITS)
    assert [row[c.FEATURE] for row in report] == [i.name for i in MODEL_INPUTS]
    return {row[c.FEATURE]: row[c.REASONS] for row in report if row[c.REASONS]}


def test_the_area_is_the_share_of_pairs_in_order_and_a_tie_counts_half() -> None:
    is_positive = np.array([True, False, True, False, False])
    # Of six pairs: 3 beats all three negatives, 1 beats one and ties with one.
    assert auc(np.array([3.0, 1.0, 1.0, 0.0, 2.0]), is_positive) == (3 + 1.5) / 6
    assert auc(np.array([1.0, 0.0, 1.0, 0.0, 0.0]), is_positive) == 1.0
    assert auc(np.full(5, 7.0), is_positive) == 0.5
    assert auc(np.arange(5.0), np.zeros(5, dtype=bool)) is None
    assert auc(np.empty(0), np.empty(0, dtype=bool)) is None


def test_planted_leakage_is_named_whichever_way_it_points(caplog: pytest.LogCaptureFixture) -> None:
    only_train = np.where(np.arange(ROWS) < ROWS // 2, label() + np.arange(ROWS) % 3, 1.0).astype(np.float32)
    sample = sample_with(
        **{c.ITEM_BUYERS_28D: label(), c.USER_HEAT_28D: -label(), c.ITEM_IDX: label(), c.ITEM_BUYERS_91D: only_train}
    )
    with caplog.at_level(logging.WARNING):
        assert reasons(sample) == {
            c.ITEM_BUYERS_28D: ["auc_too_high"],
            c.USER_HEAT_28D: ["auc_too_high"],
            c.ITEM_IDX: ["auc_too_high"],
            c.ITEM_BUYERS_91D: ["auc_differs"],
        }
    assert "item_buyers_28d may know the labels (auc_too_high)" in caplog.text


def test_noise_is_not_named() -> None:
    assert reasons(sample_with()) == {}


def test_the_age_is_that_of_the_grains_newest_event_at_the_labels_of_positives() -> None:
    recency, lag = np.full(ROWS, NEVER_DAYS, dtype=np.float32), np.full(ROWS, np.nan)
    recency[:9] = [1, 1, 1, 1, 5, 1, 1, 1, 3]  # rows 0, 4 and 8 are positives
    lag[[0, 4, 12]] = [0, 6, 3]  # 8 without a label day, 12 without a recency
    sample = sample_with(**{c.USER_RECENCY_DAYS: recency, "lag_days": lag})
    report = {row[c.FEATURE]: row for row in leakage_report(sample, LIMITS)}
    ages = {name: (report[name][c.MEAN_AGE_DAYS], report[name][c.MIN_AGE_DAYS]) for name in report}
    assert ages[c.USER_PURCHASES_7D] == ages[c.USER_CATEGORY_SHARE_91D] == (6.0, 1.0)
    assert ages[c.USER_ITEM_PURCHASES_28D] == ages[c.ITEM_BUYERS_28D] == ages[c.USER_IDX] == (None, None)
    # Untold: the day before the cut-off, and 0, 6 and 3 days from there to the label.
    assert ages[c.CONTEXT_BASKET_CENTS_91D] == ages[c.STORE_ITEM_MAIL_DAYS_7D] == (4.0, 1.0)
    views = recency.copy()
    views[4] = 2  # newer than the purchase
    sample = sample_with(**{c.USER_RECENCY_DAYS: recency, c.USER_VIEW_RECENCY_DAYS: views, "lag_days": lag})
    (row,) = (row for row in leakage_report(sample, LIMITS) if row[c.FEATURE] == c.USER_PURCHASES_7D)
    assert row[c.MEAN_AGE_DAYS] == 4.5
    recency[0] = 0  # an event of the cut-off's day, which is the label's
    for told, knows in (
        (c.USER_RECENCY_DAYS, c.USER_HEAT_91D),
        (c.ITEM_RECENCY_DAYS, c.ITEM_BUYERS_28D),
        (c.ITEM_VIEW_RECENCY_DAYS, c.ITEM_VIEWS_7D),
    ):
        assert reasons(sample_with(**{told: recency, "lag_days": lag}))[knows] == ["knows_the_labels_day"]


def test_the_sample_is_bounded_drawn_by_hash_and_dated_by_the_labels(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = date(2017, 11, 20)
    rows = [
        {c.SPLIT: split, c.AS_OF_DATE: day, c.USER_ID: "u", c.ITEM_ID: str(n), c.LABEL: float(n % 2), c.EXAMPLE_KEY: n}
        for split, count in ((c.TRAIN, 1000), (c.VALIDATION, 10))
        for n in range(count)
    ]
    examples = rows_of(spark, tables.EXAMPLES, rows)
    labels = local_rows(
        spark,
        [(day, "u", str(n), date(2017, 11, 20 + n % 5)) for n in range(1, 1000, 2)],
        "as_of_date date, user_id string, item_id string, label_date date",
    )
    items = [
        {c.AS_OF_DATE: day, c.ITEM_ID: str(n), c.ITEM_RECENCY_DAYS: 2, c.ITEM_VIEW_RECENCY_DAYS: None if n % 4 else 9}
        for n in range(1000)
    ]
    ages = rows_of(spark, tables.ITEM_FEATURES, [*items, {**items[1], c.AS_OF_DATE: date(2017, 11, 6)}])
    monkeypatch.setattr(leakage, "SAMPLE_ROWS", 100)
    drawn, again = (
        leakage_sample(examples.repartition(number), labels, ages, {c.TRAIN: 1000, c.VALIDATION: 10})
        .toArrow()
        .to_pylist()
        for number in (1, 5)
    )
    assert sorted(map(str, drawn)) == sorted(map(str, again))
    assert sum(row[c.SPLIT] == c.VALIDATION for row in drawn) == 10
    assert 60 < sum(row[c.SPLIT] == c.TRAIN for row in drawn) < 140
    assert {(row[c.LABEL] > 0, row["lag_days"] is not None) for row in drawn} == {(True, True), (False, False)}
    of_positives = [row for row in drawn if row[c.LABEL] > 0]
    assert {(row[c.ITEM_RECENCY_DAYS], row[c.ITEM_VIEW_RECENCY_DAYS]) for row in of_positives} == {(2, NEVER_DAYS)}
    assert {row["lag_days"] for row in drawn} == {None, 0.0, 1.0, 2.0, 3.0, 4.0}
