"""Business rules beside each other: which of them can never hold together, said before anything is ranked.

What depends on the day's stock or prices is no contradiction: a pinned item may be sold out, and there again tomorrow.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, product

from recsys import columns as c
from recsys.scoring.rules import (
    AGE_LIMIT,
    ALLOW_ONLY,
    AT_MOST,
    BLOCK,
    BOOST,
    BURY,
    NOT_TOGETHER,
    PIN,
    Rule,
    about,
    refuse,
)

Values = Mapping[str, str | None]  # of an item, by attribute

_SCOPE = (c.SCENE, c.STORE_ID, c.COUNTRY, c.USER_GROUP)


def require_no_contradictions(
    rules: Sequence[Rule], values: Mapping[str, Values], n: int, age_attribute: str | None
) -> None:
    """`values`: of each pinned item, its attributes; `age_attribute`: of users, that age limits read, None for none.
    Raises ConfigError that names the rules that cannot all hold."""
    pins = [rule for rule in rules if rule.kind == PIN]
    wrong = [f"{pin.rule_id!r} pins at rank {pin.rank}, lists have {n}" for pin in pins if (pin.rank or 0) > n]
    for first, second in combinations(pins, 2):
        if may_meet(first, second) and (clash := _clash_of_pins(first, second)):
            wrong.append(f"{first.rule_id!r} and {second.rule_id!r} {clash}")
    for pin, rule in product(pins, rules):
        (item,) = pin.item_ids
        if may_meet(pin, rule) and _hides(rule, pin, values.get(item, {}), age_attribute):
            wrong.append(f"{pin.rule_id!r} pins {item!r}, which {rule.rule_id!r} ({rule.kind}) hides")
    wrong += [problem for rule in rules for problem in _too_many_pins(rule, pins, values)]
    wrong += _opposed_moves(rules)
    refuse(wrong, "take one of them back, or part them by scene, store, country, group or days")


def may_meet(first: Rule, second: Rule) -> bool:
    """Can one list on one day be under both? A user's groups by different names can."""
    places = all(_is_common(getattr(first, name), getattr(second, name)) for name in (c.SCENE, c.STORE_ID, c.COUNTRY))
    groups = [rule.user_group.partition("=") for rule in (first, second) if rule.user_group is not None]
    is_one_group = len(groups) < 2 or groups[0][0] != groups[1][0] or groups[0] == groups[1]
    return places and is_one_group and _is_one_time(first, second)


def _clash_of_pins(first: Rule, second: Rule) -> str | None:
    if first.item_ids == second.item_ids and first.rank != second.rank:
        return f"pin {first.item_ids[0]!r} at ranks {first.rank} and {second.rank}"
    if first.item_ids != second.item_ids and (first.rank, first.priority) == (second.rank, second.priority):
        return f"pin two items at rank {first.rank} with one priority"
    return None


def _hides(rule: Rule, pin: Rule, values: Values, age_attribute: str | None) -> bool:
    """From all whom the pin is for, whatever the day's stock and prices."""
    is_about = about(rule, pin.item_ids[0], values)
    if rule.kind == AGE_LIMIT:
        return is_about and _are_too_young(pin.user_group, rule.min_age or 0, age_attribute)
    return rule.kind in (BLOCK, ALLOW_ONLY) and is_about == (rule.kind == BLOCK)


def _are_too_young(group: str | None, min_age: int, age_attribute: str | None) -> bool:
    """Is nobody of the group known to be old enough? By the first number of a group such as age=16-17."""
    if age_attribute is None:
        return True
    name, _, value = (group or "").partition("=")
    age = re.search(r"\d{1,3}", value) if name == age_attribute else None
    return age is not None and int(age[0]) < min_age


def _too_many_pins(rule: Rule, pins: Sequence[Rule], values: Mapping[str, Values]) -> Iterator[str]:
    """Of at most k, more than k pinned items of one value; of those that do not go together, two pinned ones."""
    names = {pin.item_ids[0]: _name_under(rule, pin.item_ids[0], values.get(pin.item_ids[0], {})) for pin in pins}
    under = [pin for pin in pins if names[pin.item_ids[0]] is not None and may_meet(pin, rule)]
    if rule.kind == NOT_TOGETHER:
        for first, second in combinations(under, 2):
            if names[first.item_ids[0]] != names[second.item_ids[0]] and _can_both_stand(first, second):
                yield f"{rule.rule_id!r} (not_together) forbids what {first.rule_id!r} and {second.rule_id!r} pin"
    if rule.kind == AT_MOST:
        for name in sorted({str(names[pin.item_ids[0]]) for pin in under}):
            of_name = [pin for pin in under if names[pin.item_ids[0]] == name]
            if len(together := _that_can_all_stand(of_name)) > (rule.k or 0):
                ids = [pin.rule_id for pin in together]
                yield f"{rule.rule_id!r} (at_most) allows {rule.k} of {name!r}, and {ids} pin {len(ids)}"


def _name_under(rule: Rule, item: str, values: Values) -> str | None:
    """What the rule counts the item as; None where it does not count it."""
    if rule.kind == NOT_TOGETHER and item in rule.item_ids:
        return f"item {item}"
    value = values.get(rule.attribute or "")
    return value if value is not None and (not rule.attribute_values or value in rule.attribute_values) else None


def _that_can_all_stand(pins: Sequence[Rule]) -> list[Rule]:
    """Some of them that one list can have, as many as are found from the first on."""
    together: list[Rule] = []
    for pin in pins:
        if all(_can_both_stand(pin, other) for other in together):
            together.append(pin)
    return together


def _can_both_stand(first: Rule, second: Rule) -> bool:
    """Of one rank the higher priority wins."""
    return first.item_ids != second.item_ids and first.rank != second.rank and may_meet(first, second)


def _opposed_moves(rules: Sequence[Rule]) -> list[str]:
    """What is named alike for one scope; a move of a wider scope or of a whole category adds up with one of an item."""
    up, down = ([rule for rule in rules if rule.kind == kind] for kind in (BOOST, BURY))
    return [
        f"{first.rule_id!r} boosts and {second.rule_id!r} buries {sorted(both)[0]!r}"
        for first, second in product(up, down)
        if (both := _names_of(first) & _names_of(second)) and _is_one_scope(first, second)
    ]


def _names_of(rule: Rule) -> set[str]:
    return {*rule.item_ids, *(f"{rule.attribute} {value}" for value in rule.attribute_values)}


def _is_one_scope(first: Rule, second: Rule) -> bool:
    return all(getattr(first, name) == getattr(second, name) for name in _SCOPE) and _is_one_time(first, second)


def _is_one_time(first: Rule, second: Rule) -> bool:
    begin = max(rule.valid_from or date.min for rule in (first, second))
    end = min(rule.valid_to or date.max for rule in (first, second))
    return begin < end


def _is_common(first: str | None, second: str | None) -> bool:
    return first is None or second is None or first == second
