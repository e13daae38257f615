"""Rules beside the tables: what they name must be there, and they must leave enough to show; who is under which."""

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import product
from operator import and_, or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.errors import InputError
from recsys.frames.local_rows import local_rows
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.item_facts import IS_IN_STOCK
from recsys.scoring.rule_contradictions import may_meet
from recsys.scoring.rule_plans import AGE, GROUPS, Context, context_of, rules_in
from recsys.scoring.rules import (
    AGE_LIMIT,
    ALLOW_ONLY,
    BLOCK,
    FILTERS,
    IN_STOCK,
    ITEM_ATTRIBUTES,
    PIN,
    PRICE_RANGE,
    Rule,
)

CONTEXT = "context"
_WHAT, _NAME = "what", "name"
_LISTED = 5
_MET = 200
ITEM, STORE, GROUP = "item", "store", "user group"


def require_known_names(
    rules: Sequence[Rule], items: DataFrame, users: DataFrame, user_features: DataFrame, countries: Mapping[str, str]
) -> None:
    """Raises InputError with the items, values, stores, countries and user groups that no table knows."""
    named = _named(rules)
    mentioned = local_rows(items.sparkSession, sorted(named), f"{_WHAT} string, {_NAME} string")
    known = _known_names(items, users, user_features).join(F.broadcast(mentioned), on=[_WHAT, _NAME], how="inner")
    found = {(row[_WHAT], row[_NAME]) for row in known.distinct().collect()}
    found |= {(c.COUNTRY, country) for country in countries.values()}
    if unknown := sorted(set(named) - found):
        texts = [f"{what} {name!r} in {named[what, name]}" for what, name in unknown[:_LISTED]]
        more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
        raise InputError(
            f"business rules name what the lake does not know: {'; '.join(texts)}{more}. Expected items and values of "
            "clean.items, main stores of features.user, countries of features.countries, attributes of clean.users. "
            "Cure: mend the rules, or take them back"
        )


def require_told_attributes(rules: Sequence[Rule], items: DataFrame) -> None:
    """Raises InputError where a rule goes by an attribute that no item has."""
    asked = sorted({rule.attribute for rule in rules if rule.attribute is not None})
    counted = items.agg(*(F.count(name).alias(name) for name in asked)).first() if asked else None
    if missing := [name for name in asked if counted is not None and not counted[name]]:
        names = sorted(rule.rule_id for rule in rules if rule.attribute in missing)
        raise InputError(
            f"business rules {names} go by {missing}, which no item of clean.items has. Expected a value for some. "
            "Cure: name the column under items.columns in the source's mapping and run clean_logs again, or take the "
            "rules back"
        )


def pinned_values(rules: Sequence[Rule], items: DataFrame) -> dict[str, dict[str, str | None]]:
    """The attributes of each item that a rule pins."""
    pinned = sorted({rule.item_ids[0] for rule in rules if rule.kind == PIN})
    if not pinned:
        return {}
    rows = items.where(F.col(c.ITEM_ID).isin(pinned)).select(c.ITEM_ID, *ITEM_ATTRIBUTES).collect()
    return {row[c.ITEM_ID]: {name: row[name] for name in ITEM_ATTRIBUTES} for row in rows}


def hidden_pins(rules: Sequence[Rule], facts: DataFrame) -> list[str]:
    """A text for each pin of an item that stock or price of the day (rows of item_facts) hide where it is pinned."""
    pairs = [
        (pin, rule)
        for pin, rule in product(rules, rules)
        if pin.kind == PIN and rule.kind in (IN_STOCK, PRICE_RANGE) and may_meet(pin, rule)
    ]
    if not pairs:
        return []
    asked = [(F.col(c.ITEM_ID) == pin.item_ids[0]) & ~_lets_through(rule) for pin, rule in pairs]
    found = facts.agg(*(F.count_if(is_hidden).alias(str(i)) for i, is_hidden in enumerate(asked))).first()
    assert found is not None, "an aggregate without groups has one row"
    return [
        f"{pin.rule_id!r} pins {pin.item_ids[0]!r}, which {rule.rule_id!r} ({rule.kind}) hides today"
        for i, (pin, rule) in enumerate(pairs)
        if found[str(i)]
    ]


