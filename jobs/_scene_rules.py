"""Business rules over the lists of the scenes, and what is left out of those of users: whatever a scene has ranked, its
tables obey them.

Scenes rank longer lists; here, in one place, they are cut to what is written. A list that rules leave short stays so:
popular items would be no substitutes, nor due to be bought again. Users' groups, ages and stores are known of lists of
users alone, and the store of recs.anonymous: in other lists a rule for some users does not hold, but an age limit
hides its items, for nobody is known to be old enough.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame

from jobs._countries import countries_of
from jobs._day_rules import excluded_pairs, facts, rules_of_day
from jobs._scenes import Scene, list_length
from recsys import columns as c
from recsys import tables
from recsys.lake.interaction_files import write_fact_files
from recsys.scoring.item_facts import ItemFacts, load_item_facts
from recsys.scoring.reranking import Reranking, reranked
from recsys.scoring.rule_checks import hidden_for_all, hidden_from_some, left_out_lists, user_contexts
from recsys.scoring.rules import Rule
from recsys.scoring.scene_lists import (
    as_lists,
    audited,
    from_lists,
    is_of_items,
    list_key,
    require_none_hidden,
    untouched,
)
from recsys.stages import Run
from recsys.tables import Table


@dataclass(frozen=True, kw_only=True)
class SceneRules:
    """By scene the rules that hold in it, and user_id and item_id of what is left out of its users' lists;
    `load_facts`, on the executors; None where no scene has either."""

    of_scene: Mapping[str, tuple[Rule, ...]]
    excluded: Mapping[str, DataFrame | None]
    load_facts: Callable[[], ItemFacts] | None

    def is_chosen_from(self, scene: str) -> bool:
        """Are the scene's lists cut from longer ones?"""
        return bool(self.of_scene[scene]) or self.excluded[scene] is not None


def scene_rules(run: Run, scenes: Mapping[str, Scene]) -> SceneRules:
    """Raises ConfigError or InputError where rules of a scene cannot hold, before any list is made."""
    found = SceneRules(
        of_scene={name: rules_of_day(run, name, _shortest(run, scene)) for name, scene in scenes.items()},
        excluded={name: excluded_pairs(run, name) for name in scenes},
        load_facts=None,
    )
    if not any(map(found.is_chosen_from, scenes)):
        return found
    files = write_fact_files(run.lake, run.day, facts(run, run.features))
    return replace(found, load_facts=functools.partial(load_item_facts, files))


def depth(run: Run, rules: SceneRules, scene: str) -> int:
    """Times the length of a list that the scene has to rank."""
    return run.config.score.rank_depth if rules.is_chosen_from(scene) else 1


@dataclass(frozen=True, kw_only=True)
class Obeying:
    """Rows that are written, but for run_date and run_id, and what the audit of rules takes; None where none held."""

    rows: DataFrame
    audited: DataFrame | None = None


def under_rules(run: Run, rules: SceneRules, scene: str, table: Table, rows: DataFrame) -> Obeying:
    """From `rows` of lists `depth` times as long."""
    of_scene, item_ids = rules.of_scene[scene], run.lake.read(tables.ITEM_IDS)
    if not is_of_items(table):
        return Obeying(rows=rows)
    if not rules.is_chosen_from(scene) or rules.load_facts is None:
        return Obeying(rows=untouched(rows))
    ranked, n = rows.persist(), list_length(run.config, table)
    left_out = _left_out(rules.excluded[scene], table, item_ids)
    lists = as_lists(ranked, table, item_ids, _contexts(run, table, of_scene), left_out)
    reranking = Reranking(
        rules=of_scene,
        countries=countries_of(run, of_scene),
        diversity=None,
        n=n,
        depth=n * run.config.score.rank_depth,
        is_strict=True,
    )
    found = from_lists(reranked(lists, rules.load_facts, reranking), ranked, table).persist()
    require_none_hidden(found, table, hidden_for_all(of_scene, facts(run, run.features)))
    names = [name for name in found.columns if name in table.column_names]
    return Obeying(rows=found.select(*names), audited=audited(found, table))


def items_hidden_from_some(run: Run, scene: str, table: Table) -> DataFrame | None:
    """item_id of what the rules of the scene hide from anybody: for tables that name no items and so cannot say from
    whom. None where they hide nothing."""
    rules = rules_of_day(run, scene, list_length(run.config, table))
    return hidden_from_some(rules, facts(run, run.features)) if rules else None


def _contexts(run: Run, table: Table, rules: tuple[Rule, ...]) -> DataFrame | None:
    if c.USER_ID not in list_key(table):
        return None
    users, features = run.lake.read(tables.USERS), run.features
    return user_contexts(users, features.user, rules, run.config.score.age_attribute)


def _left_out(excluded: DataFrame | None, table: Table, item_ids: DataFrame) -> DataFrame | None:
    if excluded is None or c.USER_ID not in list_key(table):
        return None
    return left_out_lists(excluded, item_ids)


def _shortest(run: Run, scene: Scene) -> int:
    return min(list_length(run.config, table) for table in scene.writes)
