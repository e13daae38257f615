"""Measures the newest model beside the baselines on the last label window, with paired intervals, into ops.metrics."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._diverse import diverse_lists, diversity_of, fact_files, longer_by
from jobs._recommend import (
    Asking,
    LabelWindow,
    Model,
    all_items_lists,
    asking,
    candidates_text,
    model_inputs,
    newest_model,
    reads_of,
    recall_of_candidates,
    scored,
    test_window,
    with_inputs,
    with_popular,
)
from recsys import columns as c
from recsys import tables
from recsys.app import run_program, summary
from recsys.errors import InputError
from recsys.evaluation.baselines import BASELINES, baseline_lists, popular_ranks
from recsys.evaluation.list_quality import list_quality
from recsys.evaluation.lists import IS_NEW, NEW_ITEMS_ONLY, REPEATS_ALLOWED, is_new_item, owned_items
from recsys.evaluation.ranking import sums_by_replicate, user_hits
from recsys.evaluation.report import MODEL, MetricRow, figures_of, metric_rows, table_text
from recsys.frames.local_rows import local_rows
from recsys.lake.interaction_files import delete_vector_files
from recsys.scoring.diversity import Diversity
from recsys.scoring.top_n import top_n
from recsys.stages import Figures, Outcome, Run, Stage, newest_run_date, run_stage

DIVERSE = "diverse"


def run(run: Run) -> Figures:
    model = newest_model(run)
    diversity = diversity_of(run, model)
    settings, window = run.config.evaluation, test_window(run)
    of_baselines = _baseline_lists(run, window).persist()
    asked = asked_of_buyers(run, window, model) if model.ranks_all_items else None
    others = BASELINES if diversity is None else (DIVERSE, *BASELINES)
    longer = longer_lists(run, window, model, asked, settings.k if diversity is None else longer_by(run))
    of_model = _lists_of_model(run, window, longer, diversity, asked)
    if asked is not None:
        of_model = {name: _with_popular(name, ranked, of_baselines) for name, ranked in of_model.items()}
    lists = reduce(DataFrame.unionByName, [*of_model.values(), of_baselines]).persist()
    names = (MODEL, *others)
    hits = user_hits(lists, window.truth, names, settings.seed)
    sums = sums_by_replicate(hits, names, k=settings.k, replicates=settings.bootstrap_samples)
    rows = metric_rows(
        _collected(sums),
        _collected(list_quality(_of_evaluated(lists, window), run.lake.read(tables.ITEMS))),
        _collected(recall_of_candidates(run, model, window, asked)),
        others,
        settings.k,
    )
    if not rows:
        raise InputError(f"nothing eligible was bought in the label window before {run.day}; choose another --run-date")
    _write(run, rows, model)
    for frame in (lists, of_baselines, window.truth, *([asked.users] if asked else [])):
        frame.unpersist()
    delete_vector_files(run.lake)
    return {c.ROWS: len(rows), **figures_of(rows), "candidates": candidates_text(model, run.config.candidates)}


def longer_lists(run: Run, window: LabelWindow, model: Model, asked: Asking | None, n: int) -> Mapping[str, DataFrame]:
    """By list kind the model's `n` best: rows of user_id, rank, item_id and score."""
    if asked is None:
        pairs = with_inputs(run, model, window.candidates, window.features, window.as_of)
        scored_pairs = scored(run, model, pairs.withColumn(IS_NEW, is_new_item())).persist()
        return {REPEATS_ALLOWED: top_n(scored_pairs, n), NEW_ITEMS_ONLY: top_n(scored_pairs.where(IS_NEW), n)}
    owned = owned_items(window.features.user_item)
    lists = {REPEATS_ALLOWED: None, NEW_ITEMS_ONLY: owned}
    return {kind: all_items_lists(run, asked, n, owned=left_out).persist() for kind, left_out in lists.items()}


def asked_of_buyers(run: Run, window: LabelWindow, model: Model) -> Asking:
    asked = asking(run, model, window.as_of)
    return replace(asked, users=asked.users.join(window.truth, on=c.USER_ID, how="left_semi").persist())


