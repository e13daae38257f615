"""Rows of a scene's table as the lists that rules are applied to, and back: lists of users, of items or of places."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.errors import DataQualityError
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.rule_checks import CONTEXT
from recsys.tables import Table

LISTED = "listed"
# Stands for a list's name in the columns of reranking.LISTS.
_LIST = c.USER_ID
_OWN_KEY = "list_key"
_TOUCHED = (c.RULES, c.RANK_BEFORE_RULES)


def is_of_items(table: Table) -> bool:
    return c.ITEM_ID in table.column_names


def list_key(table: Table) -> tuple[str, ...]:
    """The columns that name a list of the table."""
    return tuple(name for name in table.key if name not in (c.RUN_DATE, c.RANK))


def listed_item(table: Table) -> str:
    """The column of what its lists hold."""
    return c.NEIGHBOUR_ID if c.NEIGHBOUR_ID in table.column_names else c.ITEM_ID


def as_lists(
    rows: DataFrame, table: Table, item_ids: DataFrame, contexts: DataFrame | None, left_out: DataFrame | None
) -> DataFrame:
    """What `reranked` takes, a row a list. `contexts` and `left_out`, for lists of users: of rule_checks.user_contexts
    and .left_out_lists.

    A list of a store is under the rules of that store and its country, one of a country under those of it; any other
    that names no user, under those that are for everybody. An item is left out of its own list.
    """
    key, item = list_key(table), listed_item(table)
    indexed = rows.join(item_ids.withColumnRenamed(c.ITEM_ID, item), on=item, how="inner")
    in_order = F.array_sort(F.collect_list(F.struct(c.RANK, c.ITEM_IDX)))
    lists = indexed.groupBy(*key).agg(in_order.alias(LISTED))
    if c.ITEM_ID in key:
        left_out = item_ids.select(c.ITEM_ID, F.array(c.ITEM_IDX).alias(LEFT_OUT))
    if left_out is not None:
        lists = lists.join(left_out, on=key[0], how="left")
    if contexts is not None:
        lists = lists.join(contexts, on=c.USER_ID, how="left")
    idx = F.col(f"{LISTED}.{c.ITEM_IDX}")
    return lists.select(
        _name(key).alias(_LIST),
        idx.alias(c.ITEM_IDX),
        F.transform(idx, lambda _: F.lit(0.0)).alias(c.SCORE),
        F.transform(idx, lambda _: F.lit(LISTED)).alias(c.SOURCE),
        (F.lit(None).cast("array<int>") if left_out is None else F.col(LEFT_OUT)).alias(LEFT_OUT),
        _context(key, has_users=contexts is not None).alias(CONTEXT),
    )


def from_lists(found: DataFrame, rows: DataFrame, table: Table) -> DataFrame:
    """The scene's rows in the order and with the columns that `reranked` gave, from the same `rows` as `as_lists`;
    beside those of the table what write_audit takes, `list_key` and `kept_away`.

    What a rule pinned has the columns of its list, and nulls where the scene says something of its own items.
    """
    key, item = list_key(table), listed_item(table)
    named = rows.withColumn(_OWN_KEY, _name(key))
    lists = named.select(_OWN_KEY, *key).distinct()
    said = [name for name in rows.columns if name not in (*key, item, c.RANK)]
    of_items = named.select(_OWN_KEY, item, F.struct(*said).alias("said"))
    ranked = found.withColumnsRenamed({_LIST: _OWN_KEY, c.ITEM_ID: item, c.SOURCE: LISTED})
    whole = ranked.select(_OWN_KEY, c.RANK, item, LISTED, *_TOUCHED, c.KEPT_AWAY).join(lists, on=_OWN_KEY, how="inner")
    joined = whole.join(of_items, on=[_OWN_KEY, item], how="left")
    values = {name: F.col(f"said.{name}") for name in said}
    if c.SOURCE in said:
        values[c.SOURCE] = F.coalesce(f"said.{c.SOURCE}", LISTED)
    columns = [column.alias(name) for name, column in values.items()]
    return joined.select(*key, c.RANK, item, *columns, *_TOUCHED, _OWN_KEY, c.KEPT_AWAY)


def audited(found: DataFrame, table: Table) -> DataFrame:
    """Of what from_lists gave, the columns that the audit of rules takes; `user_id` names the list among all tables."""
    named = F.concat_ws(" ", F.lit(table.name), F.col(_OWN_KEY)).alias(c.USER_ID)
    return found.select(named, c.RULES, c.KEPT_AWAY)


def untouched(rows: DataFrame) -> DataFrame:
    """A scene's rows where no rule holds."""
    return rows.withColumns({c.RULES: F.array().cast("array<string>"), c.RANK_BEFORE_RULES: F.col(c.RANK)})


def require_none_hidden(rows: DataFrame, table: Table, hidden: DataFrame | None) -> None:
    """`hidden`: item_id of what rules hide from everybody. Raises DataQualityError with one such row."""
    if hidden is None:
        return
    item = listed_item(table)
    wrong = rows.join(hidden.withColumnRenamed(c.ITEM_ID, item), on=item, how="left_semi").first()
    if wrong is not None:
        raise DataQualityError(
            f"{table.name} would show {wrong[item]!r} to {[wrong[name] for name in list_key(table)]}, which a rule "
            "blocks or rules.stock has none of. Nothing was written. Cure: it is a defect of recsys.scoring; until it "
            "is mended leave the scene out of score.scenes"
        )


def _name(key: tuple[str, ...]) -> Column:
    """As text, for a part of the key may be null, and null is not equal to null."""
    return F.to_json(F.struct(*key), {"ignoreNullFields": "false"})


def _context(key: tuple[str, ...], *, has_users: bool) -> Column:
    if has_users:
        return F.coalesce(CONTEXT, F.lit("{}"))
    place = [name for name in (c.STORE_ID, c.COUNTRY) if name in key]
    return F.to_json(F.struct(*place)) if place else F.lit("{}")
