"""Measures the newest model, or several models fused, beside the baselines on the last label window, with paired
intervals, into ops.metrics. Beside fused lists stand those of each model alone."""

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs._diverse import diverse_lists, diversity_inputs, diversity_of, longer_by, vectors_loader
from jobs._fusion import fused_rows, fusion_inputs
from jobs._models import Model, model_columns, model_inputs, names_of, require_factors_model, served_models
from jobs._overwrite import of_day
from jobs._recommend import (
    Asking,
    all_items_lists,
    asking,
    reads_of,
    with_popular,
)
from jobs._rules import facts_loader
from jobs._window import LabelWindow, candidates_text, ranked_candidates, recall_of_candidates, test_window
from recsys import columns as c
from recsys import tables
from recsys.app import run_program, summary
from recsys.errors import InputError
from recsys.evaluation.baselines import BASELINES, baseline_lists, popular_ranks
from recsys.evaluation.list_quality import list_quality
from recsys.evaluation.lists import (
    LIST_KINDS,
    NEW_ITEMS_ONLY,
    REPEATS_ALLOWED,
    owned_items,
    with_cold_lists,
    with_cold_truth,
)
from recsys.evaluation.ranking import sums_by_replicate, user_hits
from recsys.evaluation.report import MODEL, MetricRow, figures_of, metric_rows, table_text
from recsys.frames.local_rows import local_rows
from recsys.lake.interaction_files import delete_vector_files
from recsys.scoring.diversity import Diversity
from recsys.scoring.item_facts import ItemFacts
from recsys.stages import Figures, Outcome, Run, Stage, newest_run_date, run_stage

DIVERSE = "diverse"


def run(run: Run) -> Figures:
    settings, models = run.config.evaluation, served_models(run)
    diversity = diversity_of(run, models)
    window = test_window(run)
    if window.truth.isEmpty():
        raise InputError(f"nothing eligible was bought in the label window before {run.day}; choose another --run-date")
    earlier = run.lake.read(tables.EVENTS).where(F.col(c.EVENT_TYPE) == c.PURCHASE)
    earlier = earlier.where(F.col(c.EVENT_DATE) < F.lit(window.as_of)).select(c.USER_ID, c.ITEM_ID)
    window = replace(window, truth=with_cold_truth(window.truth, earlier).persist())
    of_baselines = _baseline_lists(run, window).persist()
    named_by = [
        asked_of_buyers(run, window, model)
        if model.ranks_all_items
        else ranked_candidates(run, model, window).persist()
        for model in models
    ]
    of_models = _lists_of_models(run, window, models, named_by, of_baselines, diversity)
    both = of_models.unionByName(of_baselines).persist()
    lists = with_cold_lists(both, window.truth)
    beside = (*_alone(run), *([DIVERSE] if diversity else []), *BASELINES)
    recommenders = (MODEL, *beside)
    hits = user_hits(lists, window.truth, recommenders, settings.seed)
    sums = sums_by_replicate(hits, recommenders, k=settings.k, replicates=settings.bootstrap_samples)
    rows = metric_rows(
        _collected(sums),
        _collected(list_quality(_of_evaluated(lists, window), run.lake.read(tables.ITEMS))),
        _collected(recall_of_candidates(run, window, named_by)),
        beside,
        settings.k,
    )
    _write(run, rows, models)
    held = (one.users if isinstance(one, Asking) else one for one in named_by)
    for frame in (both, of_baselines, window.truth, *held):
        frame.unpersist()
    delete_vector_files(run.lake)
    told = {"candidates": candidates_text(run, models), "models": names_of(models)}
    return {c.ROWS: len(rows), **figures_of(rows), **told}


def _alone(run: Run) -> tuple[str, ...]:
    """Recommenders that stand beside fused lists: each model's own."""
    names = run.config.score.models
    return tuple(f"{MODEL}_{name}" for name in names) if len(names) > 1 else ()


def _lists_of_models(  # those of run
    run: Run,
    window: LabelWindow,
    models: Sequence[Model],
    named_by: Sequence[Asking | DataFrame],
    of_baselines: DataFrame,
    diversity: Diversity | None,
) -> DataFrame:
    """`named_by`: how each model that ranks all items is asked, of another one its ranked candidates.

    A user whom a model that ranks all items does not know, or no model that is fused, gets the popular list.
    """
    k, names = run.config.evaluation.k, _alone(run) or (MODEL,)
    is_cut = len(models) > 1 or diversity is not None
    ranked = [ranked_lists(run, window, one, longer_by(run) if is_cut else k) for one in named_by]
    asked = [one if isinstance(one, Asking) else None for one in named_by]
    fills = [of_baselines if one else None for one in asked]
    lists = [_best(rows, k, name, fill) for rows, name, fill in zip(ranked, names, fills, strict=True)]
    load_facts = facts_loader(run, window.as_of) if is_cut else None
    longer, fill = ranked[0], fills[0]
    if load_facts and len(models) > 1:
        longer, fill = _fused(run, ranked, load_facts), of_baselines
        lists.append(_best(longer, k, MODEL, fill))
    if load_facts and diversity is not None:
        diverse = _diverse(run, longer, diversity, load_facts, vectors_loader(models, asked))
        lists.append(_best(diverse, k, DIVERSE, fill))
    return functools.reduce(DataFrame.unionByName, lists)


