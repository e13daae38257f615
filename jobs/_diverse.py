"""The model's lists of a label window re-ranked for diversity: what it is worth and what it costs is measured there."""

import functools
from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._day_rules import facts
from jobs._recommend import LabelWindow, Model
from recsys import columns as c
from recsys import tables
from recsys.errors import ConfigError
from recsys.lake.interaction_files import write_fact_files
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.diversity import VECTOR, Diversity
from recsys.scoring.item_facts import load_item_facts
from recsys.scoring.reranking import Reranking, reranked
from recsys.scoring.rule_checks import CONTEXT
from recsys.stages import Run


def diversity_of(run: Run, model: Model) -> Diversity | None:
    """None where score.diversity asks for none. Raises ConfigError for diversity by vectors of a model without."""
    settings = run.config.score
    if settings.diversity == "none":
        return None
    if settings.diversity_by == VECTOR and not model.has_vectors:
        raise ConfigError(
            f"score.diversity_by is vector, and the model {model.name} has no vectors of items. Cure: "
            "score.diversity_by=category, or train a model with vectors, such as mf or two_tower"
        )
    return Diversity(method=settings.diversity, by=settings.diversity_by, weight=settings.diversity_weight)


def fact_files(run: Run, window: LabelWindow) -> tuple[str, ...]:
    """What re-ranking reads of items, on the executors."""
    return write_fact_files(run.lake, window.as_of, facts(run, window.features))


def diverse_lists(
    run: Run,
    longer: DataFrame,
    diversity: Diversity,
    files: tuple[str, ...],
    load_ranker: Callable[[], Any] | None = None,
) -> DataFrame:
    """user_id, rank and item_id of lists as long as the evaluation's, chosen from `longer` ones of as_ranked rows.

    `load_ranker`: of a model with vectors of items.
    """
    k = run.config.evaluation.k
    reranking = Reranking(rules=(), countries={}, diversity=diversity, n=k, depth=longer_by(run), is_strict=True)
    asked = _listed(run, longer).withColumns(
        {LEFT_OUT: F.lit(None).cast("array<int>"), CONTEXT: F.lit(None).cast("string")}
    )
    vectors = functools.partial(vectors_of, load_ranker) if diversity.by == VECTOR and load_ranker else None
    best = reranked(asked, functools.partial(load_item_facts, files), reranking, vectors)
    return best.select(c.USER_ID, c.RANK, c.ITEM_ID)


def longer_by(run: Run) -> int:
    """The length of the lists that diverse ones are chosen from."""
    return run.config.evaluation.k * run.config.score.rank_depth


def _listed(run: Run, ranked: DataFrame) -> DataFrame:
    """From rows of user_id, rank, item_id and score to a row a user."""
    rows = ranked.join(run.lake.read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    entry = F.struct(c.RANK, c.ITEM_IDX, F.col(c.SCORE).cast("double").alias(c.SCORE))
    lists = rows.groupBy(c.USER_ID).agg(F.array_sort(F.collect_list(entry)).alias("best"))
    no_source = F.transform("best", lambda _: F.lit("model")).alias(c.SOURCE)
    return lists.select(
        c.USER_ID, F.col(f"best.{c.ITEM_IDX}").alias(c.ITEM_IDX), F.col(f"best.{c.SCORE}").alias(c.SCORE), no_source
    )


def vectors_of(load_ranker: Callable[[], Any]) -> Any:
    return load_ranker().item_vectors
