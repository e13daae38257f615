"""How the lists of a scene do beside its baselines on cases of the label window: a user, or a basket of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.evaluation.baselines import free_lists
from recsys.evaluation.ranking import REPLICATE, sums_by_replicate, user_hits
from recsys.evaluation.report import MetricRow, recommender_rows
from recsys.metrics import METRICS

SHOWN = ("hit_rate", "ndcg")
_SALT = "hidden-items-v1"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Lists of several recommenders for the same cases, and what they should have named.

    `recommenders`: the scene's own first, then its baselines. `lists`: recommender, case_id, rank, item_id. `truth`:
    case_id, user_id, item_id; only cases that have one count. `cases` says what a case is.
    """

    recommenders: tuple[str, ...]
    lists: DataFrame
    truth: DataFrame
    cases: str


def trial_sums(scene: str, trial: Trial, *, k: int, replicates: int, seed: int) -> DataFrame:
    """As ranking.sums_by_replicate. Cases of one user are drawn together, for they are alike."""
    of_scene = F.lit(scene).alias(c.LIST_KIND)
    hits = user_hits(
        trial.lists.select(of_scene, "*"), trial.truth.select(of_scene, "*"), trial.recommenders, seed, case=c.CASE_ID
    )
    return sums_by_replicate(hits, trial.recommenders, k=k, replicates=replicates)


def trial_rows(trial: Trial, sums: Sequence[Mapping[str, Any]], k: int) -> list[MetricRow]:
    """The columns of ops.scene_metrics that describe a figure; none where there was no case."""
    replicates = sorted(sums, key=lambda row: int(row[REPLICATE]))
    rows = recommender_rows(replicates, trial.recommenders, k) if replicates else ()
    return [{c.NUM_CASES: row[c.NUM_USERS], c.CASES: trial.cases, **row} for row in rows]


def scene_figures(scene: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    """`cart_ndcg_at_10_lift` and the like, and the cases behind them."""
    shown = [row for row in rows if row[c.METRIC] in SHOWN and "-" not in row[c.RECOMMENDER]]
    cases = {f"{scene}_cases": int(rows[0][c.NUM_CASES]) if rows else 0}
    return cases | {f"{scene}_{row[c.METRIC]}_at_{row[c.K]}_{row[c.RECOMMENDER]}": row[c.VALUE] for row in shown}


def scenes_text(rows: Sequence[Any]) -> str:
    """For people, from rows of ops.scene_metrics: a block a scene, a line a recommender."""
    scenes = sorted({row[c.SCENE] for row in rows})
    return "\n\n".join("\n".join(_lines(scene, [row for row in rows if row[c.SCENE] == scene])) for scene in scenes)


def _lines(scene: str, rows: Sequence[Any]) -> Iterator[str]:
    found = {(row[c.RECOMMENDER], row[c.METRIC]): row for row in rows}
    yield f"{scene}: {rows[0][c.NUM_CASES]:,} {rows[0][c.CASES]}"
    yield f"  {f'@{rows[0][c.K]}':<32}" + "".join(f"{metric:>28}" for metric in METRICS if metric in SHOWN)
    # A difference after the two that it is of.
    for name in sorted({row[c.RECOMMENDER] for row in rows}, key=lambda name: ("-" in name, name)):
        cells = "".join(f"{_cell(found[name, metric]):>28}" for metric in METRICS if metric in SHOWN)
        yield f"  {name:<32}{cells}"


def _cell(row: Any) -> str:
    if row[c.LOW] is None:
        return f"{row[c.VALUE]:.4f}"
    return f"{row[c.VALUE]:+.4f} [{row[c.LOW]:+.4f}, {row[c.HIGH]:+.4f}]"


def named(lists: DataFrame, recommender: str) -> DataFrame:
    """Lists as a Trial wants them."""
    return lists.select(F.lit(recommender).alias(c.RECOMMENDER), c.CASE_ID, c.RANK, c.ITEM_ID)


def with_case_id(rows: DataFrame, *names: str) -> DataFrame:
    """Adds the case that these columns name, null among them too."""
    text = F.to_json(F.struct(*names), {"ignoreNullFields": "false"})
    return rows.withColumn(c.CASE_ID, text)


def hide_one(basket_items: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Baskets (case_id, user_id, item_id) of two items or more, in two parts: what is left in them, and the one item of
    each that is hidden, drawn by hash."""
    entry = F.struct(F.xxhash64(c.CASE_ID, c.ITEM_ID, F.lit(_SALT)).alias("hash"), c.ITEM_ID)
    baskets = basket_items.groupBy(c.CASE_ID, c.USER_ID).agg(F.array_sort(F.collect_list(entry)).alias("entries"))
    of_two = baskets.where(F.size("entries") > 1).select(
        c.CASE_ID, c.USER_ID, F.col(f"entries.{c.ITEM_ID}").alias("ids")
    )
    hidden = of_two.select(c.CASE_ID, c.USER_ID, F.col("ids")[0].alias(c.ITEM_ID))
    return of_two.select(c.CASE_ID, c.USER_ID, F.explode(F.slice("ids", 2, F.size("ids"))).alias(c.ITEM_ID)), hidden


def popular_besides(taken: DataFrame, ranks: DataFrame, k: int) -> DataFrame:
    """For each case_id of `taken` (case_id, item_id; a null item for none) the most popular items that it lacks.

    `ranks`: item_id and popular_rank.
    """
    known = taken.join(ranks, on=c.ITEM_ID, how="left")
    of_case = known.groupBy(c.CASE_ID).agg(F.collect_set("popular_rank").alias("taken"))
    return free_lists(of_case, ranks, k, c.CASE_ID)