def contexts_met(
    users: DataFrame, user_features: DataFrame, rules: Sequence[Rule], countries: Mapping[str, str]
) -> list[Context]:
    """Stores and groups that users have together, as far as rules that hide items ask, of most users first, 200 at
    most; none where no two scopes can meet."""
    hiding = [rule for rule in rules if rule.kind in FILTERS]
    scopes = {(rule.store_id, rule.country, rule.user_group) for rule in hiding} - {(None, None, None)}
    if len(scopes) < 2:
        return []
    counted = user_contexts(users, user_features, hiding, None).groupBy(CONTEXT).count()
    most = counted.orderBy(F.desc("count"), CONTEXT).limit(_MET).collect()
    return [context_of(row[CONTEXT], countries) for row in most]


def require_enough_items(
    rules: Sequence[Rule], eligible: DataFrame, countries: Mapping[str, str], n: int, met: Sequence[Context] = ()
) -> None:
    """Raises InputError that names the rules that leave fewer than n of the `eligible` items (rows of item_facts).

    Counts for users of each scope that a rule has, for all others, for those of several at once as they are `met`, and
    as if no age were known.
    """
    groups = {_filters_in(rules, context): context for context in (*met, *_contexts(rules, countries))}
    asked = {numbers: context for numbers, context in groups.items() if numbers}
    if not asked:
        return
    counts = eligible.agg(*(F.count_if(_is_shown(rules, numbers)).alias(str(i)) for i, numbers in enumerate(asked)))
    found = counts.first()
    assert found is not None, "an aggregate without groups has one row"
    few = [
        f"{[rules[number].rule_id for number in numbers]} leave {found[str(i)]} items for {_text(context)}"
        for i, (numbers, context) in enumerate(asked.items())
        if found[str(i)] < n
    ]
    if few:
        raise InputError(
            f"business rules hide too much: {'; '.join(few[:_LISTED])}, and lists have {n}. Cure: mend the rules "
            "(stock: rules.stock, prices: features.item), or a smaller score.top_n"
        )


def hidden_for_all(rules: Sequence[Rule], facts: DataFrame) -> DataFrame | None:
    """item_id of what block and in_stock hide from every user, found without the arrays that lists are made with."""
    scoped = (c.STORE_ID, c.COUNTRY, c.USER_GROUP)
    for_all = [rule for rule in rules if rule.kind in (BLOCK, IN_STOCK) and not any(getattr(rule, n) for n in scoped)]
    if not for_all:
        return None
    return facts.where(~reduce(and_, map(_lets_through, for_all))).select(c.ITEM_ID)


def hidden_from_some(rules: Sequence[Rule], facts: DataFrame) -> DataFrame | None:
    """item_id of what block, in_stock and age_limit hide from anybody, whomever else they hold for."""
    for_some = [rule for rule in rules if rule.kind in (BLOCK, IN_STOCK, AGE_LIMIT)]
    return facts.where(~reduce(and_, map(_lets_through, for_some))).select(c.ITEM_ID) if for_some else None


def user_contexts(
    users: DataFrame, user_features: DataFrame, rules: Sequence[Rule], age_attribute: str | None
) -> DataFrame:
    """user_id and `context`, JSON of as much of store, groups and age as rules ask for (rule_plans.context_of)."""
    groups = sorted({rule.user_group for rule in rules if rule.user_group is not None})
    parts: list[Column] = []
    if any(rule.store_id is not None or rule.country is not None for rule in rules):
        users = users.join(user_features.select(c.USER_ID, c.USER_MAIN_STORE_ID), on=c.USER_ID, how="left")
        parts.append(F.col(c.USER_MAIN_STORE_ID).alias(c.STORE_ID))
    if groups:
        asked = F.array(*map(F.lit, groups))
        parts.append(F.filter(asked, lambda group: F.array_contains(_groups(), group)).alias(GROUPS))
    if any(rule.kind == AGE_LIMIT for rule in rules) and age_attribute is not None:
        parts.append(_age(age_attribute).alias(AGE))
    context = F.to_json(F.struct(*parts)) if parts else F.lit("{}")
    return users.select(c.USER_ID, context.alias(CONTEXT))


def left_out_lists(excluded: DataFrame, item_ids: DataFrame) -> DataFrame:
    """user_id and `left_out`, item indexes, of pairs that must not stand in a list."""
    indexed = excluded.join(item_ids, on=c.ITEM_ID, how="inner")
    return indexed.groupBy(c.USER_ID).agg(F.collect_set(c.ITEM_IDX).alias(LEFT_OUT))


