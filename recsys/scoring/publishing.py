"""How a day's lists compare with the last published ones, before analysts see them: the rows of ops.publishing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import PublishingConfig
from recsys.errors import DataQualityError
from recsys.scoring.candidates import POPULAR
from recsys.scoring.cold_users import STORE
from recsys.scoring.reranking import FILL

LIST_COLUMNS = (c.USER_ID, c.RANK, c.ITEM_ID, c.SCORE, c.SOURCE)

_IS_LAST = "is_last"
_IS_POPULAR = "is_popular"
_DECIMALS = 6  # beyond that a sum differs with the order of its parts


@dataclass(frozen=True, kw_only=True)
class Check:
    """`value` should lie between `low` and `high`; None: no limit, or no published run that it could be told from.

    `setting`: of `publishing`, what the limit comes from.
    """

    name: str
    value: float | None
    last: float | None = None
    low: float | None = None
    high: float | None = None
    setting: str

    @property
    def is_passed(self) -> bool:
        if self.value is None:
            return True
        is_low_kept = self.low is None or self.value >= self.low
        return is_low_kept and (self.high is None or self.value <= self.high)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """`told`: sums over both sides, those of the last lists under names with `last_`; `is_comparable`: of one model
    version."""

    told: Mapping[str, Any]
    has_last: bool
    is_comparable: bool


def compared(lists: DataFrame, last: DataFrame | None, popular: DataFrame, kept: DataFrame | None = None) -> Compared:
    """`lists` and `last`, the newest lists published for a day before, have LIST_COLUMNS, model_name and
    model_version; `popular`: item_id of the best sellers. `kept`: rows that stand in both, of users of whom neither has
    others, and of the same model version."""
    is_comparable = kept is not None or (last is not None and _models(lists) == _models(last))
    told = _told(lists, last, popular, kept)
    return Compared(told=told, has_last=last is not None, is_comparable=is_comparable)


def checks(found: Compared, num_eligible: int, limits: PublishingConfig) -> list[Check]:
    """`num_eligible`: items that may be recommended."""
    told, is_comparable = found.told, found.is_comparable
    return [
        *_absolute(told, limits),
        *(_relative(told, limits, num_eligible, is_comparable=is_comparable) if found.has_last else ()),
    ]


def require_alike(found: Sequence[Check], scene: str, day: date, last: date | None) -> None:
    """Raises DataQualityError with each check that failed, its limits and the setting that moves them."""
    failed = [check for check in found if not check.is_passed]
    if failed:
        raise DataQualityError(
            f"the lists of {scene} for {day} are not published: {'; '.join(map(_finding, failed))}; compared with "
            f"those of {last or 'no day'}. recs.top_n is as it was; ops.publishing has all checks. Cure: mend what "
            "changed (events, features, model, rules) and run score again; or, where it is meant, move the limit "
            f"for this run: {' '.join(f'--set publishing.{check.setting}=…' for check in failed)}"
        )


def _finding(check: Check) -> str:
    limits = [
        f"{word} {limit:g}" for word, limit in (("at least", check.low), ("at most", check.high)) if limit is not None
    ]
    before = "" if check.last is None else f", last {check.last:g}"
    return f"{check.name} is {check.value:g}{before}, expected {' and '.join(limits)}"


def _absolute(told: Mapping[str, Any], limits: PublishingConfig) -> Iterator[Check]:
    flat = _share(told["flat"], told["scored_lists"])
    yield Check(name="flat_lists", value=flat, high=limits.max_flat_lists, setting="max_flat_lists")


def _relative(
    told: Mapping[str, Any], limits: PublishingConfig, num_eligible: int, *, is_comparable: bool
) -> Iterator[Check]:
    yield from _counts(told, limits, num_eligible)
    yield from _shares(told, limits)
    mean, last, std = told["score_mean"], told["last_score_mean"], told["last_score_std"] or 0.0
    if is_comparable and last is not None:
        low, high = (_rounded(last + sign * limits.max_score_shift * std) for sign in (-1, 1))
        yield Check(name="score_mean", value=mean, last=last, low=low, high=high, setting="max_score_shift")
    overlap, changed = _share(told["overlap"], told["in_both"]), _share(told["changed"], told["in_both"])
    yield Check(name="overlap", value=overlap, low=limits.min_overlap, setting="min_overlap")
    yield Check(name="users_changed", value=changed, high=limits.max_users_changed, setting="max_users_changed")
    items_changed = _share(told["items_changed"], told["all_items"])
    yield Check(name="items_changed", value=items_changed, high=limits.max_items_changed, setting="max_items_changed")


def _counts(told: Mapping[str, Any], limits: PublishingConfig, num_eligible: int) -> Iterator[Check]:
    rows, last_rows = float(told["rows"]), float(told["last_rows"])
    low, high = limits.min_rows_ratio * last_rows, limits.max_rows_ratio * last_rows
    setting = "min_rows_ratio" if rows < low else "max_rows_ratio"
    yield Check(name="rows", value=rows, last=last_rows, low=low, high=high, setting=setting)
    users, last_users = float(told["users"]), float(told["last_users"])
    low = limits.min_users_ratio * last_users
    yield Check(name="users", value=users, last=last_users, low=low, setting="min_users_ratio")
    coverage, last_coverage = _share(told["items"], num_eligible), _share(told["last_items"], num_eligible)
    low = _rounded(limits.min_coverage_ratio * (last_coverage or 0.0))
    yield Check(name="coverage", value=coverage, last=last_coverage, low=low, setting="min_coverage_ratio")


def _shares(told: Mapping[str, Any], limits: PublishingConfig) -> Iterator[Check]:
    for name, part, whole, rise in (
        ("fallback_share", "fallback", "users", "max_fallback_rise"),
        ("popularity_share", "popular", "rows", "max_popularity_rise"),
    ):
        value, last = _share(told[part], told[whole]), _share(told[f"last_{part}"], told[f"last_{whole}"])
        high = None if last is None else _rounded(last + getattr(limits, rise))
        yield Check(name=name, value=value, last=last, high=high, setting=rise)


def _told(lists: DataFrame, last: DataFrame | None, popular: DataFrame, kept: DataFrame | None) -> dict[str, Any]:
    """Two aggregations of a row each, over users and over items, in one job."""
    sides = lists.select(*LIST_COLUMNS, F.lit(False).alias(_IS_LAST))
    if last is not None:
        sides = sides.unionByName(last.select(*LIST_COLUMNS, F.lit(True).alias(_IS_LAST)))
    users, items = _per_user(_marked(sides, popular)), _per_item(sides)
    if kept is not None:
        users = users.unionByName(_per_kept_user(_marked(kept.select(*LIST_COLUMNS), popular)))
        items = items.unionByName(_per_kept_item(kept))
    sums = users.agg(*_user_sums()).crossJoin(_item_sums(items)).first()
    assert sums is not None, "an aggregate without groups has one row"
    return sums.asDict()


def _marked(rows: DataFrame, popular: DataFrame) -> DataFrame:
    marks = F.broadcast(popular.select(c.ITEM_ID, F.lit(True).alias(_IS_POPULAR)))
    return rows.join(marks, on=c.ITEM_ID, how="left")


def _per_user(marked: DataFrame) -> DataFrame:
    is_last = F.col(_IS_LAST)
    columns = [column for side, is_side in (("", ~is_last), ("last_", is_last)) for column in _of_side(side, is_side)]
    lists = [
        F.array_sort(F.collect_list(F.when(is_side, F.struct(c.RANK, c.ITEM_ID)))).alias(name)
        for name, is_side in (("list", ~is_last), ("last_list", is_last))
    ]
    users = marked.groupBy(c.USER_ID).agg(*columns, _spread(~is_last), *lists)
    shared = F.size(F.array_intersect(F.col(f"list.{c.ITEM_ID}"), F.col(f"last_list.{c.ITEM_ID}")))
    overlap = shared / F.nullif(F.greatest("rows", "last_rows"), F.lit(0))
    return users.withColumns({"shared": overlap, "is_other": F.col("list") != F.col("last_list")}).drop(
        "list", "last_list"
    )


def _per_kept_user(marked: DataFrame) -> DataFrame:
    """As `_per_user`, of lists that are the last ones: without their items, which take most of the time."""
    users = marked.groupBy(c.USER_ID).agg(*_of_side("", F.lit(True)), _spread(F.lit(True)))
    last = {f"last_{name}": F.col(name) for name in users.columns if name not in (c.USER_ID, "spread")}
    return users.withColumns({**last, "shared": F.lit(1.0), "is_other": F.lit(False)})


def _of_side(side: str, is_side: Column) -> list[Column]:
    score = F.col(c.SCORE)
    rows = F.count_if(is_side)
    return [
        rows.alias(f"{side}rows"),
        ((rows > 0) & (F.count_if(is_side & F.col(c.SOURCE).isin(POPULAR, FILL, STORE)) == rows)).alias(
            f"{side}is_fallback"
        ),
        F.count_if(is_side & F.col(_IS_POPULAR)).alias(f"{side}popular"),
        F.count(F.when(is_side, score)).alias(f"{side}scored"),
        F.sum(F.when(is_side, score)).alias(f"{side}score"),
        F.sum(F.when(is_side, score * score)).alias(f"{side}square"),
    ]


def _spread(is_side: Column) -> Column:
    scores = F.when(is_side, F.col(c.SCORE))
    return (F.max(scores) - F.min(scores)).alias("spread")


def _user_sums() -> list[Column]:
    in_both = (F.col("rows") > 0) & (F.col("last_rows") > 0)
    has_scores = F.col("scored") > 1
    return [
        *(column for side in ("", "last_") for column in _side_sums(side)),
        F.count_if(has_scores).alias("scored_lists"),
        F.count_if(has_scores & (F.col("spread") == 0)).alias("flat"),
        F.count_if(in_both).alias("in_both"),
        F.count_if(in_both & F.col("is_other")).alias("changed"),
        F.round(F.sum(F.when(in_both, F.col("shared"))), _DECIMALS).alias("overlap"),
    ]


def _side_sums(side: str) -> Iterator[Column]:
    count = F.nullif(F.sum(f"{side}scored"), F.lit(0))
    mean = F.sum(f"{side}score") / count
    variance = F.greatest(F.sum(f"{side}square") / count - mean * mean, F.lit(0.0))
    yield F.coalesce(F.sum(f"{side}rows"), F.lit(0)).alias(f"{side}rows")
    yield F.count_if(F.col(f"{side}rows") > 0).alias(f"{side}users")
    yield F.count_if(f"{side}is_fallback").alias(f"{side}fallback")
    yield F.coalesce(F.sum(f"{side}popular"), F.lit(0)).alias(f"{side}popular")
    yield F.round(mean, _DECIMALS).alias(f"{side}score_mean")
    yield F.round(F.sqrt(variance), _DECIMALS).alias(f"{side}score_std")


def _per_item(sides: DataFrame) -> DataFrame:
    is_new, is_old = F.bool_or(~F.col(_IS_LAST)).alias("is_new"), F.bool_or(_IS_LAST).alias("is_old")
    return sides.groupBy(c.ITEM_ID).agg(is_new, is_old)


def _per_kept_item(kept: DataFrame) -> DataFrame:
    return kept.select(c.ITEM_ID).distinct().withColumns({"is_new": F.lit(True), "is_old": F.lit(True)})


def _item_sums(items: DataFrame) -> DataFrame:
    of_each = items.groupBy(c.ITEM_ID).agg(F.bool_or("is_new").alias("is_new"), F.bool_or("is_old").alias("is_old"))
    return of_each.agg(
        F.count_if("is_new").alias("items"),
        F.count_if("is_old").alias("last_items"),
        F.count_if(F.col("is_new") != F.col("is_old")).alias("items_changed"),
        F.count("*").alias("all_items"),
    )


def _models(lists: DataFrame) -> list[tuple[Any, ...]]:
    found = lists.select(c.MODEL_NAME, c.MODEL_VERSION).distinct().orderBy(c.MODEL_NAME, c.MODEL_VERSION)
    return [tuple(row) for row in found.limit(2).collect()]


def _share(part: float | None, whole: float) -> float | None:
    return None if not whole or part is None else _rounded(part / whole)


def _rounded(value: float) -> float:
    return round(value, _DECIMALS) if math.isfinite(value) else value
