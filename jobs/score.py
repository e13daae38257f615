"""Ranks the candidates of every user with the newest model, checks the lists and publishes them in recs.top_n."""

import sys
import time
from dataclasses import replace

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from jobs._candidates import lists_of_candidates, ranked_rows
from jobs._day_rules import optional_inputs, optional_reads
from jobs._publishing import of_run, publish
from jobs._reasons import with_reasons_of
from jobs._recommend import (
    Asking,
    Model,
    all_items_lists,
    asking,
    candidates_text,
    longer_lists,
    model_inputs,
    newest_model,
    reads_of,
    recall_of_candidates,
    test_window,
    with_popular,
)
from jobs._rules import Shaping, audit, depth, hidden, shaped, shaping_of
from recsys import columns as c
from recsys import tables
from recsys.app import main
from recsys.evaluation.baselines import POPULAR, baseline_lists, popular_ranks
from recsys.evaluation.list_quality import list_quality
from recsys.evaluation.lists import REPEATS_ALLOWED
from recsys.lake.interaction_files import delete_vector_files
from recsys.lake.read_features import read_features
from recsys.lake.runs import newest_figures
from recsys.scoring.checks import require_publishable
from recsys.scoring.top_n import ALL
from recsys.stages import Figures, Run, Stage

PUBLISHED = "published"


def run(run: Run) -> Figures:
    started = time.monotonic()
    items, served = run.lake.read(tables.ITEMS), _served(run)
    n = run.config.score.top_n
    counted = Observation("scored")
    model = newest_model(run)
    shaping = shaping_of(run, model)
    asked = _asked(run, model, served) if model.ranks_all_items else None
    if shaping.is_plain:
        best = _best_of_candidates(run, model, counted) if asked is None else _best_of_all(run, asked, counted)
        best = best.withColumns({c.RULES: F.array().cast("array<string>"), c.RANK_BEFORE_RULES: F.col(c.RANK)})
    elif asked is None:
        best = _shaped_candidates(run, model, shaping, counted)
    else:
        best = _shaped_of_all(run, asked, shaping, counted)
    best = best.persist()
    lists = _published(run, model, with_reasons_of(run, model, best, asked)).persist()
    require_publishable(lists, items, served, n, hidden=hidden(run, shaping), excluded=shaping.excluded)
    seconds = time.monotonic() - started
    publish(run, lists)
    written = lists.agg(F.count("*").alias("rows"), F.count_distinct(c.USER_ID), F.count_distinct(c.ITEM_ID)).first()
    assert written is not None, "an aggregate without groups has one row"
    quality = _quality(lists, items)
    if shaping.rules:
        run.lake.overwrite(tables.RULE_AUDIT, audit(run, best, shaping.rules), where=of_run(run))
    for frame in (lists, best):
        frame.unpersist()
    pairs, candidate_recall = int(counted.get["pairs"]), _candidate_recall(run, model)
    delete_vector_files(run.lake)
    return {
        **dict(zip((c.ROWS, "users", "items"), written, strict=True)),
        "candidate_recall": candidate_recall,
        **quality,
        "pairs": pairs,
        "pairs_per_s": round(pairs / seconds),
    }


def _quality(lists: DataFrame, items: DataFrame) -> Figures:
    one_kind = lists.withColumns({c.LIST_KIND: F.lit(REPEATS_ALLOWED), c.RECOMMENDER: F.lit(PUBLISHED)})
    return {row[c.METRIC]: row[c.VALUE] for row in list_quality(one_kind, items).collect()}


def _best_of_candidates(run: Run, model: Model, counted: Observation) -> DataFrame:
    lists = lists_of_candidates(run, model, run.config.score.top_n)
    return ranked_rows(lists.observe(counted, _num_pairs(F.col(c.NUM_ITEMS)))).drop(c.NUM_ITEMS)


