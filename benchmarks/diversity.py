"""What diversity costs: lists of the newest model of a lake, re-ranked with rising weights, on the last label window.

Usage: python -m benchmarks.diversity --lake build/lake [--config FILE] [--by category] [--weights 0.1,0.3,0.5,0.7,0.9]

The lake is one that jobs/run_pipeline.py has made. For each method and weight: NDCG of the diverse lists beside that of
the lists as the model ranks them, with the paired interval of the difference; intra-list diversity beside theirs;
coverage and Gini of the places of items.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from benchmarks.report import emit
from jobs._diverse import diverse_lists, longer_by
from jobs._models import newest_model
from jobs._rules import facts_loader
from jobs._window import LabelWindow, ranked_candidates, test_window
from jobs.evaluate import DIVERSE, asked_of_buyers, ranked_lists
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.evaluation.list_quality import GINI, LIST_METRICS, list_quality
from recsys.evaluation.lists import REPEATS_ALLOWED
from recsys.evaluation.ranking import REPLICATE, sums_by_replicate, user_hits
from recsys.evaluation.report import MODEL, recommender_rows
from recsys.lake.interaction_files import delete_vector_files
from recsys.lake.session import build_session
from recsys.lake.store import Lake
from recsys.scoring.diversity import METHODS, Diversity
from recsys.stages import Run, newest_run_date

WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)


def measured(run: Run, window: LabelWindow, lists: DataFrame) -> tuple[dict[str, dict[str, float]], tuple[float, ...]]:
    """By recommender and metric; and the difference in NDCG with its interval. `lists`: of MODEL and DIVERSE."""
    settings, names = run.config.evaluation, (MODEL, DIVERSE)
    truth = window.truth.where(f"{c.LIST_KIND} = '{REPEATS_ALLOWED}'")
    hits = user_hits(lists, truth, names, settings.seed)
    sums = sums_by_replicate(hits, names, k=settings.k, replicates=settings.bootstrap_samples).collect()
    ordered = [row.asDict() for row in sorted(sums, key=lambda row: int(row[REPLICATE]))]
    values: dict[str, dict[str, float]] = {name: {} for name in names}
    difference: tuple[float, ...] = ()
    for row in recommender_rows(ordered, names, settings.k):
        if row[c.METRIC] == "ndcg" and row[c.RECOMMENDER] in values:
            values[row[c.RECOMMENDER]]["ndcg"] = row[c.VALUE]
        elif row[c.METRIC] == "ndcg":
            difference = (-row[c.VALUE], -row[c.HIGH], -row[c.LOW])
    evaluated = lists.join(truth.select(c.USER_ID).distinct(), on=c.USER_ID, how="left_semi")
    for told in list_quality(evaluated, run.lake.read(tables.ITEMS)).collect():
        values[told[c.RECOMMENDER]][told[c.METRIC]] = told[c.VALUE]
    return values, difference


def report(name: str, values: dict[str, dict[str, float]], difference: Sequence[float]) -> None:
    change, low, high = difference
    sys.stderr.write(f"{name}: NDCG {change:+.4f} [{low:+.4f}, {high:+.4f}]\n")
    for metric in ("ndcg", *LIST_METRICS):
        emit(
            "diversity",
            f"{name}, {metric}",
            values[DIVERSE][metric],
            "",
            peer="as the model ranks",
            peer_value=values[MODEL][metric],
            digits=4,
            is_higher_better=metric != GINI,
        )


def curve(run: Run, by: str, weights: Sequence[float]) -> None:
    model, window = newest_model(run), test_window(run)
    asked = asked_of_buyers(run, window, model) if model.ranks_all_items else None
    ranked = ranked_lists(run, window, asked or ranked_candidates(run, model, window), longer_by(run))
    longer = ranked.where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).persist()
    load_facts, load = facts_loader(run, window.as_of), asked.load if asked else None
    plain = _named(MODEL, longer.where(F.col(c.RANK) <= run.config.evaluation.k))
    for method, weight in itertools.product(METHODS, weights):
        diversity = Diversity(method=method, by=by, weight=weight)
        lists = plain.unionByName(_named(DIVERSE, diverse_lists(run, longer, diversity, load_facts, load))).persist()
        report(f"{model.name}, {method} by {by}, weight {weight:g}", *measured(run, window, lists))
        lists.unpersist()
    delete_vector_files(run.lake)


def _named(recommender: str, rows: DataFrame) -> DataFrame:
    named = rows.withColumns({c.LIST_KIND: F.lit(REPEATS_ALLOWED), c.RECOMMENDER: F.lit(recommender)})
    return named.select(c.LIST_KIND, c.RECOMMENDER, c.USER_ID, c.RANK, c.ITEM_ID)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=CONF_FOLDER / "local.yaml", help="that the lake was made with")
    parser.add_argument("--by", default="category", help="category, or vector for models with vectors of items")
    parser.add_argument("--weights", default=",".join(map(str, WEIGHTS)), help="0 to 1")
    given = parser.parse_args()
    config = load_config([given.config])
    spark = build_session("recsys-diversity", config.spark)
    lake = Lake(spark, str(given.lake.resolve()))
    run = Run(spark=spark, lake=lake, config=config, conf_folder=given.config.parent, run_date=newest_run_date(lake))
    curve(run, given.by, [float(weight) for weight in given.weights.split(",")])
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
