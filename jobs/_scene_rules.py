"""Business rules over the lists of the scenes: whatever a scene has ranked, its tables obey them.

Scenes rank longer lists; here, in one place, they are cut to what is written. A list that rules leave short stays so:
popular items would be no substitutes, nor due to be bought again. Users' groups, ages and stores are known of lists of
users alone, and the store of recs.anonymous: in other lists a rule for some users does not hold, but an age limit
hides its items, for nobody is known to be old enough.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame

from jobs._day_rules import facts, rules_of_day
from jobs._scenes import Scene, list_length
from recsys import columns as c
from recsys import tables
from recsys.lake.interaction_files import write_fact_files
from recsys.scoring.item_facts import ItemFacts, load_item_facts
from recsys.scoring.reranking import Reranking, reranked
from recsys.scoring.rule_checks import hidden_for_all, hidden_from_some, user_contexts
from recsys.scoring.rules import Rule
from recsys.scoring.scene_lists import as_lists, from_lists, is_of_items, list_key, require_none_hidden, untouched
from recsys.stages import Run
from recsys.tables import Table


@dataclass(frozen=True, kw_only=True)
class SceneRules:
    """The rules that hold in each scene; `load_facts`, on the executors; None where there are none."""

    of_scene: Mapping[str, tuple[Rule, ...]]
    load_facts: Callable[[], ItemFacts] | None


def scene_rules(run: Run, scenes: Mapping[str, Scene]) -> SceneRules:
    """Raises ConfigError or InputError where rules of a scene cannot hold, before any list is made."""
    found = {name: rules_of_day(run, name, _shortest(run, scene)) for name, scene in scenes.items()}
    if not any(found.values()):
        return SceneRules(of_scene=found, load_facts=None)
    files = write_fact_files(run.lake, run.day, facts(run, run.features))
    return SceneRules(of_scene=found, load_facts=functools.partial(load_item_facts, files))


def depth(run: Run, rules: tuple[Rule, ...]) -> int:
    """Times the length of a list that the scene has to rank."""
    return run.config.score.rank_depth if rules else 1


def under_rules(run: Run, rules: SceneRules, scene: str, table: Table, rows: DataFrame) -> DataFrame:
    """The rows that are written, but for run_date and run_id; `rows` of lists `depth` times as long."""
    of_scene = rules.of_scene[scene]
    if not is_of_items(table):
        return rows
    if not of_scene or rules.load_facts is None:
        return untouched(rows)
    ranked, n = rows.persist(), list_length(run.config, table)
    lists = as_lists(ranked, table, run.lake.read(tables.ITEM_IDS), _contexts(run, table, of_scene))
    reranking = Reranking(
        rules=of_scene,
        countries=run.config.features.countries,
        diversity=None,
        n=n,
        depth=n * run.config.score.rank_depth,
        is_strict=True,
    )
    obeying = from_lists(reranked(lists, rules.load_facts, reranking), ranked, table).persist()
    require_none_hidden(obeying, table, hidden_for_all(of_scene, facts(run, run.features)))
    return obeying


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


def _shortest(run: Run, scene: Scene) -> int:
    return min(list_length(run.config, table) for table in scene.writes)
