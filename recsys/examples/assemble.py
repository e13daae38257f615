"""Model inputs for pairs of user and item: the same for training, evaluation and scoring."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.catalog import (
    CONTEXT,
    ITEM,
    NUMERIC_INPUTS,
    STORE_ITEM,
    USER,
    USER_CATEGORY,
    USER_ITEM,
    Feature,
    Grain,
)
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.history import day_before_cutoff, with_values_on

UNKNOWN_IDX = -1
_CATEGORY_TOLD = "category_told"
_IS_SOLD = "is_sold"


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The tables of the schema `ids`."""

    users: DataFrame
    items: DataFrame
    categories: DataFrame


def assemble(
    pairs: DataFrame,
    features: FeatureTables,
    items: DataFrame,
    ids: Ids,
    taken: Sequence[Feature] = NUMERIC_INPUTS,
    *,
    item_history: DataFrame | None = None,
) -> DataFrame:
    """Adds every column of catalog.MODEL_INPUTS to `pairs` (as_of_date, user_id, item_id and any others), row for row.

    Values are raw; where a grain has no row or a null, the catalogue's default stands, and for an input that is not
    among those `taken` always: it is not looked up. Unknown ids are -1. An item's category is that of its features at
    the cut-off; of an item without features, that of `items`, which are of the present, or with an `item_history` the
    one that held on the day before the cut-off. Each lookup is unique by the key that its table promises.
    """
    user_item = _inputs(features.user_item, USER_ITEM, taken)
    user_category = _inputs(features.user_category, USER_CATEGORY, taken).withColumnRenamed(
        c.CATEGORY, c.LOOKUP_CATEGORY
    )
    store_item = _inputs(features.store_item, STORE_ITEM, taken).withColumnRenamed(c.STORE_ID, c.LOOKUP_STORE_ID)
    with_user = pairs.join(ids.users, on=c.USER_ID, how="left").join(
        _user_side(features, taken), on=[c.AS_OF_DATE, c.USER_ID], how="left"
    )
    joined = (
        _with_item(_with_told(with_user, items, ids, item_history), features, ids, taken)
        .join(user_item, on=[c.AS_OF_DATE, c.USER_ID, c.ITEM_ID], how="left")
        .join(user_category, on=[c.AS_OF_DATE, c.USER_ID, c.LOOKUP_CATEGORY], how="left")
        .join(store_item, on=[c.AS_OF_DATE, c.LOOKUP_STORE_ID, c.ITEM_ID], how="left")
    )
    return joined.select(*pairs.columns, *_model_inputs(joined.columns))


def assemble_users(
    users: DataFrame,
    features: FeatureTables,
    ids: Ids,
    taken: Sequence[Feature] = NUMERIC_INPUTS,
    *,
    beside: Sequence[str] = (),
) -> DataFrame:
    """As assemble, for rows of as_of_date and user_id: what is said of items has its default.

    `beside`: lookup_store_id, whose rows of features.store_item are the user's.
    """
    joined = users.join(ids.users, on=c.USER_ID, how="left").join(
        _user_side(features, taken), on=[c.AS_OF_DATE, c.USER_ID], how="left"
    )
    return joined.select(*users.columns, *beside, *_model_inputs(joined.columns))


def assemble_items(  # those of assemble
    wanted: DataFrame,
    features: FeatureTables,
    items: DataFrame,
    ids: Ids,
    taken: Sequence[Feature] = NUMERIC_INPUTS,
    *,
    beside: Sequence[str] = (),
) -> DataFrame:
    """As assemble, for rows of as_of_date and item_id: what is said of users has its default.

    `beside`: lookup_category, whose rows of features.user_category are the item's.
    """
    joined = _with_item(_with_told(wanted, items, ids), features, ids, taken)
    return joined.select(*wanted.columns, *beside, *_model_inputs(joined.columns))


def numbers_of(grain: Grain, taken: Sequence[Feature] = NUMERIC_INPUTS) -> list[Column]:
    """As in assemble, the inputs that rows of the grain's feature table say."""
    return [
        _number(feature, F.col(feature.name) if feature in taken else F.lit(None))
        for feature in NUMERIC_INPUTS
        if feature.grain == grain.name
    ]


