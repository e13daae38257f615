"""The best candidates of every user by a network of features: what the executors are given, by user and by item."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs._candidate_sources import more_sources
from jobs._models import Model, factors_model
from jobs._recommend import asking, loader, longer_lists
from jobs._taken import ids_of, served_users
from recsys import columns as c
from recsys import tables
from recsys.catalog import (
    ITEM,
    NUMERIC_INPUTS,
    STORE_ITEM,
    USER_CATEGORY,
    USER_ITEM,
    Feature,
    numeric_inputs,
)
from recsys.examples.assemble import assemble_items, assemble_users, numbers_of
from recsys.examples.neighbourhoods import OF_ITEMS, OF_USERS, with_item_neighbours, with_user_neighbours
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.own_items import own_order
from recsys.lake.at_once import at_once
from recsys.lake.interaction_files import write_input_files
from recsys.lake.read_features import read_neighbours
from recsys.lake.told import told_by
from recsys.scoring.candidates import NEW_RANK, WEIGHT, neighbour_weights, new_ranks, with_seller_ranks
from recsys.scoring.catalogue import load_catalogue
from recsys.scoring.top_n import as_rows
from recsys.scoring.two_stage import ListSettings, best_candidates, user_columns
from recsys.scoring.user_rows import (
    CATEGORY_KIND,
    FACTORS_KIND,
    IS_SAMPLED,
    LEFT_OUT_KIND,
    OWN_KIND,
    USER_KIND,
    by_user,
    of_kind,
)
from recsys.stages import Run

_ITEMS, _STORE_ITEMS, _NEIGHBOURS = "items", "store_items", "neighbours"

Files = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CutOff:
    """A day, the features of that day alone, and who is asked about: rows with user_id."""

    as_of: date
    features: FeatureTables
    users: DataFrame


def of_run_date(run: Run) -> CutOff:
    """And all who are served."""
    return CutOff(as_of=run.day, features=run.features, users=served_users(run))


def lists_of_candidates(
    run: Run, model: Model, n: int, of: CutOff, *, excluded: DataFrame | None = None, sampled: Sequence[str] = ()
) -> DataFrame:
    """See best_candidates. `excluded`: user_id and item_id of what must not be named. `sampled`: a hundred users, or
    fewer, of whom all items are ranked too."""
    read, features = run.lake.read, of.features
    taken = numeric_inputs(told_by(run.lake))
    items = read(tables.ITEMS).where(c.IS_ELIGIBLE).join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    item_ids = items.select(c.ITEM_ID, c.ITEM_IDX)
    rows = [
        _user_rows(run, model, of, taken, sampled),
        _own_rows(features, item_ids, taken),
        _category_rows(features, taken),
    ]
    if excluded is not None:
        left_out = excluded.join(item_ids, on=c.ITEM_ID, how="inner")
        rows.append(of_kind(left_out, LEFT_OUT_KIND, F.array(c.ITEM_IDX)))
    listed = _factor_rows(run, of, excluded)
    if listed is not None:
        rows.append(listed)
    files = _item_files(run, model, of, items, taken)
    settings = ListSettings(
        n=n, exact_n=run.config.score.top_n, quotas=run.config.candidates, user_lists=_lists_of(model)
    )
    return best_candidates(
        by_user(functools.reduce(DataFrame.unionByName, rows), run.config.spark.shuffle_partitions),
        functools.partial(_load, loader(run, model, "load_pair_scorer"), *files),
        settings,
        block_pairs=run.config.score.batch_rows,
    )


def ranked_rows(lists: DataFrame) -> DataFrame:
    """A row for each item of the lists, with `rank` from 1."""
    return as_rows(lists, (c.ITEM_ID, c.SCORE, c.SOURCE, c.CONTRIBUTION), beside=[c.NUM_ITEMS])


def _user_rows(run: Run, model: Model, of: CutOff, taken: Sequence[Feature], sampled: Sequence[str]) -> DataFrame:
    users = of.users.select(c.USER_ID, F.lit(of.as_of).alias(c.AS_OF_DATE))
    rows = assemble_users(users, of.features, ids_of(run.lake), taken, beside=[c.LOOKUP_STORE_ID])
    if model.neighbours:
        drawn, _ = read_neighbours(run.lake, [of.as_of])
        rows = with_user_neighbours(rows, drawn, of.features.item, ids_of(run.lake), model.neighbours)
    rows = rows.withColumn(IS_SAMPLED, F.col(c.USER_ID).isin(list(sampled)).cast("int"))
    ints, floats = (_joined(names) for names in user_columns(_lists_of(model)))
    return of_kind(rows, USER_KIND, ints, floats, text=c.LOOKUP_STORE_ID)


def _own_rows(features: FeatureTables, item_ids: DataFrame, taken: Sequence[Feature]) -> DataFrame:
    place, recency = own_order()
    # Null comes first, as where Spark sorts.
    order = F.array(F.col(c.ITEM_IDX), place.cast("int"), F.coalesce(recency.cast("int"), F.lit(-(2**31))))
    own = features.user_item.join(item_ids, on=c.ITEM_ID, how="inner")
    return of_kind(own, OWN_KIND, order, F.array(*numbers_of(USER_ITEM, taken)))


def _category_rows(features: FeatureTables, taken: Sequence[Feature]) -> DataFrame:
    purchases = F.coalesce(F.col(c.USER_CATEGORY_PURCHASES_91D).cast("int"), F.lit(0))
    numbers = F.array(*numbers_of(USER_CATEGORY, taken))
    return of_kind(features.user_category, CATEGORY_KIND, F.array(purchases), numbers, text=c.CATEGORY)


def _factor_rows(run: Run, of: CutOff, excluded: DataFrame | None) -> DataFrame | None:
    """Best first, without what the user has seen or may not be shown; of users whom the model knows."""
    model = factors_model(run)
    if model is None:
        return None
    seen = of.features.user_item.select(c.USER_ID, c.ITEM_ID)
    if excluded is not None:
        seen = seen.unionByName(excluded.select(c.USER_ID, c.ITEM_ID))
    asked = asking(run, model, of.as_of)
    of_users = replace(asked, users=asked.users.join(of.users.select(c.USER_ID), on=c.USER_ID, how="left_semi"))
    quota = run.config.candidates.factor_items
    lists = longer_lists(run, of_users, quota, seen)
    missing = F.lit(quota) - F.size(c.ITEM_IDX)
    return of_kind(lists, FACTORS_KIND, F.concat(c.ITEM_IDX, F.array_repeat(F.lit(-1), missing)))


def _lists_of(model: Model) -> tuple[str, ...]:
    return OF_USERS if model.neighbours else ()


def _joined(names: Sequence[str]) -> Column:
    """One list of numbers, then of lists."""
    return F.concat(
        F.array(*(name for name in names if name not in OF_USERS)), *(F.col(n) for n in names if n in OF_USERS)
    )


def _item_files(run: Run, model: Model, of: CutOff, eligible: DataFrame, taken: Sequence[Feature]) -> list[Files]:
    """As load_catalogue takes them."""
    read, ids, features = run.lake.read, ids_of(run.lake), of.features
    wanted = eligible.select(c.ITEM_ID, F.lit(of.as_of).alias(c.AS_OF_DATE))
    rows = assemble_items(wanted, features, read(tables.ITEMS), ids, taken, beside=[c.LOOKUP_CATEGORY])
    names = [c.ITEM_ID, c.ITEM_IDX, c.CATEGORY_IDX, c.LOOKUP_CATEGORY, *_numbers(ITEM.name)]
    if model.neighbours:
        _, drawn = read_neighbours(run.lake, [of.as_of])
        rows, names = with_item_neighbours(rows, drawn, ids, model.neighbours), [*names, *OF_ITEMS]
    more = more_sources(run, [of.as_of])
    # Of the bare ids: what was joined to the items would be joined once more for the ranks.
    ranks = _with_new_ranks(with_seller_ranks(eligible.select(c.ITEM_ID), features.item), more.new)
    ranked = rows.select(*names).join(ranks, on=c.ITEM_ID, how="left")
    in_stores = features.store_item.join(ids.items, on=c.ITEM_ID, how="inner")
    stored = in_stores.select(c.STORE_ID, c.ITEM_IDX, *numbers_of(STORE_ITEM, taken))
    tables_of = {_ITEMS: ranked, _STORE_ITEMS: stored}
    if more.neighbours is not None:
        tables_of[_NEIGHBOURS] = _neighbour_rows(more.neighbours, eligible)
    written = [
        functools.partial(write_input_files, run.lake, of.as_of, f"{model.name}/{kind}", rows)
        for kind, rows in tables_of.items()
    ]
    return at_once(run.spark, written)


def _with_new_ranks(items: DataFrame, new: DataFrame | None) -> DataFrame:
    if new is None:
        return items.withColumn(NEW_RANK, F.lit(None).cast("int"))
    return items.join(new_ranks(new).select(c.ITEM_ID, NEW_RANK), on=c.ITEM_ID, how="left")


def _neighbour_rows(item_item: DataFrame, eligible: DataFrame) -> DataFrame:
    neighbours = eligible.select(F.col(c.ITEM_ID).alias(c.NEIGHBOUR_ID), F.col(c.ITEM_IDX).alias(c.NEIGHBOUR_IDX))
    weights = neighbour_weights(item_item).join(eligible, on=c.ITEM_ID, how="inner")
    return weights.join(neighbours, on=c.NEIGHBOUR_ID, how="inner").select(c.ITEM_IDX, c.NEIGHBOUR_IDX, WEIGHT)


def _numbers(*grains: str) -> list[str]:
    return [feature.name for feature in NUMERIC_INPUTS if feature.grain in grains]


def _load(load_scorer: Callable[[], Any], *files: Files) -> Any:
    """Runs on executors only."""
    scorer = load_scorer()
    return scorer, load_catalogue(scorer, *files)
