"""Whose list a run has to make again: fingerprints of what lists are made from, beside those of the run before.

A fingerprint is 128 bits, as text: with equal ones a list would be the same.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.scoring.candidates import POPULAR
from recsys.scoring.reranking import FILL, KEPT_AWAY, RELAXED
from recsys.scoring.top_n import ALL

_SALTS = (1, 2)


def fingerprint(names: Sequence[str]) -> Column:
    """Of one row."""
    return _text([_hash(salt, names) for salt in _SALTS])


def fingerprint_of_rows(names: Sequence[str]) -> Column:
    """Aggregate: of a group's rows in whatever order. The rows must differ: twice the same is as none."""
    return _text([F.bit_xor(_hash(salt, names)) for salt in _SALTS])


def taken_fingerprints(user_items: DataFrame) -> DataFrame:
    """user_id and `taken`: of what the user bought, from rows of features.user_item of one cut-off.

    Of the days since a purchase the day itself counts, so that a day later the fingerprint is the same.
    """
    own = user_items.where(F.col(c.USER_ITEM_PURCHASES_365D) > 0)
    last_day = F.date_sub(F.col(c.AS_OF_DATE), F.col(c.USER_ITEM_RECENCY_DAYS)).alias(c.LAST_DATE)
    bought = own.select(c.USER_ID, c.ITEM_ID, c.USER_ITEM_PURCHASES_365D, last_day)
    return bought.groupBy(c.USER_ID).agg(fingerprint_of_rows(bought.columns).alias("taken"))


def excluded_fingerprints(excluded: DataFrame) -> DataFrame:
    """user_id and `excluded`: of the items that must not stand in the user's list, each once."""
    return excluded.groupBy(c.USER_ID).agg(fingerprint_of_rows([c.ITEM_ID]).alias("excluded"))


def user_fingerprints(users: DataFrame, parts: Sequence[DataFrame]) -> DataFrame:
    """user_id and `fingerprint` of all columns of `parts`, each with a row a user at most."""
    whole = users.select(c.USER_ID)
    for part in parts:
        whole = whole.join(part, on=c.USER_ID, how="left")
    return whole.select(c.USER_ID, fingerprint(whole.columns).alias(c.FINGERPRINT))


def changed_users(now: DataFrame, last: DataFrame, *, is_popularity_changed: bool) -> DataFrame:
    """user_id of those whose fingerprint is new or another than in `last`, rows of recs.scored_inputs; and, where
    popularity changed, of those whose list goes by it."""
    same = last.where(~F.col(c.IS_BY_POPULARITY)) if is_popularity_changed else last
    return now.join(same, on=[c.USER_ID, c.FINGERPRINT], how="left_anti").select(c.USER_ID)


def list_facts(best: DataFrame, n: int) -> DataFrame:
    """A row a user for whom the model ranked an item: `is_by_popularity` and `kept_away` of the list, from rows before
    reasons. What others' lists are made from, stores and categories, is told nowhere: they are made again each time.

    A list goes by popularity where it was filled up: then an item came from there, a rule gave way, or the list stayed
    short all the same.
    """
    is_from_there = F.col(c.SOURCE).isin(POPULAR, FILL)
    is_relaxed = F.exists(c.RULES, lambda rule: F.startswith(rule, F.lit(RELAXED)))
    is_short, is_ranked = F.count("*") < n, F.bool_or(F.col(c.SOURCE) == ALL)
    is_by_popularity = F.bool_or(is_from_there | is_relaxed) | is_short
    kept_away = F.max(KEPT_AWAY) if KEPT_AWAY in best.columns else F.lit(None).cast("array<string>")
    told = (is_by_popularity.alias(c.IS_BY_POPULARITY), kept_away.alias(KEPT_AWAY), is_ranked.alias("is_ranked"))
    return best.groupBy(c.USER_ID).agg(*told).where("is_ranked").drop("is_ranked")


def _hash(salt: int, names: Sequence[str]) -> Column:
    """The function passes over null: whether a value is there is hashed too."""
    values = (value for name in names for value in (F.col(name), F.isnull(name)))
    return F.xxhash64(F.lit(salt), *values)


def _text(hashes: Sequence[Column]) -> Column:
    """32 hexadecimal digits."""
    return F.concat(*(F.lpad(F.hex(one), 16, "0") for one in hashes))
