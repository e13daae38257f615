"""Business rules, diversity and exclusions in the score job: longer lists, cut to those that are published."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._countries import countries_of
from jobs._day_rules import excluded_pairs, facts, rules_of_day
from jobs._diverse import diversity_of, vectors_of
from jobs._models import Model
from jobs._overwrite import of_scene
from recsys import columns as c
from recsys import tables
from recsys.frames.local_rows import local_rows
from recsys.lake.interaction_files import write_fact_files
from recsys.lake.read_features import read_features
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.diversity import VECTOR, Diversity
from recsys.scoring.item_facts import ItemFacts, load_item_facts
from recsys.scoring.reranking import KEPT_AWAY, RELAXED, Reranking, reranked
from recsys.scoring.rule_checks import hidden_for_all, left_out_lists, user_contexts
from recsys.scoring.rules import Rule
from recsys.stages import Run


@dataclass(frozen=True, kw_only=True)
class Shaping:
    """What happens to a list after the ranking. `excluded`: user_id and item_id that must not stand in a list."""

    rules: tuple[Rule, ...]
    diversity: Diversity | None
    excluded: DataFrame | None

    @property
    def is_by_vectors(self) -> bool:
        return self.diversity is not None and self.diversity.by == VECTOR

    @property
    def is_plain(self) -> bool:
        return not self.rules and self.diversity is None and self.excluded is None


def shaping_of(run: Run, models: Sequence[Model]) -> Shaping:
    """Raises ConfigError or InputError where the rules of the day cannot hold, before anything is ranked."""
    settings, diversity = run.config.score, diversity_of(run, models)
    return Shaping(
        rules=rules_of_day(run, settings.scene, settings.top_n),
        diversity=diversity,
        excluded=excluded_pairs(run, settings.scene),
    )


def shaped(  # lists, whose they are, and what is loaded on the executors
    run: Run,
    shaping: Shaping,
    lists: DataFrame,
    users: DataFrame,
    load_facts: Callable[[], ItemFacts],
    load_ranker: Callable[[], Any] | None = None,
) -> DataFrame:
    """What `reranked` returns, from longer lists (reranking.LISTS); users without one get the popular one.

    `load_ranker`: of a model with vectors of items.
    """
    features, settings = run.features, run.config.score
    whole = users.select(c.USER_ID, c.ATTRIBUTES).join(lists, on=c.USER_ID, how="left")
    contexts = user_contexts(
        whole.select(c.USER_ID, c.ATTRIBUTES), features.user, shaping.rules, settings.age_attribute
    )
    asked = whole.drop(c.ATTRIBUTES).join(contexts, on=c.USER_ID, how="left")
    reranking = Reranking(
        rules=shaping.rules,
        countries=countries_of(run, shaping.rules),
        diversity=shaping.diversity,
        n=settings.top_n,
        depth=depth(run),
    )
    return reranked(
        _with_left_out(run, asked, shaping.excluded),
        load_facts,
        reranking,
        functools.partial(vectors_of, load_ranker) if load_ranker is not None else None,
    )


def facts_loader(run: Run, as_of: date) -> Callable[[], ItemFacts]:
    """Writes the facts of the day to files, which executors read once a process."""
    files = write_fact_files(run.lake, as_of, facts(run, read_features(run.lake, [as_of])))
    return functools.partial(load_item_facts, files)


def depth(run: Run) -> int:
    return run.config.score.top_n * run.config.score.rank_depth


def hidden(run: Run, shaping: Shaping) -> DataFrame | None:
    """item_id of what no list may have."""
    return hidden_for_all(shaping.rules, facts(run, run.features)) if shaping.rules else None


def write_audit(run: Run, scene: str, rows: DataFrame, rules: tuple[Rule, ...]) -> None:
    """Replaces the run date's and scene's rows of ops.rules."""
    run.lake.overwrite(tables.RULE_AUDIT, audit(run, scene, rows, rules), of_scene(run, scene))


def audit(run: Run, scene: str, rows: DataFrame, rules: tuple[Rule, ...]) -> DataFrame:
    """ops.rules: a row for each rule that held, from rows with `user_id` (of other lists than users', what names the
    list), `rules` and `kept_away`."""
    spark = run.spark
    named = rows.select(c.USER_ID, F.explode(c.RULES).alias(c.RULE_ID), F.lit(False).alias(KEPT_AWAY))
    away = rows.select(c.USER_ID, F.explode(KEPT_AWAY).alias(c.RULE_ID), F.lit(True).alias(KEPT_AWAY))
    is_relaxed = F.startswith(F.col(c.RULE_ID), F.lit(RELAXED))
    told = named.unionByName(away).withColumn("is_relaxed", is_relaxed)
    plain = told.withColumn(
        c.RULE_ID, F.when(is_relaxed, F.substring(c.RULE_ID, len(RELAXED) + 1, 1000)).otherwise(F.col(c.RULE_ID))
    )
    counted = plain.groupBy(c.RULE_ID).agg(
        F.count_distinct(F.when(F.col(KEPT_AWAY), F.col(c.USER_ID))).alias(c.NUM_USERS_CHANGED),
        F.count_if(~F.col(KEPT_AWAY)).alias(c.NUM_ROWS),
        F.count_distinct(F.when(F.col("is_relaxed"), F.col(c.USER_ID))).alias(c.NUM_USERS_RELAXED),
    )
    ids = local_rows(spark, [(rule.rule_id,) for rule in rules], f"{c.RULE_ID} string")
    constants = {c.RUN_DATE: F.lit(run.day), c.SCENE: F.lit(scene), c.RUN_ID: F.lit(run.run_id)}
    whole = ids.join(counted, on=c.RULE_ID, how="left").fillna(0)
    return whole.withColumns(constants).select(*tables.RULE_AUDIT.column_names)


def _with_left_out(run: Run, asked: DataFrame, excluded: DataFrame | None) -> DataFrame:
    if excluded is None:
        return asked.withColumn(LEFT_OUT, F.lit(None).cast("array<int>"))
    lists = left_out_lists(excluded, run.lake.read(tables.ITEM_IDS))
    return asked.join(lists, on=c.USER_ID, how="left")
