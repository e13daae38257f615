"""Business rules: what may be shown, where in a list and beside what; read from rows of rules.rules and checked.

A rule is about items that it names, by id or by the value of an attribute, or about all items; it holds in a scene, for
users of a store, country or group, from a day to a day.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from recsys import columns as c
from recsys.errors import ConfigError

ITEM_ATTRIBUTES = (c.CATEGORY, c.DEPARTMENT, c.BRAND, c.SELLER)
BLOCK, ALLOW_ONLY, IN_STOCK, PRICE_RANGE, AGE_LIMIT = FILTERS = (
    "block", "allow_only", "in_stock", "price_range", "age_limit",
)  # fmt: skip
PIN, BOOST, BURY, AT_MOST, NOT_TOGETHER = "pin", "boost", "bury", "at_most", "not_together"
_ABOUT = (c.ITEM_IDS, c.ATTRIBUTE, c.ATTRIBUTE_VALUES)
_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A row of rules.rules; see the comments of its columns."""

    rule_id: str
    kind: str
    item_ids: tuple[str, ...] = ()
    attribute: str | None = None
    attribute_values: tuple[str, ...] = ()
    rank: int | None = None
    places: int | None = None
    k: int | None = None
    min_cents: int | None = None
    max_cents: int | None = None
    min_age: int | None = None
    scene: str | None = None
    store_id: str | None = None
    country: str | None = None
    user_group: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    priority: int = 0

    @property
    def is_about_all(self) -> bool:
        return not (self.item_ids or self.attribute)

    @property
    def is_relaxable(self) -> bool:
        return RULES[self.kind].is_relaxable

    def holds(self, scene: str, day: date) -> bool:
        is_begun = self.valid_from is None or self.valid_from <= day
        return self.scene in (None, scene) and is_begun and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`needs` and `takes`: columns that a rule of the kind must have, and may have besides.

    `is_relaxable`: it gives way where it would leave a list short.
    """

    sentence: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = _ABOUT
    is_relaxable: bool = False
    check: Callable[[Rule], str | None] = lambda _: None


def _items_or_values(rule: Rule) -> str | None:
    is_named = bool(rule.item_ids) or bool(rule.attribute and rule.attribute_values)
    return None if is_named else "names no items: give item_ids, or attribute with attribute_values"


def _one_item(rule: Rule) -> str | None:
    if len(rule.item_ids) != 1 or (rule.rank or 0) < 1:
        return f"pins one item at a rank from 1, found items {list(rule.item_ids)} and rank {rule.rank}"
    return None


def _moved(rule: Rule) -> str | None:
    return _items_or_values(rule) if (rule.places or 0) >= 1 else f"needs places of at least 1, found {rule.places}"


def _some_k(rule: Rule) -> str | None:
    return None if (rule.k or 0) >= 1 else f"needs k of at least 1, found {rule.k}; to show none use block"


def _two_names(rule: Rule) -> str | None:
    names = len(rule.item_ids) + len(rule.attribute_values)
    return None if names >= 2 else f"needs two or more items or attribute_values that do not go together, found {names}"


def _price_bounds(rule: Rule) -> str | None:
    low, high = rule.min_cents, rule.max_cents
    if low is None and high is None:
        return "needs min_cents or max_cents"
    return (
        f"has min_cents {low} above max_cents {high}" if low is not None and high is not None and low > high else None
    )


RULES: dict[str, Kind] = {
    BLOCK: Kind(sentence="never shown, whatever other rules say", check=_items_or_values),
    ALLOW_ONLY: Kind(
        sentence="nothing else is shown; of several such rules, what all of them allow",
        check=_items_or_values,
        is_relaxable=True,
    ),
    IN_STOCK: Kind(sentence="shown only while rules.stock has units of it"),
    PRICE_RANGE: Kind(
        sentence="shown only with a known price within bounds",
        takes=(*_ABOUT, c.MIN_CENTS, c.MAX_CENTS),
        check=_price_bounds,
        is_relaxable=True,
    ),
    AGE_LIMIT: Kind(
        sentence="shown only to users known to be so old", needs=(c.MIN_AGE,), check=_items_or_values
    ),
    PIN: Kind(sentence="stands at a rank", needs=(c.RANK, c.ITEM_IDS), takes=(c.ITEM_IDS, c.RANK), check=_one_item),
    BOOST: Kind(sentence="moves up by places", needs=(c.PLACES,), check=_moved),
    BURY: Kind(sentence="moves down by places", needs=(c.PLACES,), check=_moved),
    AT_MOST: Kind(
        sentence="at most k items of one value in a list",
        needs=(c.K, c.ATTRIBUTE),
        takes=(c.ATTRIBUTE, c.ATTRIBUTE_VALUES, c.K),
        check=_some_k,
        is_relaxable=True,
    ),
    NOT_TOGETHER: Kind(
        sentence="items of two different names never stand in one list", check=_two_names, is_relaxable=True
    ),
}  # fmt: skip

_EVERY_RULE = (
    c.RULE_ID, c.KIND, c.SCENE, c.STORE_ID, c.COUNTRY, c.USER_GROUP, c.VALID_FROM, c.VALID_TO, c.PRIORITY,
)  # fmt: skip


def rules_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """By rule_id. Raises ConfigError that names each row that is not a rule, and why."""
    rules = tuple(sorted((_rule_of(row) for row in rows), key=lambda rule: rule.rule_id))
    wrong = [f"{rule.rule_id!r} {problem}" for rule in rules if (problem := _problem_of(rule))]
    wrong += [
        f"{rule_id!r} is there twice" for rule_id, count in Counter(r.rule_id for r in rules).items() if count > 1
    ]
    refuse(wrong, "write the rows as jobs/README.md shows, with jobs/load_rules.py")
    return rules


def about(rule: Rule, item: str, values: Mapping[str, str | None]) -> bool:
    """Is the item, with these attributes, one that the rule is about?"""
    if rule.is_about_all or item in rule.item_ids:
        return True
    value = values.get(rule.attribute or "")
    return value is not None and (value in rule.attribute_values or not (rule.attribute_values or rule.item_ids))


def _rule_of(row: Mapping[str, Any]) -> Rule:
    given: dict[str, Any] = {
        field.name: row.get(field.name) for field in fields(Rule) if row.get(field.name) is not None
    }
    lists = {name: tuple(given[name]) for name in (c.ITEM_IDS, c.ATTRIBUTE_VALUES) if name in given}
    values: dict[str, Any] = {c.RULE_ID: "", c.KIND: "", **given, **lists}
    return Rule(**values)


def _problem_of(rule: Rule) -> str | None:
    if not rule.rule_id:
        return "has no rule_id"
    kind = RULES.get(rule.kind)
    if kind is None:
        return f"is of unknown kind {rule.kind!r}; known kinds: {sorted(RULES)}"
    given = [field.name for field in fields(rule) if getattr(rule, field.name) not in (None, ())]
    extra = sorted(set(given) - {*_EVERY_RULE, *kind.needs, *kind.takes})
    missing = sorted(set(kind.needs) - set(given))
    if extra or missing:
        return f"({rule.kind}) " + " and ".join(
            [*([f"lacks {missing}"] if missing else []), *([f"has {extra}, which it does not take"] if extra else [])]
        )
    return _problem_of_values(rule) or kind.check(rule)


def _problem_of_values(rule: Rule) -> str | None:
    if rule.attribute is not None and rule.attribute not in ITEM_ATTRIBUTES:
        return f"is by attribute {rule.attribute!r}; items have {list(ITEM_ATTRIBUTES)}"
    if rule.attribute_values and rule.attribute is None:
        return f"has attribute_values without attribute; give one of {list(ITEM_ATTRIBUTES)}"
    if rule.user_group is not None and "=" not in rule.user_group:
        return f"has user_group {rule.user_group!r}; expected name=value, as in age=25-34"
    if rule.valid_from and rule.valid_to and rule.valid_to <= rule.valid_from:
        return f"holds from {rule.valid_from} to {rule.valid_to}, which is no day"
    return None


def refuse(wrong: Sequence[str], cure: str) -> None:
    """Raises ConfigError with the first of them, where there are any."""
    if wrong:
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise ConfigError(f"business rules: {'; '.join(wrong[:_LISTED])}{more}. Cure: {cure}")
