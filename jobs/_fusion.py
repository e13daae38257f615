"""The lists of several models made one, as score.models and score.fusion say."""

import functools
from collections.abc import Callable, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.scoring.fusion import MEMBER, Fusion, fused
from recsys.scoring.item_facts import Indexes, ItemFacts
from recsys.scoring.top_n import as_lists, as_rows
from recsys.stages import Run


def fusion_of(run: Run) -> Fusion:
    settings = run.config.score
    return Fusion(method=settings.fusion, models=settings.models, weights=settings.fusion_weights)


def fusion_inputs(run: Run) -> tuple[str, ...]:
    """What fused lists depend on, for a stage that does not depend on all settings of score."""
    settings = run.config.score
    if len(settings.models) < 2:
        return ()
    return settings.fusion, str(sorted(settings.fusion_weights.items())), str(settings.rank_depth)


def by_member(of_models: Sequence[DataFrame]) -> DataFrame:
    """Lists of each model in the order of score.models, with user_id, and lists of item_idx and score; other columns
    stay where all have them."""
    numbered = [lists.withColumn(MEMBER, F.lit(number)) for number, lists in enumerate(of_models)]
    shared = [name for name in numbered[0].columns if all(name in lists.columns for lists in numbered)]
    return functools.reduce(DataFrame.unionByName, (lists.select(*shared) for lists in numbered))


def fused_lists(
    run: Run, of_members: DataFrame, load_facts: Callable[[], ItemFacts], *, n: int, length: int
) -> DataFrame:
    """See fused; `of_members` as by_member gives them."""
    return fused(of_members, fusion_of(run), functools.partial(_id_order, load_facts), n=n, length=length)


def fused_rows(
    run: Run, of_models: Sequence[DataFrame], load_facts: Callable[[], ItemFacts], *, n: int, length: int
) -> DataFrame:
    """The same for rows: user_id, rank from 1, item_id and score of each model, and of the fused lists."""
    ids = run.lake.read(tables.ITEM_IDS)
    lists = [as_lists(rows.join(ids, on=c.ITEM_ID, how="inner")) for rows in of_models]
    best = fused_lists(run, by_member(lists), load_facts, n=n, length=length)
    return as_rows(best, (c.ITEM_IDX, c.SCORE)).join(ids, on=c.ITEM_IDX, how="inner").drop(c.ITEM_IDX)


def _id_order(load_facts: Callable[[], ItemFacts]) -> Indexes:
    return load_facts().id_order
