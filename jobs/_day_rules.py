"""The business rules of the run date and a scene, checked before anything is ranked, and what they ask of items."""

import functools
import logging

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._countries import countries_of
from jobs._taken import served_users
from recsys import columns as c
from recsys import tables
from recsys.errors import InputError
from recsys.evaluation.baselines import popular_ranks
from recsys.frames.as_of import events_before
from recsys.frames.feature_tables import FeatureTables
from recsys.scoring.item_facts import PLACE, item_facts
from recsys.scoring.rule_checks import (
    contexts_met,
    hidden_pins,
    pinned_values,
    require_enough_items,
    require_known_names,
    require_told_attributes,
)
from recsys.scoring.rule_contradictions import require_no_contradictions
from recsys.scoring.rules import IN_STOCK, Rule, rules_of
from recsys.stages import Run
from recsys.tables import Table

logger = logging.getLogger(__name__)

OPTIONAL = (tables.BUSINESS_RULES, tables.STOCK)


def optional_reads(run: Run) -> tuple[Table, ...]:
    return tuple(table for table in OPTIONAL if run.lake.exists(table))


def optional_inputs(run: Run) -> tuple[str, ...]:
    """Rules may be written by hand, which no run records: their versions count."""
    return tuple(f"{name} {version}" for name, version in sorted(run.lake.versions(OPTIONAL).items()))


def rules_of_day(run: Run, scene: str, n: int) -> tuple[Rule, ...]:
    """Those of the scene, whose lists have `n` places. Raises ConfigError or InputError where they cannot hold."""
    if not run.lake.exists(tables.BUSINESS_RULES):
        return ()
    read = run.lake.read
    all_rules = rules_of([row.asDict() for row in read(tables.BUSINESS_RULES).collect()])
    rules = tuple(rule for rule in all_rules if rule.holds(scene, run.day))
    if rules:
        _require_stock(run, rules)
        features, items = run.features, read(tables.ITEMS)
        countries = countries_of(run, rules)
        require_told_attributes(rules, items)
        require_known_names(rules, items, read(tables.USERS), features.user, countries)
        require_no_contradictions(rules, pinned_values(rules, items), n, run.config.score.age_attribute)
        eligible, of_day = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID), facts(run, features)
        met = contexts_met(served_users(run), features.user, rules, countries)
        require_enough_items(rules, of_day.join(eligible, on=c.ITEM_ID, how="left_semi"), countries, n, met)
        for text in hidden_pins(rules, of_day):
            logger.warning("%s: %s. It shows again once rules.stock or features.item says otherwise", scene, text)
    return rules


def excluded_pairs(run: Run, scene: str) -> DataFrame | None:
    """user_id and item_id of what the user bought or viewed in the scene's days before the run date; None where nothing
    is left out for it."""
    settings = run.config.score
    days = {c.PURCHASE: settings.exclude_bought_days.get(scene, 0), c.VIEW: settings.exclude_viewed_days.get(scene, 0)}
    events = run.lake.read(tables.EVENTS)
    parts = [
        events_before(events.where(F.col(c.EVENT_TYPE) == kind), run.day, length).select(c.USER_ID, c.ITEM_ID)
        for kind, length in days.items()
        if length
    ]
    return functools.reduce(DataFrame.unionByName, parts).distinct() if parts else None


def facts(run: Run, features: FeatureTables) -> DataFrame:
    """item_facts of the run date."""
    read, items = run.lake.read, run.lake.read(tables.ITEMS)
    places = popular_ranks(items, features.item, window_days=28).toDF(c.ITEM_ID, PLACE)
    stock = read(tables.STOCK) if run.lake.exists(tables.STOCK) else None
    return item_facts(read(tables.ITEM_IDS), items, features.item, places, stock)


def _require_stock(run: Run, rules: tuple[Rule, ...]) -> None:
    names = [rule.rule_id for rule in rules if rule.kind == IN_STOCK]
    if names and not run.lake.exists(tables.STOCK):
        raise InputError(
            f"{names} ask what is in stock, and the lake has no rules.stock. Cure: run jobs/load_rules.py with "
            "--stock FILE, or take the rules back"
        )