def _best_of_all(run: Run, asked: Asking, counted: Observation) -> DataFrame:
    """Users whom the model does not know get the popular list, scored by 1 / rank."""
    n, items, features = run.config.score.top_n, run.lake.read(tables.ITEMS), read_features(run.lake, [run.day])
    users = _served(run).select(c.USER_ID)
    of_user = F.when(F.col(c.RANK) == 1, F.col(c.NUM_ITEMS))
    best = all_items_lists(run, asked, n).observe(counted, _num_pairs(of_user))
    ranked = best.withColumn(c.SOURCE, F.lit(ALL)).persist()
    ranks = popular_ranks(items, features.item, window_days=28)
    unknown = users.join(ranked, on=c.USER_ID, how="left_anti")
    lists = baseline_lists(unknown, features.user_item, ranks, n).where(F.col(c.LIST_KIND) == REPEATS_ALLOWED)
    popular = lists.withColumns({c.SCORE: 1 / F.col(c.RANK), c.SOURCE: F.lit(POPULAR)})
    return with_popular(ranked, popular, [c.USER_ID])


def _shaped_candidates(run: Run, model: Model, shaping: Shaping, counted: Observation) -> DataFrame:
    lists = lists_of_candidates(run, model, depth(run), shaping.excluded)
    counted_lists = lists.observe(counted, _num_pairs(F.col(c.NUM_ITEMS)))
    return shaped(run, shaping, counted_lists.select(c.USER_ID, c.ITEM_IDX, c.SCORE, c.SOURCE), _served(run))


def _shaped_of_all(run: Run, asked: Asking, shaping: Shaping, counted: Observation) -> DataFrame:
    users = _served(run)
    best = longer_lists(run, asked, depth(run), shaping.excluded)
    counted_best = best.observe(counted, _num_pairs(F.col(c.NUM_ITEMS)))
    source = F.transform(c.ITEM_IDX, lambda _: F.lit(ALL)).alias(c.SOURCE)
    lists = counted_best.select(c.USER_ID, c.ITEM_IDX, c.SCORE, source)
    return shaped(run, shaping, lists, users, asked.load if shaping.is_by_vectors else None)


def _num_pairs(of_user: Column) -> Column:
    return F.coalesce(F.sum(of_user), F.lit(0)).alias("pairs")


def _asked(run: Run, model: Model, users: DataFrame) -> Asking:
    asked = asking(run, model, run.day)
    return replace(asked, users=asked.users.join(users.select(c.USER_ID), on=c.USER_ID, how="left_semi"))


def _served(run: Run) -> DataFrame:
    return run.lake.read(tables.USERS).where(~F.col(c.IS_OPTED_OUT))


def _published(run: Run, model: Model, best: DataFrame) -> DataFrame:
    constants = {
        c.RUN_DATE: F.lit(run.day),
        c.SCENE: F.lit(run.config.score.scene),
        c.MODEL_NAME: F.lit(model.name),
        c.MODEL_VERSION: F.lit(model.version),
        c.RUN_ID: F.lit(run.run_id),
    }
    return best.withColumns(constants).select(*tables.TOP_N.column_names)


def _candidate_recall(run: Run, model: Model) -> float | None:
    """Of the last evaluation where it had these quotas, else measured now; None where nobody bought anything."""
    last = newest_figures(run.lake, "evaluate", run.day)
    if last is not None and last["candidates"] == candidates_text(model, run.config.candidates):
        return float(last["candidate_recall"])
    window = test_window(run)
    found = recall_of_candidates(run, model, window).where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).first()
    window.truth.unpersist()
    return None if found is None else float(found[c.VALUE])


STAGE = Stage(
    name="score",
    reads=lambda run: (*reads_of(run), *optional_reads(run)),
    # Not ops.publishing: what it says of lists that failed has to stay.
    writes=(tables.TOP_N, tables.RULE_AUDIT),
    settings=("examples", "candidates", "train", "score", "publishing", "tracking"),
    run=run,
    inputs=lambda run: (*model_inputs(run), *optional_inputs(run)),
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
