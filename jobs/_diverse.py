"""The model's lists of a label window re-ranked for diversity: what it is worth and what it costs is measured there."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._models import Model
from jobs._recommend import Asking
from recsys import columns as c
from recsys import tables
from recsys.errors import ConfigError
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.diversity import VECTOR, Diversity
from recsys.scoring.item_facts import ItemFacts
from recsys.scoring.reranking import Reranking, reranked
from recsys.scoring.rule_checks import CONTEXT
from recsys.scoring.top_n import as_lists
from recsys.stages import Run


def diversity_of(run: Run, models: Sequence[Model]) -> Diversity | None:
    """None where score.diversity asks for none. Raises ConfigError for diversity by vectors of models without."""
    settings = run.config.score
    if settings.diversity == "none":
        return None
    if settings.diversity_by == VECTOR and not any(model.has_vectors for model in models):
        names = " and ".join(model.name for model in models)
        raise ConfigError(
            f"score.diversity_by is vector, and the model {names} has no vectors of items. Cure: "
            "score.diversity_by=category, or train a model with vectors, such as mf or two_tower"
        )
    return Diversity(method=settings.diversity, by=settings.diversity_by, weight=settings.diversity_weight)


def diversity_inputs(run: Run) -> tuple[str, ...]:
    """What diverse lists depend on, for a stage that does not depend on all settings of score."""
    settings = run.config.score
    if settings.diversity == "none":
        return ()
    return settings.diversity, settings.diversity_by, str(settings.diversity_weight), str(settings.rank_depth)


def diverse_lists(
    run: Run,
    longer: DataFrame,
    diversity: Diversity,
    load_facts: Callable[[], ItemFacts],
    load_ranker: Callable[[], Any] | None = None,
) -> DataFrame:
    """user_id, rank, item_id and score of lists as long as the evaluation's, chosen from `longer` ones of as many rows
    as longer_by says. `load_ranker`: of a model with vectors of items.
    """
    k = run.config.evaluation.k
    reranking = Reranking(rules=(), countries={}, diversity=diversity, n=k, depth=longer_by(run), is_strict=True)
    asked = _listed(run, longer).withColumns(
        {LEFT_OUT: F.lit(None).cast("array<int>"), CONTEXT: F.lit(None).cast("string")}
    )
    vectors = functools.partial(vectors_of, load_ranker) if diversity.by == VECTOR and load_ranker else None
    return reranked(asked, load_facts, reranking, vectors).select(c.USER_ID, c.RANK, c.ITEM_ID, c.SCORE)


def longer_by(run: Run) -> int:
    """The length of the lists that diverse ones are chosen from."""
    return run.config.evaluation.k * run.config.score.rank_depth


def _listed(run: Run, ranked: DataFrame) -> DataFrame:
    """From rows of user_id, rank, item_id and score to a row a user."""
    rows = ranked.join(run.lake.read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
    return as_lists(rows).withColumn(c.SOURCE, F.transform(c.ITEM_IDX, lambda _: F.lit("model")))


def vectors_loader(models: Sequence[Model], asked: Sequence[Asking | None]) -> Callable[[], Any] | None:
    """What loads the first model that has vectors of items; `asked`: of each, None for one that ranks candidates."""
    return next((one.load for model, one in zip(models, asked, strict=True) if one and model.has_vectors), None)


def vectors_of(load_ranker: Callable[[], Any]) -> Any:
    return load_ranker().item_vectors
