from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys.config import load_config
from recsys.errors import DataQualityError
from recsys.frames.local_rows import local_rows
from recsys.scoring.publishing import Check, checks, compared, require_alike

LIMITS = load_config([]).publishing
SCHEMA = "user_id string, rank int, item_id string, score double, source string, model_name string, model_version int"
# Four users with lists of two of eight items; `v` gets the popular list.
LAST = [
    ("u", 1, "a", 0.9, "own"), ("u", 2, "b", 0.7, "own"),
    ("v", 1, "a", 0.5, "popular"), ("v", 2, "b", 0.3, "popular"),
    ("w", 1, "c", 0.9, "own"), ("w", 2, "d", 0.7, "own"),
    ("x", 1, "a", 0.5, "own"), ("x", 2, "c", 0.3, "own"),
]  # fmt: skip
Row = tuple[str, int, str, float | None, str]


def frame(spark: SparkSession, rows: list[Row], version: int = 1) -> DataFrame:
    return local_rows(spark, [(*row, "mlp", version) for row in rows], SCHEMA)


def found(spark: SparkSession, rows: list[Row], last: list[Row] | None = LAST, **versions: int) -> dict[str, Check]:
    before = None if last is None else frame(spark, last)
    popular = local_rows(spark, [("a",), ("b",)], "item_id string")
    both = compared(frame(spark, rows, **versions), before, popular)
    return {check.name: check for check in checks(both, 8, LIMITS)}


def values(checks: dict[str, Check]) -> dict[str, tuple[float | None, float | None]]:
    return {name: (check.value, check.last) for name, check in checks.items()}


def test_each_figure_by_hand(spark: SparkSession) -> None:
    # u: the same list; v: turned round; w: one item of two another; x has none; y is new, and its list popular.
    rows: list[Row] = [
        ("u", 1, "a", 0.9, "own"), ("u", 2, "b", 0.7, "own"),
        ("v", 1, "b", 0.4, "own"), ("v", 2, "a", 0.4, "popular"),
        ("w", 1, "c", 0.9, "own"), ("w", 2, "e", None, "rule"),
        ("y", 1, "a", 1.0, "popular"), ("y", 2, "b", None, "fill"),
    ]  # fmt: skip
    told = found(spark, rows)
    assert values(told) == {
        "flat_lists": (0.5, None),  # of u and v, whose lists have two scores
        "rows": (8, 8),
        "users": (4, 4),
        "coverage": (0.5, 0.5),  # a b c e, and a b c d, of eight
        "fallback_share": (0.25, 0.25),
        "popularity_share": (0.75, 0.625),
        "score_mean": (0.716667, 0.6),
        "overlap": (0.833333, None),
        "users_changed": (0.666667, None),
        "items_changed": (0.4, None),  # d, e
    }
    # The last scores are 0.9, 0.7, 0.5, 0.3, each twice: their standard deviation is the root of 0.05.
    assert (told["score_mean"].low, told["score_mean"].high) == (0.376393, 0.823607)
    assert all(check.is_passed for check in told.values())


def test_lists_that_are_kept_count_as_those_of_both_days(spark: SparkSession) -> None:
    """Of u with flat scores and of v, and a new list beside them for one that is gone."""
    flat: list[Row] = [("u", 1, "a", 0.9, "own"), ("u", 2, "b", 0.9, "own")]
    kept, new, gone = [*flat, *LAST[2:4]], [("y", 1, "e", 0.2, "own"), ("y", 2, "a", None, "rule")], LAST[4:]
    popular = local_rows(spark, [("a",), ("b",)], "item_id string")
    parts = compared(frame(spark, new), frame(spark, gone), popular, frame(spark, kept))
    whole = compared(frame(spark, kept + new), frame(spark, kept + gone), popular)
    assert parts == whole
    assert (parts.told["in_both"], parts.told["overlap"], parts.told["flat"]) == (2, 2.0, 1)


def test_a_first_run_is_compared_with_nothing(spark: SparkSession) -> None:
    assert values(found(spark, LAST, last=None)) == {"flat_lists": (0.0, None)}


def test_scores_of_another_model_version_are_not_compared(spark: SparkSession) -> None:
    assert "score_mean" not in found(spark, LAST, version=2)


SHIFTED: list[Row] = [(user, rank, item, score + 5.0, source) for user, rank, item, score, source in LAST]
OTHER: list[Row] = [(user, rank, f"new {rank}", score, source) for user, rank, _, score, source in LAST]


@pytest.mark.parametrize(
    ("rows", "failed"),
    [
        (LAST, set()),
        (LAST[:2] + LAST[6:], {"rows", "users"}),
        ([*LAST, *((f"new {user}", *row) for user, *row in LAST)], {"rows"}),
        (SHIFTED, {"score_mean"}),
        ([(u, r, i, 0.5, s) for u, r, i, _, s in LAST], {"flat_lists"}),
        ([(u, r, i, s, "popular") for u, r, i, s, _ in LAST], {"fallback_share"}),
        ([(u, r, "ab"[r - 1], s, o) for u, r, _, s, o in LAST], {"popularity_share"}),
        (OTHER, {"overlap", "items_changed"}),
        ([(u, r, "z", s, o) for u, r, _, s, o in LAST], {"overlap", "items_changed", "coverage"}),
    ],
)
def test_what_fails(spark: SparkSession, rows: list[Any], failed: set[str]) -> None:
    assert {name for name, check in found(spark, rows).items() if not check.is_passed} == failed


def test_the_error_names_found_last_limits_and_the_setting() -> None:
    few = Check(name="rows", value=10.0, last=80.0, low=56.0, high=120.0, setting="min_rows_ratio")
    fine = Check(name="overlap", value=0.3, low=0.05, setting="min_overlap")
    message = (
        r"lists of home for 2017-12-18 are not published: rows is 10, last 80, expected at least 56 and at most 120; "
        r"compared with those of 2017-12-17. recs.top_n is as it was.*Cure: .*--set publishing.min_rows_ratio=…$"
    )
    with pytest.raises(DataQualityError, match=message):
        require_alike([few, fine], "home", date(2017, 12, 18), date(2017, 12, 17))
    require_alike([replace(few, value=60.0), fine], "home", date(2017, 12, 18), None)
