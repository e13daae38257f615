"""What must hold of top-N lists before analysts see them."""

import math
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.errors import DataQualityError
from recsys.scoring.reranking import FILL, RULE

_NUM_ROWS = "num_rows"
_NUM_RANKS = "num_ranks"
_FIRST_RANK = "first_rank"
_LAST_RANK = "last_rank"
_NUM_ITEMS = "num_items"
_NUM_ODD_SCORES = "num_odd_scores"
_NUM_INELIGIBLE = "num_ineligible"
_NUM_HIDDEN = "num_hidden"
_NUM_EXCLUDED = "num_excluded"
_NO_LIST = "no list"
_IS_HIDDEN = "is_hidden"
_IS_EXCLUDED = "is_excluded"


@dataclass(frozen=True, kw_only=True)
class WithoutList:
    """Users for whom nothing may be shown; `user_id`: one of them."""

    num_users: int
    user_id: str | None = None


def require_publishable(
    lists: DataFrame,
    items: DataFrame,
    users: DataFrame,
    n: int,
    *,
    hidden: DataFrame | None = None,
    excluded: DataFrame | None = None,
) -> WithoutList:
    """A list has ranks 1 to its length without a gap, no item twice, finite scores, eligible items only, at most `n` of
    them, and is of one of `users`. What rules added has no score. Users without a list are told, see require_lists.

    `hidden`: item_id of items that rules block for all; `excluded`: user_id and item_id that must not stand in a list.
    Raises DataQualityError with the broken promises, how many users they touch and one of them. One pass.
    """
    marked = _marked(_marked(lists, hidden, _IS_HIDDEN, c.ITEM_ID), excluded, _IS_EXCLUDED, c.USER_ID, c.ITEM_ID)
    checked = _per_user(marked, items).join(users.select(c.USER_ID, F.lit(True).alias("is_served")), c.USER_ID, "full")
    broken = {name: F.coalesce(is_broken, F.lit(False)) for name, is_broken in _promises(n).items()}
    told = {**broken, _NO_LIST: F.col(_NUM_ROWS).isNull()}
    counts = checked.agg(
        *(F.count_if(is_it).alias(name) for name, is_it in told.items()),
        *(F.min(F.when(is_it, F.col(c.USER_ID))).alias(f"{name} user") for name, is_it in told.items()),
    ).first()
    assert counts is not None, "an aggregate without groups has one row"
    found = [f"{name}: {counts[name]} users, {counts[f'{name} user']!r} among them" for name in broken if counts[name]]
    if found:
        raise DataQualityError(
            f"the lists are not fit to be published: {'; '.join(found)}. Nothing was written. Cure: run build_features "
            "and train for this run date again; if it stays, the model or clean.items is at fault"
        )
    return WithoutList(num_users=counts[_NO_LIST], user_id=counts[f"{_NO_LIST} user"])


def require_lists(without: WithoutList, num_users: int, most: float) -> None:
    """Raises DataQualityError where the share of users without a list is above `most`."""
    share = without.num_users / max(num_users, 1)
    if share > most:
        raise DataQualityError(
            f"the lists are not fit to be published: no list: {without.num_users} users of {num_users}, "
            f"{without.user_id!r} among them, a share of {share:.2g}, expected at most {most:g}. Nothing was written. "
            "Cure: look whether clean.items has eligible items and what rules and score.exclude_bought_days leave; or, "
            "where it is meant, raise the limit: --set publishing.max_users_without_list=…"
        )


def _marked(lists: DataFrame, found: DataFrame | None, name: str, *key: str) -> DataFrame:
    if found is None:
        return lists.withColumn(name, F.lit(None).cast("boolean"))
    return lists.join(found.select(*key).distinct().withColumn(name, F.lit(True)), on=list(key), how="left")


def _per_user(lists: DataFrame, items: DataFrame) -> DataFrame:
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID, F.lit(True).alias("is_known"))
    score = F.col(c.SCORE)
    is_finite = score.isNotNull() & ~F.isnan(score) & (F.abs(score) < F.lit(math.inf))
    is_added = F.col(c.SOURCE).isin(FILL, RULE)
    return (
        lists.join(eligible, on=c.ITEM_ID, how="left")
        .groupBy(c.USER_ID)
        .agg(
            F.count("*").alias(_NUM_ROWS),
            # Sets of a list's length; several count_distinct would multiply the rows.
            F.size(F.collect_set(c.RANK)).alias(_NUM_RANKS),
            F.min(c.RANK).alias(_FIRST_RANK),
            F.max(c.RANK).alias(_LAST_RANK),
            F.size(F.collect_set(c.ITEM_ID)).alias(_NUM_ITEMS),
            F.count_if(~(is_finite | (is_added & score.isNull()))).alias(_NUM_ODD_SCORES),
            F.count_if(F.col("is_known").isNull()).alias(_NUM_INELIGIBLE),
            F.count(_IS_HIDDEN).alias(_NUM_HIDDEN),
            F.count(_IS_EXCLUDED).alias(_NUM_EXCLUDED),
        )
    )


def _promises(n: int) -> dict[str, Column]:
    rows = F.col(_NUM_ROWS)
    return {
        "a list though not served": F.col("is_served").isNull(),
        f"more than {n} items": rows > n,
        "ranks with a gap or twice": ~(
            (F.col(_FIRST_RANK) == 1) & (F.col(_LAST_RANK) == rows) & (F.col(_NUM_RANKS) == rows)
        ),
        "an item twice": F.col(_NUM_ITEMS) != rows,
        "scores that are not finite": F.col(_NUM_ODD_SCORES) > 0,
        "items that are not eligible": F.col(_NUM_INELIGIBLE) > 0,
        "items that a rule blocks": F.col(_NUM_HIDDEN) > 0,
        "items that the user bought or saw in the days left out": F.col(_NUM_EXCLUDED) > 0,
    }
