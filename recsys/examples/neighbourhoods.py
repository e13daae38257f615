"""The drawn neighbours of a pair's user and item, as indexes and weights beside the pair, for models that read them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.catalog import NEIGHBOUR_IDS, NEIGHBOUR_INPUTS
from recsys.examples.assemble import UNKNOWN_IDX, Ids

_POSITION = "position"
_WEIGHT = "weight"
_USER = (c.AS_OF_DATE, c.USER_ID)
_ITEM = (c.AS_OF_DATE, c.ITEM_ID)
OF_ITEMS = (c.ITEM_NEIGHBOURS_USER_IDX, c.ITEM_NEIGHBOURS_WEIGHT)
OF_USERS = tuple(name for name in NEIGHBOUR_INPUTS if name not in OF_ITEMS)


@dataclass(frozen=True, kw_only=True)
class Neighbourhoods:
    """Rows of features.user_neighbours and features.item_neighbours, of the cut-offs at hand."""

    users: DataFrame
    items: DataFrame


def with_neighbours(
    pairs: DataFrame, drawn: Neighbourhoods, item_features: DataFrame, ids: Ids, size: int
) -> DataFrame:
    """Adds the lists catalog.NEIGHBOUR_INPUTS to `pairs` (as_of_date, user_id, item_id and any others), row for row.

    Each has `size` entries: neighbours beyond them are left out, and where there are fewer, or none, the indexes are
    -1 and the weights 0. An item's category is that of `item_features` at the cut-off.
    """
    with_users = with_user_neighbours(pairs, drawn.users, item_features, ids, size)
    joined = with_item_neighbours(with_users, drawn.items, ids, size)
    return joined.select(*pairs.columns, *NEIGHBOUR_INPUTS)


def with_user_neighbours(rows: DataFrame, drawn: DataFrame, item_features: DataFrame, ids: Ids, size: int) -> DataFrame:
    """The same of rows of as_of_date and user_id, with the lists of the users' items alone."""
    joined = rows.join(_of_users(drawn, item_features, ids), on=[*_USER], how="left")
    return joined.select(*rows.columns, *(_filled_up(name, size) for name in OF_USERS))


def with_item_neighbours(rows: DataFrame, drawn: DataFrame, ids: Ids, size: int) -> DataFrame:
    """The same of rows of as_of_date and item_id, with the lists of the items' users alone."""
    joined = rows.join(_of_items(drawn, ids), on=[*_ITEM], how="left")
    return joined.select(*rows.columns, *(_filled_up(name, size) for name in OF_ITEMS))


def _of_users(users: DataFrame, item_features: DataFrame, ids: Ids) -> DataFrame:
    """as_of_date, user_id and the lists of its items, as long as there are some."""
    edges = _edges(users, _USER, c.USER_NEIGHBOURS_ITEMS_365D, c.USER_NEIGHBOURS_WEIGHTS_365D, c.ITEM_ID)
    categories = item_features.select(*_ITEM, F.col(c.ITEM_CATEGORY).alias(c.CATEGORY))
    known = (
        edges.join(ids.items, on=c.ITEM_ID, how="left")
        .join(categories, on=[*_ITEM], how="left")
        .join(ids.categories, on=c.CATEGORY, how="left")
    )
    return _listed(
        known,
        _USER,
        {
            c.USER_NEIGHBOURS_ITEM_IDX: c.ITEM_IDX,
            c.USER_NEIGHBOURS_CATEGORY_IDX: c.CATEGORY_IDX,
            c.USER_NEIGHBOURS_WEIGHT: _WEIGHT,
        },
    )


def _of_items(items: DataFrame, ids: Ids) -> DataFrame:
    """as_of_date, item_id and the lists of its buyers."""
    edges = _edges(items, _ITEM, c.ITEM_NEIGHBOURS_USERS_365D, c.ITEM_NEIGHBOURS_WEIGHTS_365D, c.USER_ID)
    known = edges.join(ids.users, on=c.USER_ID, how="left")
    return _listed(known, _ITEM, {c.ITEM_NEIGHBOURS_USER_IDX: c.USER_IDX, c.ITEM_NEIGHBOURS_WEIGHT: _WEIGHT})


def _edges(rows: DataFrame, node: Sequence[str], neighbours: str, weights: str, other: str) -> DataFrame:
    """A row a neighbour, with its place in the list and its weight."""
    zipped = rows.select(*node, F.posexplode(F.arrays_zip(neighbours, weights)).alias(_POSITION, "edge"))
    found = zipped.where(F.col(f"edge.{neighbours}").isNotNull())
    return found.select(
        *node,
        _POSITION,
        F.col(f"edge.{neighbours}").alias(other),
        F.col(f"edge.{weights}").cast("float").alias(_WEIGHT),
    )


def _listed(edges: DataFrame, node: Sequence[str], lists: dict[str, str]) -> DataFrame:
    """A row a node, its neighbours in the order of their places."""
    values = {name: F.coalesce(F.col(name), F.lit(UNKNOWN_IDX)).cast("int") for name in lists.values()}
    values |= {_WEIGHT: F.col(_WEIGHT)}
    entry = F.struct(_POSITION, *(value.alias(name) for name, value in values.items()))
    in_order = edges.groupBy(*node).agg(F.array_sort(F.collect_list(entry)).alias("drawn"))
    return in_order.select(*node, *(F.col(f"drawn.{value}").alias(name) for name, value in lists.items()))


def _filled_up(name: str, size: int) -> Column:
    nothing = F.lit(UNKNOWN_IDX) if name in NEIGHBOUR_IDS else F.lit(0.0).cast("float")
    there = F.slice(F.coalesce(F.col(name), F.array().cast(f"array<{_type_of(name)}>")), 1, size)
    return F.concat(there, F.array_repeat(nothing, F.lit(size) - F.size(there))).alias(name)


def _type_of(name: str) -> str:
    return "int" if name in NEIGHBOUR_IDS else "float"