def _lists_of_model(
    run: Run, window: LabelWindow, longer: Mapping[str, DataFrame], diversity: Diversity | None, asked: Asking | None
) -> Mapping[str, DataFrame]:
    """By recommender: the model as it ranks and, where lists are published diverse, as they are published."""
    k = run.config.evaluation.k
    of_model = {MODEL: named(MODEL, {kind: rows.where(F.col(c.RANK) <= k) for kind, rows in longer.items()})}
    if diversity is None:
        return of_model
    files, load = fact_files(run, window), asked.load if asked else None
    diverse = {kind: diverse_lists(run, rows, diversity, files, load) for kind, rows in longer.items()}
    return {**of_model, DIVERSE: named(DIVERSE, diverse)}


def named(recommender: str, of_kinds: Mapping[str, DataFrame]) -> DataFrame:
    columns = (c.LIST_KIND, c.RECOMMENDER, c.USER_ID, c.RANK, c.ITEM_ID)
    named = (
        rows.withColumns({c.LIST_KIND: F.lit(kind), c.RECOMMENDER: F.lit(recommender)}).select(*columns)
        for kind, rows in of_kinds.items()
    )
    return reduce(DataFrame.unionByName, named)


def _with_popular(recommender: str, ranked: DataFrame, of_baselines: DataFrame) -> DataFrame:
    """Users whom the model does not know get the popular list."""
    kept = ranked.persist()
    return with_popular(kept, of_baselines, [c.LIST_KIND, c.USER_ID]).withColumn(c.RECOMMENDER, F.lit(recommender))


def _of_evaluated(lists: DataFrame, window: LabelWindow) -> DataFrame:
    """Of users with a truth of the kind."""
    evaluated = window.truth.select(c.LIST_KIND, c.USER_ID).distinct()
    return lists.join(evaluated, on=[c.LIST_KIND, c.USER_ID], how="left_semi")


def _baseline_lists(run: Run, window: LabelWindow) -> DataFrame:
    settings, items = run.config.evaluation, run.lake.read(tables.ITEMS)
    ranks = popular_ranks(items, window.features.item, window_days=settings.popular_window_days)
    users = window.truth.select(c.USER_ID).distinct()
    return baseline_lists(users, window.features.user_item, ranks, settings.k)


def _collected(rows: DataFrame) -> list[MetricRow]:
    """A row for each list kind and recommender, or bootstrap replicate: never as many as users."""
    return [row.asDict() for row in rows.collect()]


def _write(run: Run, rows: Sequence[MetricRow], model: Model) -> None:
    constant = {c.RUN_DATE: run.day, c.SPLIT: c.TEST, c.RUN_ID: run.run_id}
    of_model = {c.MODEL_NAME: model.name, c.MODEL_VERSION: model.version}
    whole = [
        {**constant, **row, **(of_model if row[c.RECOMMENDER].startswith((MODEL, DIVERSE)) else {})} for row in rows
    ]
    values = [tuple(row.get(name) for name in tables.METRICS.column_names) for row in whole]
    frame = local_rows(run.spark, values, tables.METRICS.schema).coalesce(1)
    run.lake.overwrite(tables.METRICS, frame, where=f"{c.RUN_DATE} = DATE'{run.day.isoformat()}'")


def report(run: Run, outcomes: Sequence[Outcome]) -> str:
    run_date = run.run_date or newest_run_date(run.lake)
    rows = run.lake.read(tables.METRICS).where(F.col(c.RUN_DATE) == F.lit(run_date))
    return f"{table_text(_collected(rows))}\n\n{summary(run, outcomes)}"


STAGE = Stage(
    name="evaluate",
    reads=reads_of,
    writes=(tables.METRICS,),
    settings=("examples", "candidates", "train", "evaluation", "score", "tracking"),
    run=run,
    inputs=model_inputs,
)

if __name__ == "__main__":
    sys.exit(run_program(STAGE.name, __doc__, lambda run: [run_stage(STAGE, run)], report=report))
