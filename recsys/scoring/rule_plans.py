"""Rules as arrays over items: what holds in one context, a user's store, country, groups and age.

Shapes: I items, L items of a list.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys import columns as c
from recsys.scoring.item_facts import NONE, Flags, Indexes, ItemFacts
from recsys.scoring.rules import (
    AGE_LIMIT,
    ALLOW_ONLY,
    AT_MOST,
    BLOCK,
    BOOST,
    BURY,
    FILTERS,
    IN_STOCK,
    NOT_TOGETHER,
    PIN,
    PRICE_RANGE,
    Rule,
)  # fmt: skip

# Of a store that `countries` does not list.
ALL_STORES = "all"
AGE, GROUPS = "age", "groups"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Beside what an item may stand. `code_I`: NONE for items that it is not about.

    With `k`, at most so many items of one code in a list; without, no two codes in one list.
    """

    rule: int
    code_I: Indexes
    k: int | None


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A rule that hides items but gives way where it would leave a list short."""

    rule: int
    is_hidden_I: Flags


@dataclass(frozen=True, kw_only=True)
class Pin:
    rule: int
    rank: int
    item_idx: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Rules by their number. `hider_I`: the rule that hides the item for good, else NONE. `places_I`: up is positive.

    `relaxed_first`: those that may give way, the first to do so first.
    """

    hider_I: NDArray[np.int32]
    filters: tuple[Filter, ...]
    limits: tuple[Limit, ...]
    pins: tuple[Pin, ...]
    places_I: NDArray[np.int32]
    movers: tuple[tuple[int, Flags], ...]
    relaxed_first: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Context:
    store: str | None
    country: str | None
    groups: frozenset[str]
    age: int | None


def context_of(text: str | None, countries: Mapping[str, str]) -> Context:
    """From JSON of store_id or country, groups and age; what is not there is not known."""
    known = json.loads(text or "{}")
    store = known.get(c.STORE_ID)
    country = known.get(c.COUNTRY) or countries.get(store or ALL_STORES) or countries.get(ALL_STORES)
    return Context(store=store, country=country, groups=frozenset(known.get(GROUPS) or ()), age=known.get(AGE))


def rules_in(rules: Sequence[Rule], context: Context) -> tuple[int, ...]:
    """Numbers of those that hold."""
    return tuple(number for number, rule in enumerate(rules) if _is_in(rule, context))


def _is_in(rule: Rule, context: Context) -> bool:
    is_place = rule.store_id in (None, context.store) and rule.country in (None, context.country)
    is_group = rule.user_group is None or rule.user_group in context.groups
    is_too_young = rule.kind != AGE_LIMIT or context.age is None or context.age < (rule.min_age or 0)
    return is_place and is_group and is_too_young


def plan_of(rules: Sequence[Rule], numbers: Sequence[int], facts: ItemFacts) -> Plan:
    by_priority = sorted(numbers, key=lambda number: (-rules[number].priority, rules[number].rule_id))
    return Plan(
        hider_I=_hiders(rules, by_priority, facts),
        filters=tuple(
            Filter(rule=number, is_hidden_I=hidden_by(rules[number], facts))
            for number in by_priority
            if rules[number].kind in FILTERS and rules[number].is_relaxable
        ),
        limits=tuple(
            _limit(number, rules[number], facts)
            for number in by_priority
            if rules[number].kind in (AT_MOST, NOT_TOGETHER)
        ),
        pins=_pins(rules, by_priority, facts),
        places_I=_places(rules, by_priority, facts),
        movers=tuple(
            (number, _about(rules[number], facts)) for number in by_priority if rules[number].kind in (BOOST, BURY)
        ),
        relaxed_first=tuple(number for number in reversed(by_priority) if rules[number].is_relaxable),
    )  # fmt: skip


def hidden_by(rule: Rule, facts: ItemFacts) -> Flags:
    """(I,); of an age limit, for those whom it is about."""
    about_I = _about(rule, facts)
    if rule.kind in (BLOCK, AGE_LIMIT):
        return about_I
    if rule.kind == IN_STOCK:
        return about_I & ~facts.is_in_stock_I
    if rule.kind == ALLOW_ONLY:
        return ~about_I
    assert rule.kind == PRICE_RANGE, rule.kind
    low = -np.inf if rule.min_cents is None else rule.min_cents
    high = np.inf if rule.max_cents is None else rule.max_cents
    # An unknown price is nan, which lies in no range.
    return about_I & ~((facts.price_cents_I >= low) & (facts.price_cents_I <= high))


def _about(rule: Rule, facts: ItemFacts) -> Flags:
    if rule.is_about_all:
        return np.ones(len(facts), dtype=np.bool_)
    flags = np.zeros(len(facts), dtype=np.bool_)
    named = facts.idx_of(rule.item_ids)
    flags[named[named != NONE]] = True
    if rule.attribute is not None and (rule.attribute_values or not rule.item_ids):
        flags |= _attribute_codes(rule, facts) != NONE
    return flags


def _attribute_codes(rule: Rule, facts: ItemFacts) -> Indexes:
    """(I,): of the values that the rule names, or of all; NONE for other items."""
    assert rule.attribute is not None, "asked of rules by attribute only"
    code_I = facts.codes[rule.attribute]
    if not rule.attribute_values:
        return code_I
    known = facts.values[rule.attribute]
    return np.where(np.isin(code_I, [known[value] for value in rule.attribute_values if value in known]), code_I, NONE)


def _hiders(rules: Sequence[Rule], by_priority: Sequence[int], facts: ItemFacts) -> NDArray[np.int32]:
    hider_I = np.full(len(facts), NONE, dtype=np.int32)
    for number in by_priority:
        if rules[number].kind in FILTERS and not rules[number].is_relaxable:
            hider_I[hidden_by(rules[number], facts) & (hider_I == NONE)] = number
    return hider_I


def _limit(number: int, rule: Rule, facts: ItemFacts) -> Limit:
    if rule.kind == AT_MOST:
        return Limit(rule=number, code_I=_attribute_codes(rule, facts), k=rule.k)
    code_I = np.full(len(facts), NONE, dtype=np.int64)
    if rule.attribute is not None:
        code_I = _attribute_codes(rule, facts).copy()
    named = facts.idx_of(rule.item_ids)
    # Beyond all codes of values: each named item is one of its own.
    code_I[named[named != NONE]] = len(facts) + np.flatnonzero(named != NONE)
    return Limit(rule=number, code_I=code_I, k=None)


def _pins(rules: Sequence[Rule], by_priority: Sequence[int], facts: ItemFacts) -> tuple[Pin, ...]:
    """One a rank and item, that of the highest priority; of items that may be recommended."""
    pins: list[Pin] = []
    for number in (number for number in by_priority if rules[number].kind == PIN):
        rank, (idx,) = rules[number].rank, facts.idx_of(rules[number].item_ids)
        is_free = all(pin.rank != rank and pin.item_idx != idx for pin in pins)
        if rank is not None and is_free and idx != NONE and facts.eligible[idx]:
            pins.append(Pin(rule=number, rank=rank, item_idx=int(idx)))
    return tuple(pins)


def _places(rules: Sequence[Rule], by_priority: Sequence[int], facts: ItemFacts) -> NDArray[np.int32]:
    """(I,): those of several rules add up."""
    places_I = np.zeros(len(facts), dtype=np.int32)
    for rule in (rules[number] for number in by_priority if rules[number].kind in (BOOST, BURY)):
        places_I[_about(rule, facts)] += (rule.places or 0) * (1 if rule.kind == BOOST else -1)
    return places_I