def _best(ranked: DataFrame, k: int, recommender: str, of_baselines: DataFrame | None) -> DataFrame:
    """`of_baselines`: where those who have no list get the popular one."""
    best = ranked.where(F.col(c.RANK) <= k)
    filled = best if of_baselines is None else with_popular(best, of_baselines, [c.LIST_KIND, c.USER_ID])
    return filled.select(c.LIST_KIND, F.lit(recommender).alias(c.RECOMMENDER), c.USER_ID, c.RANK, c.ITEM_ID)


def ranked_lists(run: Run, window: LabelWindow, named_by: Asking | DataFrame, n: int) -> DataFrame:
    """list_kind, user_id, rank, item_id and score of the best `n` of each kind of list; `named_by`: how a model that
    ranks all items is asked, or the ranked candidates of another one."""
    owned = owned_items(window.features.user_item)
    if isinstance(named_by, Asking):
        repeats, new = all_items_lists(run, named_by, n), all_items_lists(run, named_by, n, owned=owned)
        return _of_kinds(repeats, new).persist()
    unowned = named_by.join(owned, on=[c.USER_ID, c.ITEM_ID], how="left_anti")
    best_first = Window.partitionBy(c.USER_ID).orderBy(c.RANK)
    new = unowned.withColumn(c.RANK, F.row_number().over(best_first)).where(F.col(c.RANK) <= n)
    return _of_kinds(named_by.where(F.col(c.RANK) <= n), new)


def asked_of_buyers(run: Run, window: LabelWindow, model: Model) -> Asking:
    asked = asking(run, model, window.as_of)
    return replace(asked, users=asked.users.join(window.truth, on=c.USER_ID, how="left_semi").persist())


def _fused(run: Run, ranked: Sequence[DataFrame], load_facts: Callable[[], ItemFacts]) -> DataFrame:
    """The columns of `ranked`, of each model longer lists, and as long ones."""
    k, length = run.config.evaluation.k, longer_by(run)
    of_kinds = [[rows.where(F.col(c.LIST_KIND) == kind) for rows in ranked] for kind in LIST_KINDS]
    return _of_kinds(*(fused_rows(run, of_models, load_facts, n=k, length=length) for of_models in of_kinds))


def _diverse(
    run: Run,
    longer: DataFrame,
    diversity: Diversity,
    load_facts: Callable[[], ItemFacts],
    load_ranker: Callable[[], Any] | None,
) -> DataFrame:
    of_kinds = (longer.where(F.col(c.LIST_KIND) == kind) for kind in LIST_KINDS)
    return _of_kinds(*(diverse_lists(run, rows, diversity, load_facts, load_ranker) for rows in of_kinds))


def _of_evaluated(lists: DataFrame, window: LabelWindow) -> DataFrame:
    """Of users with a truth of the kind."""
    evaluated = window.truth.select(c.LIST_KIND, c.USER_ID).distinct()
    return lists.join(evaluated, on=[c.LIST_KIND, c.USER_ID], how="left_semi")


def _of_kinds(repeats: DataFrame, new: DataFrame) -> DataFrame:
    kinds = {REPEATS_ALLOWED: repeats, NEW_ITEMS_ONLY: new}
    columns = (c.USER_ID, c.RANK, c.ITEM_ID, c.SCORE)
    repeats, new = (lists.select(F.lit(kind).alias(c.LIST_KIND), *columns) for kind, lists in kinds.items())
    return repeats.unionByName(new)


def _baseline_lists(run: Run, window: LabelWindow) -> DataFrame:
    settings, items = run.config.evaluation, run.lake.read(tables.ITEMS)
    ranks = popular_ranks(items, window.features.item, window_days=settings.popular_window_days)
    users = window.truth.select(c.USER_ID).distinct()
    return baseline_lists(users, window.features.user_item, ranks, settings.k)


def _collected(rows: DataFrame) -> list[MetricRow]:
    """A row for each list kind and recommender, or bootstrap replicate: never as many as users."""
    return [row.asDict() for row in rows.collect()]


def _write(run: Run, rows: Sequence[MetricRow], models: Sequence[Model]) -> None:
    constant = {c.RUN_DATE: run.day, c.SPLIT: c.TEST, c.RUN_ID: run.run_id}
    alone = {name: model_columns([model]) for name, model in zip(_alone(run), models, strict=False)}
    of_models = {MODEL: model_columns(models), DIVERSE: model_columns(models), **alone}
    whole = [{**constant, **row, **of_models.get(row[c.RECOMMENDER].partition("-")[0], {})} for row in rows]
    values = [tuple(row.get(name) for name in tables.METRICS.column_names) for row in whole]
    frame = local_rows(run.spark, values, tables.METRICS.schema).coalesce(1)
    run.lake.overwrite(tables.METRICS, frame, where=of_day(run))


def report(run: Run, outcomes: Sequence[Outcome]) -> str:
    run_date = run.run_date or newest_run_date(run.lake)
    rows = run.lake.read(tables.METRICS).where(F.col(c.RUN_DATE) == F.lit(run_date))
    return f"{table_text(_collected(rows))}\n\n{summary(run, outcomes)}"


STAGE = Stage(
    name="evaluate",
    reads=reads_of,
    writes=(tables.METRICS,),
    settings=("examples", "candidates", "train", "evaluation", "tracking"),
    run=run,
    check=require_factors_model,
    inputs=lambda run: (*model_inputs(run), *fusion_inputs(run), *diversity_inputs(run)),
)

if __name__ == "__main__":
    sys.exit(run_program(STAGE.name, __doc__, lambda run: [run_stage(STAGE, run)], report=report))