def _named(rules: Sequence[Rule]) -> dict[tuple[str, str], str]:
    """What rules name, with the id of one rule that does."""
    named: dict[tuple[str, str], str] = {}
    for rule in reversed(rules):
        named |= {(ITEM, item): rule.rule_id for item in rule.item_ids}
        named |= {(rule.attribute or "", value): rule.rule_id for value in rule.attribute_values}
        scopes = ((STORE, rule.store_id), (c.COUNTRY, rule.country), (GROUP, rule.user_group))
        named |= {(what, name): rule.rule_id for what, name in scopes if name is not None}
    return named


def _known_names(items: DataFrame, users: DataFrame, user_features: DataFrame) -> DataFrame:
    parts = [
        items.select(F.lit(ITEM).alias(_WHAT), F.col(c.ITEM_ID).alias(_NAME)),
        *(items.select(F.lit(name).alias(_WHAT), F.col(name).alias(_NAME)) for name in ITEM_ATTRIBUTES),
        user_features.select(F.lit(STORE).alias(_WHAT), F.col(c.USER_MAIN_STORE_ID).alias(_NAME)),
        users.select(F.lit(GROUP).alias(_WHAT), F.explode(_groups()).alias(_NAME)),
    ]
    return reduce(DataFrame.unionByName, parts)


def _groups() -> Column:
    pairs = F.transform(F.map_entries(c.ATTRIBUTES), lambda entry: F.concat_ws("=", entry["key"], entry["value"]))
    return F.coalesce(pairs, F.array().cast("array<string>"))


def _age(attribute: str) -> Column:
    """The first number of texts such as 25-34 or 65+; null where there is none."""
    digits = F.regexp_extract(F.try_element_at(F.col(c.ATTRIBUTES), F.lit(attribute)), r"(\d{1,3})", 1)
    return F.when(digits != "", digits.cast("int"))


def _contexts(rules: Sequence[Rule], countries: Mapping[str, str]) -> list[Context]:
    """For users under no scoped rule, and under those of each scope."""
    scopes = {(rule.store_id, rule.country, rule.user_group) for rule in rules} | {(None, None, None)}
    return [
        Context(
            store=store,
            country=country or countries.get(store or ""),
            groups=frozenset() if group is None else frozenset([group]),
            age=None,
        )
        for store, country, group in sorted(scopes, key=str)
    ]


def _filters_in(rules: Sequence[Rule], context: Context) -> tuple[int, ...]:
    return tuple(number for number in rules_in(rules, context) if rules[number].kind in FILTERS)


def _is_shown(rules: Sequence[Rule], numbers: Sequence[int]) -> Column:
    return reduce(and_, (_lets_through(rules[number]) for number in numbers))


def _lets_through(rule: Rule) -> Column:
    is_about = _is_about(rule)
    if rule.kind in (BLOCK, AGE_LIMIT):
        return ~is_about
    if rule.kind == IN_STOCK:
        return ~is_about | F.coalesce(IS_IN_STOCK, F.lit(False))
    if rule.kind == ALLOW_ONLY:
        return is_about
    price = F.col(c.ITEM_PRICE_CENTS_91D)
    bounds = [price >= rule.min_cents] if rule.min_cents is not None else []
    bounds += [price <= rule.max_cents] if rule.max_cents is not None else []
    return ~is_about | F.coalesce(reduce(and_, bounds), F.lit(False))


def _is_about(rule: Rule) -> Column:
    if rule.is_about_all:
        return F.lit(True)
    parts = [F.col(c.ITEM_ID).isin(list(rule.item_ids))] if rule.item_ids else []
    if rule.attribute is not None and rule.attribute_values:
        parts.append(F.col(rule.attribute).isin(list(rule.attribute_values)))
    elif rule.attribute is not None and not rule.item_ids:
        parts.append(F.col(rule.attribute).isNotNull())
    return F.coalesce(reduce(or_, parts), F.lit(False))


def _text(context: Context) -> str:
    parts = [(STORE, context.store), (c.COUNTRY, context.country), *((GROUP, name) for name in sorted(context.groups))]
    return ", ".join(f"{name} {value}" for name, value in parts if value is not None) or "all users"