def _user_side(features: FeatureTables, taken: Sequence[Feature]) -> DataFrame:
    """User features and, one row a user still, those of the context the user usually shops in."""
    lookup = {c.STORE_ID: c.USER_MAIN_STORE_ID, c.LOCAL_WEEKDAY: c.USER_USUAL_WEEKDAY, c.LOCAL_HOUR: c.USER_USUAL_HOUR}
    context = _inputs(features.context, CONTEXT, taken).withColumnsRenamed(lookup)
    users = features.user.select(
        c.AS_OF_DATE, *USER.key, *_input_names(USER, taken), c.USER_MAIN_STORE_ID, c.USER_USUAL_WEEKDAY
    )
    in_context = users.join(context, on=[c.AS_OF_DATE, *lookup.values()], how="left")
    return in_context.drop(c.USER_USUAL_WEEKDAY).withColumnRenamed(c.USER_MAIN_STORE_ID, c.LOOKUP_STORE_ID)


def _with_item(rows: DataFrame, features: FeatureTables, ids: Ids, taken: Sequence[Feature]) -> DataFrame:
    """Item inputs beside the rows; the category is that of the features, or the one told where the item has none."""
    with_item = rows.join(_item_side(features, taken), on=[c.AS_OF_DATE, c.ITEM_ID], how="left")
    category = F.when(F.col(_IS_SOLD), F.col(c.ITEM_CATEGORY)).otherwise(F.col(_CATEGORY_TOLD))
    categories = ids.categories.withColumnRenamed(c.CATEGORY, c.LOOKUP_CATEGORY)
    return with_item.withColumn(c.LOOKUP_CATEGORY, category).join(categories, on=c.LOOKUP_CATEGORY, how="left")


def _with_told(rows: DataFrame, items: DataFrame, ids: Ids, item_history: DataFrame | None = None) -> DataFrame:
    """The item's index and the category that it has now, or where a history is given had on the eve of the cut-off."""
    if item_history is None:
        return rows.join(_item_attributes(items, ids), on=c.ITEM_ID, how="left")
    history = item_history.withColumnRenamed(c.CATEGORY, _CATEGORY_TOLD)
    with_index = rows.join(ids.items, on=c.ITEM_ID, how="left")
    return with_values_on(with_index, day_before_cutoff(), history, c.ITEM_ID, _CATEGORY_TOLD)


def _item_attributes(items: DataFrame, ids: Ids) -> DataFrame:
    """Every item of either table: one without attributes still has its index."""
    return ids.items.join(items.select(c.ITEM_ID, F.col(c.CATEGORY).alias(_CATEGORY_TOLD)), on=c.ITEM_ID, how="full")


def _item_side(features: FeatureTables, taken: Sequence[Feature]) -> DataFrame:
    more = (F.col(c.ITEM_CATEGORY), F.lit(True).alias(_IS_SOLD))
    return features.item.select(c.AS_OF_DATE, *ITEM.key, *_input_names(ITEM, taken), *more)


def _input_names(grain: Grain, taken: Sequence[Feature]) -> list[str]:
    return [feature.name for feature in taken if feature.grain == grain.name]


def _inputs(rows: DataFrame, grain: Grain, taken: Sequence[Feature]) -> DataFrame:
    return rows.select(c.AS_OF_DATE, *grain.key, *_input_names(grain, taken))


def _model_inputs(found: Sequence[str]) -> list[Column]:
    def value(name: str) -> Column:
        return F.col(name) if name in found else F.lit(None)

    ids = [
        F.coalesce(value(name), F.lit(UNKNOWN_IDX)).cast("int").alias(name)
        for name in (c.USER_IDX, c.ITEM_IDX, c.CATEGORY_IDX)
    ]
    return [*ids, *(_number(feature, value(feature.name)) for feature in NUMERIC_INPUTS)]


def _number(feature: Feature, value: Column) -> Column:
    return F.coalesce(value.cast("float"), F.lit(feature.default).cast("float")).alias(feature.name)
