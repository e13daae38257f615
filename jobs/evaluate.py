"""Measures the newest model beside the baselines on the last label window, with paired intervals, into ops.metrics."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

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
from recsys.evaluation.lists import IS_NEW, NEW_ITEMS_ONLY, REPEATS_ALLOWED, is_new_item, owned_items
from recsys.evaluation.ranking import coverage, sums_by_replicate, user_hits
from recsys.evaluation.report import MODEL, MetricRow, figures_of, metric_rows, table_text
from recsys.frames.local_rows import local_rows
from recsys.lake.interaction_files import delete_vector_files
from recsys.scoring.top_n import top_n
from recsys.stages import Figures, Outcome, Run, Stage, newest_run_date, run_stage

RECOMMENDERS = (MODEL, *BASELINES)


def run(run: Run) -> Figures:
    settings, window, model = run.config.evaluation, test_window(run), newest_model(run)
    of_baselines = _baseline_lists(run, window).persist()
    asked = _asked_of_buyers(run, window, model) if model.ranks_all_items else None
    of_model = (
        _best_of_candidates(run, window, model) if asked is None else _best_of_all(run, window, asked, of_baselines)
    )
    lists = of_model.unionByName(of_baselines).persist()
    hits = user_hits(lists, window.truth, RECOMMENDERS, settings.seed)
    sums = sums_by_replicate(hits, RECOMMENDERS, k=settings.k, replicates=settings.bootstrap_samples)
    rows = metric_rows(
        _collected(sums),
        _collected(coverage(lists, window.truth, run.lake.read(tables.ITEMS))),
        _collected(recall_of_candidates(run, model, window, asked)),
        BASELINES,
        settings.k,
    )
    if not rows:
        raise InputError(f"nothing eligible was bought in the label window before {run.day}; choose another --run-date")
    _write(run, rows, model)
    for frame in (lists, of_baselines, window.truth, *([asked.users] if asked else [])):
        frame.unpersist()
    delete_vector_files(run.lake)
    return {c.ROWS: len(rows), **figures_of(rows), "candidates": candidates_text(model, run.config.candidates)}


def _best_of_candidates(run: Run, window: LabelWindow, model: Model) -> DataFrame:
    pairs = with_inputs(run, model, window.candidates, window.features, window.as_of).withColumn(IS_NEW, is_new_item())
    scored_pairs, k = scored(run, model, pairs).persist(), run.config.evaluation.k
    return _of_model(top_n(scored_pairs, k), top_n(scored_pairs.where(IS_NEW), k))


def _asked_of_buyers(run: Run, window: LabelWindow, model: Model) -> Asking:
    asked = asking(run, model, window.as_of)
    return replace(asked, users=asked.users.join(window.truth, on=c.USER_ID, how="left_semi").persist())


def _best_of_all(run: Run, window: LabelWindow, asked: Asking, of_baselines: DataFrame) -> DataFrame:
    """Users whom the model does not know get the popular list."""
    owned, k = owned_items(window.features.user_item), run.config.evaluation.k
    lists = (all_items_lists(run, asked, k), all_items_lists(run, asked, k, owned=owned))
    ranked = _of_model(*lists).persist()
    return with_popular(ranked, of_baselines, [c.LIST_KIND, c.USER_ID]).withColumn(c.RECOMMENDER, F.lit(MODEL))


def _of_model(repeats: DataFrame, new: DataFrame) -> DataFrame:
    kinds = {REPEATS_ALLOWED: repeats, NEW_ITEMS_ONLY: new}
    of_kind = [lists.withColumn(c.LIST_KIND, F.lit(kind)) for kind, lists in kinds.items()]
    columns = (c.LIST_KIND, c.RECOMMENDER, c.USER_ID, c.RANK, c.ITEM_ID)
    repeats, new = (lists.withColumn(c.RECOMMENDER, F.lit(MODEL)).select(*columns) for lists in of_kind)
    return repeats.unionByName(new)


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
    whole = [{**constant, **row, **(of_model if row[c.RECOMMENDER].startswith(MODEL) else {})} for row in rows]
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
    settings=("examples", "candidates", "train", "evaluation", "tracking"),
    run=run,
    inputs=model_inputs,
)

if __name__ == "__main__":
    sys.exit(run_program(STAGE.name, __doc__, lambda run: [run_stage(STAGE, run)], report=report))
