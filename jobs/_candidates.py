"""The best candidates of every user by a network of features: what the executors are given, by user and by item."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._models import Model
from jobs._recommend import loader
from jobs._taken import ids_of
from recsys import columns as c
from recsys import tables
from recsys.catalog import (
    CONTEXT,
    ITEM,
    NUMERIC_INPUTS,
    STORE_ITEM,
    USER,
    USER_CATEGORY,
    USER_ITEM,
    Feature,
    numeric_inputs,
)
from recsys.examples.assemble import assemble_items, assemble_users, numbers_of
from recsys.examples.neighbourhoods import OF_ITEMS, OF_USERS, with_item_neighbours, with_user_neighbours
from recsys.frames.feature_tables import FeatureTables
from recsys.lake.interaction_files import write_input_files
from recsys.lake.read_features import read_features, read_neighbours
from recsys.lake.told import told_by
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.candidates import candidate_lists
from recsys.scoring.top_n import as_rows
from recsys.scoring.two_stage import CATEGORY_ROWS, best_candidates, load_catalogue
from recsys.stages import Run

_ITEMS, _STORE_ITEMS = "items", "store_items"


def lists_of_candidates(run: Run, model: Model, n: int, excluded: DataFrame | None = None) -> DataFrame:
    """See best_candidates. `excluded`: user_id and item_id of what must not be named."""
    read, features = run.lake.read, read_features(run.lake, [run.day])
    taken = numeric_inputs(told_by(run.lake))
    items = read(tables.ITEMS).join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    lists = candidate_lists(
        features,
        items,
        read(tables.USERS),
        run.config.candidates,
        named_by=c.ITEM_IDX,
        own_columns=numbers_of(USER_ITEM, taken),
    )
    key = [c.AS_OF_DATE, c.USER_ID]
    rows = lists.join(_user_rows(run, model, features, taken), on=key, how="inner").join(
        _category_rows(features, taken), on=key, how="left"
    )
    files = _item_files(run, model, features, items.where(c.IS_ELIGIBLE), taken)
    users = rows if excluded is None else rows.join(_left_out(items, excluded), on=c.USER_ID, how="left")
    load = functools.partial(_load, loader(run, model, "load_pair_scorer"), *files)
    return best_candidates(users, load, n, run.config.score.batch_rows)


def ranked_rows(lists: DataFrame) -> DataFrame:
    """A row for each item of the lists, with `rank` from 1."""
    return as_rows(lists, (c.ITEM_ID, c.SCORE, c.SOURCE), beside=[c.NUM_ITEMS])


def _user_rows(run: Run, model: Model, features: FeatureTables, taken: Sequence[Feature]) -> DataFrame:
    users = run.lake.read(tables.USERS).select(c.USER_ID, F.lit(run.day).alias(c.AS_OF_DATE))
    rows = assemble_users(users, features, ids_of(run.lake), taken, beside=[c.LOOKUP_STORE_ID])
    names = [c.AS_OF_DATE, c.USER_ID, c.USER_IDX, c.LOOKUP_STORE_ID, *_numbers(USER.name, CONTEXT.name)]
    if not model.neighbours:
        return rows.select(*names)
    drawn, _ = read_neighbours(run.lake, [run.day])
    listed = with_user_neighbours(rows, drawn, features.item, ids_of(run.lake), model.neighbours)
    return listed.select(*names, *OF_USERS)


def _category_rows(features: FeatureTables, taken: Sequence[Feature]) -> DataFrame:
    row = F.struct(c.CATEGORY, *numbers_of(USER_CATEGORY, taken))
    return features.user_category.groupBy(c.AS_OF_DATE, c.USER_ID).agg(F.collect_list(row).alias(CATEGORY_ROWS))


def _item_files(
    run: Run, model: Model, features: FeatureTables, eligible: DataFrame, taken: Sequence[Feature]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    read, ids = run.lake.read, ids_of(run.lake)
    wanted = eligible.select(c.ITEM_ID, F.lit(run.day).alias(c.AS_OF_DATE))
    rows = assemble_items(wanted, features, read(tables.ITEMS), ids, taken, beside=[c.LOOKUP_CATEGORY])
    names = [c.ITEM_ID, c.ITEM_IDX, c.CATEGORY_IDX, c.LOOKUP_CATEGORY, *_numbers(ITEM.name)]
    if model.neighbours:
        _, drawn = read_neighbours(run.lake, [run.day])
        rows, names = with_item_neighbours(rows, drawn, ids, model.neighbours), [*names, *OF_ITEMS]
    in_stores = features.store_item.join(ids.items, on=c.ITEM_ID, how="inner")
    stored = in_stores.select(c.STORE_ID, c.ITEM_IDX, *numbers_of(STORE_ITEM, taken))
    return (
        write_input_files(run.lake, run.day, f"{model.name}/{_ITEMS}", rows.select(*names)),
        write_input_files(run.lake, run.day, f"{model.name}/{_STORE_ITEMS}", stored),
    )


def _left_out(items: DataFrame, excluded: DataFrame) -> DataFrame:
    indexed = excluded.join(items.select(c.ITEM_ID, c.ITEM_IDX), on=c.ITEM_ID, how="inner")
    return indexed.groupBy(c.USER_ID).agg(F.collect_set(c.ITEM_IDX).alias(LEFT_OUT))


def _numbers(*grains: str) -> list[str]:
    return [feature.name for feature in NUMERIC_INPUTS if feature.grain in grains]


def _load(load_scorer: Callable[[], Any], items: tuple[str, ...], store_items: tuple[str, ...]) -> Any:
    """Runs on executors only."""
    scorer = load_scorer()
    return scorer, load_catalogue(scorer, items, store_items)
