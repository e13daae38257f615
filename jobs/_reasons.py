"""Reasons of the lists that are published: what their scores owe to what the users did, and the sentences."""

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._models import Model
from jobs._recommend import Asking
from recsys import columns as c
from recsys import tables
from recsys.families import HISTORIES
from recsys.frames.best import first_of_each
from recsys.frames.feature_tables import FeatureTables
from recsys.scoring.all_items import ASKED
from recsys.scoring.evidence import TAKEN, TAKEN_IDX, evidence_of
from recsys.scoring.reasons import BOUGHT, with_reasons
from recsys.scoring.reasons import TAKEN as TAKEN_KIND
from recsys.scoring.top_n import ALL
from recsys.stages import Run

# Items that a sentence names.
_NAMED = 2
_PAIR = (c.USER_ID, c.ITEM_ID)
_OWN = "array<struct<kind:string,id:string,name:string,contribution:double>>"


def with_reasons_of(
    run: Run,
    models: Sequence[Model],
    best: DataFrame,
    asked: Sequence[Asking | None],
    *,
    features: FeatureTables,
) -> DataFrame:
    """`best` with reason, evidence and sentences. `asked`: of each model, None for one that ranks candidates, whose
    rows tell their contribution; `features`: of the run date, of the users of `best` at least.

    Of fused lists nothing is told: what one model's score owes to an item is no part of the fused one, which ranks or
    the other items of the list make.
    """
    rows, nothing = _with_facts(best, features), F.lit(None)
    no_evidence, no_contribution = nothing.cast(_OWN), nothing.cast("double")
    if len(models) > 1:
        return with_reasons(rows.withColumns({c.OWN_EVIDENCE: no_evidence, c.CONTRIBUTION: no_contribution}))
    if asked[0] is None:
        return with_reasons(rows.withColumn(c.OWN_EVIDENCE, no_evidence))
    owed = _own_evidence(run, models[0], best, asked[0], features)
    return with_reasons(rows.withColumn(c.CONTRIBUTION, no_contribution).join(owed, on=list(_PAIR), how="left"))


def features_of_few(features: FeatureTables, users: DataFrame) -> FeatureTables:
    """With rows of these users alone where there are many a user; those are in memory."""
    user_item, user_category = (
        rows.join(users.select(c.USER_ID), on=c.USER_ID, how="left_semi").persist()
        for rows in (features.user_item, features.user_category)
    )
    return replace(features, user_item=user_item, user_category=user_category)


def _with_facts(best: DataFrame, features: FeatureTables) -> DataFrame:
    bought = features.user_item.select(*_PAIR, F.col(c.USER_ITEM_PURCHASES_365D).alias(c.PURCHASES))
    items = features.item.select(
        c.ITEM_ID, F.col(c.ITEM_CATEGORY).alias(c.CATEGORY), F.col(c.ITEM_BUYERS_28D).alias(c.BUYERS)
    )
    of_category = features.user_category.select(
        c.USER_ID, c.CATEGORY, F.col(c.USER_CATEGORY_PURCHASES_91D).alias(c.CATEGORY_PURCHASES)
    )
    with_items = best.join(bought, on=list(_PAIR), how="left").join(items, on=c.ITEM_ID, how="left")
    return with_items.join(of_category, on=[c.USER_ID, c.CATEGORY], how="left")


def _own_evidence(run: Run, model: Model, best: DataFrame, asked: Asking, features: FeatureTables) -> DataFrame:
    read = run.lake.read
    ids = read(tables.ITEM_IDS)
    listed = best.where(F.col(c.SOURCE) == ALL).join(ids, on=c.ITEM_ID, how="inner")
    lists = listed.groupBy(c.USER_ID).agg(F.sort_array(F.collect_list(c.ITEM_IDX)).alias(c.ITEM_IDX))
    found = evidence_of(_with_taken(run, model, lists, asked, features), asked.load, _NAMED)
    names = read(tables.ITEMS).join(ids, on=c.ITEM_ID, how="inner").select(
        F.col(c.ITEM_IDX).alias(TAKEN_IDX), F.col(c.ITEM_ID).alias("id"), F.coalesce(c.NAME, c.ITEM_ID).alias(c.NAME)
    )  # fmt: skip
    is_bought = model.family != HISTORIES or model.history_events == (c.PURCHASE,)
    kind = F.lit(BOUGHT if is_bought else TAKEN_KIND).alias("kind")
    entry = F.struct(c.RANK, kind, "id", c.NAME, c.CONTRIBUTION)
    sorted_entries = F.array_sort(F.collect_list(entry))
    grouped = found.join(names, on=TAKEN_IDX, how="inner").groupBy(c.USER_ID, c.ITEM_IDX).agg(
        F.transform(sorted_entries, lambda one: F.struct(one["kind"].alias("kind"), one["id"].alias("id"),
                    one[c.NAME].alias(c.NAME), one[c.CONTRIBUTION].alias(c.CONTRIBUTION))).alias(c.OWN_EVIDENCE)
    )  # fmt: skip
    return grouped.join(ids, on=c.ITEM_IDX, how="inner").select(*_PAIR, c.OWN_EVIDENCE)


def _with_taken(run: Run, model: Model, lists: DataFrame, asked: Asking, features: FeatureTables) -> DataFrame:
    """With what the model is asked with, and the items that it may be asked without: the newest of a history, else
    those that the user bought most often."""
    most, whole = run.config.score.reason_history, lists.join(asked.users, on=c.USER_ID, how="inner")
    if model.family == HISTORIES:
        newest = F.array_distinct(F.reverse(F.filter(F.col(ASKED), lambda item: item > 0)))
        taken = F.transform(F.slice(newest, 1, most), lambda item: (item - 1).cast("int"))
        return whole.withColumn(TAKEN, taken)
    own = features.user_item.where(F.col(c.USER_ITEM_PURCHASES_365D) > 0)
    order = (F.desc(c.USER_ITEM_PURCHASES_365D), F.asc(c.USER_ITEM_RECENCY_DAYS), F.asc(c.ITEM_ID))
    best = first_of_each(own, most, (c.USER_ID,), order).join(run.lake.read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    taken_lists = best.groupBy(c.USER_ID).agg(F.sort_array(F.collect_list(c.ITEM_IDX)).alias(TAKEN))
    return whole.join(taken_lists, on=c.USER_ID, how="left")
