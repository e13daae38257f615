"""The two kinds of list that are measured, and the truth of each, for one cut-off."""

import functools

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c

REPEATS_ALLOWED = "repeats_allowed"
NEW_ITEMS_ONLY = "new_items_only"
LIST_KINDS = (REPEATS_ALLOWED, NEW_ITEMS_ONLY)
# Of the first kind, what is measured apart.
COLD_USERS = "cold_users"
COLD_ITEMS = "cold_items"
MEASURED_KINDS = (*LIST_KINDS, COLD_USERS, COLD_ITEMS)

IS_NEW = "is_new"


def truth_of(purchases: DataFrame, items: DataFrame, users: DataFrame, user_items: DataFrame) -> DataFrame:
    """One row for each list_kind, user_id and item_id: what a list of that kind could have foretold.

    `purchases` (user_id, item_id; repeats are fine) are those of the label window, `user_items` is features.user_item
    at its cut-off. Items that are not eligible and users who opted out or are unknown count for nothing.
    """
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    served = users.where(~F.col(c.IS_OPTED_OUT)).select(c.USER_ID)
    bought = (
        purchases.select(c.USER_ID, c.ITEM_ID)
        .distinct()
        .join(eligible, on=c.ITEM_ID, how="left_semi")
        .join(served, on=c.USER_ID, how="left_semi")
    )
    owned = owned_items(user_items).withColumn(IS_NEW, F.lit(False))
    marked = bought.join(owned, on=[c.USER_ID, c.ITEM_ID], how="left")
    return by_list_kind(marked.withColumn(IS_NEW, F.coalesce(IS_NEW, F.lit(True))))


def with_cold_truth(truth: DataFrame, earlier: DataFrame) -> DataFrame:
    """And, under list kinds of their own, those rows of repeats_allowed whose user had bought nothing earlier, and
    those whose item nobody had. `earlier`: user_id and item_id of purchases before the cut-off."""
    repeats = truth.where(F.col(c.LIST_KIND) == REPEATS_ALLOWED)
    parts = [
        repeats.join(earlier.select(key), on=key, how="left_anti").withColumn(c.LIST_KIND, F.lit(kind))
        for kind, key in ((COLD_USERS, c.USER_ID), (COLD_ITEMS, c.ITEM_ID))
    ]
    return functools.reduce(DataFrame.unionByName, parts, truth)


def with_cold_lists(lists: DataFrame, truth: DataFrame) -> DataFrame:
    """And the lists of repeats_allowed under the other kinds of which their users have a truth."""
    of_users = truth.where(F.col(c.LIST_KIND).isin(COLD_USERS, COLD_ITEMS)).select(c.LIST_KIND, c.USER_ID).distinct()
    repeats = lists.where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).drop(c.LIST_KIND)
    return lists.unionByName(repeats.join(of_users, on=c.USER_ID, how="inner"))


def owned_items(user_items: DataFrame) -> DataFrame:
    """Users and the items that they bought; items that they only looked at are new to them."""
    return user_items.where(F.col(c.USER_ITEM_PURCHASES_365D) > 0).select(c.USER_ID, c.ITEM_ID)


def by_list_kind(pairs: DataFrame) -> DataFrame:
    """Each pair in every kind of list it may stand in, as `list_kind`; takes the flag `is_new` away."""
    kinds = F.when(F.col(IS_NEW), _kinds(*LIST_KINDS)).otherwise(_kinds(REPEATS_ALLOWED))
    return pairs.withColumn(c.LIST_KIND, F.explode(kinds)).drop(IS_NEW)


def _kinds(*names: str) -> Column:
    return F.array(*(F.lit(name) for name in names))
