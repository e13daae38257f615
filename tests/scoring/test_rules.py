from dataclasses import replace
from datetime import date

import pytest

from recsys import columns as c
from recsys import tables
from recsys.errors import ConfigError, InputError
from recsys.frames.local_rows import local_rows
from recsys.scoring.rule_checks import (
    contexts_met,
    hidden_for_all,
    hidden_pins,
    pinned_values,
    require_enough_items,
    require_known_names,
    require_told_attributes,
    user_contexts,
)  # fmt: skip
from recsys.scoring.rule_contradictions import require_no_contradictions
from recsys.scoring.rule_plans import context_of, rules_in
from recsys.scoring.rules import RULES, Rule, rules_of
from tests.feature_rows import rows_of

PIN = {c.RULE_ID: "p", c.KIND: "pin", c.ITEM_IDS: ["a"], c.RANK: 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({c.KIND: "block", c.ITEM_IDS: ["a"]}, r"'' has no rule_id"),
        ({c.RULE_ID: "x", c.KIND: "hide"}, r"'x' is of unknown kind 'hide'; known kinds: \['age_limit', 'allow_only',"),
        ({c.RULE_ID: "x", c.KIND: "block"}, r"'x' names no items: give item_ids, or attribute with attribute_values"),
        ({c.RULE_ID: "x", c.KIND: "block", c.ATTRIBUTE: "colour"}, r"by attribute 'colour'; items have \['category',"),
        ({c.RULE_ID: "x", c.KIND: "block", c.ATTRIBUTE_VALUES: ["a"]}, r"attribute_values without attribute"),
        ({**PIN, c.RANK: None}, r"'p' \(pin\) lacks \['rank'\]"),
        ({**PIN, c.K: 2}, r"'p' \(pin\) has \['k'\], which it does not take"),
        ({**PIN, c.ITEM_IDS: ["a", "b"]}, r"pins one item at a rank from 1, found items \['a', 'b'\] and rank 1"),
        ({c.RULE_ID: "x", c.KIND: "at_most", c.ATTRIBUTE: "brand", c.K: 0}, r"needs k of at least 1, found 0"),
        ({c.RULE_ID: "x", c.KIND: "boost", c.ITEM_IDS: ["a"], c.PLACES: 0}, r"needs places of at least 1, found 0"),
        ({c.RULE_ID: "x", c.KIND: "price_range"}, r"needs min_cents or max_cents"),
        ({c.RULE_ID: "x", c.KIND: "price_range", c.MIN_CENTS: 2, c.MAX_CENTS: 1}, r"min_cents 2 above max_cents 1"),
        ({c.RULE_ID: "x", c.KIND: "not_together", c.ITEM_IDS: ["a"]}, r"two or more items .* found 1"),
        ({**PIN, c.USER_GROUP: "kids"}, r"user_group 'kids'; expected name=value"),
        ({**PIN, c.VALID_FROM: date(2020, 1, 2), c.VALID_TO: date(2020, 1, 2)}, r"which is no day"),
    ],
)
def test_a_row_that_is_no_rule_is_refused_with_what_is_wrong(row, message):
    with pytest.raises(ConfigError, match=message):
        rules_of([row])


def test_a_rule_that_is_there_twice_is_refused_and_many_faults_are_counted():
    with pytest.raises(ConfigError, match=r"'p' is there twice. Cure: write the rows as jobs/README.md"):
        rules_of([PIN, PIN])
    with pytest.raises(ConfigError, match=r"and 2 more. Cure"):
        rules_of([{c.RULE_ID: f"x{i}", c.KIND: "hide"} for i in range(7)])


def test_every_kind_says_what_it_does():
    assert len(RULES) == 10
    assert all(kind.sentence for kind in RULES.values())


def pin(rule_id="p", item="a", rank=1, **more):
    return Rule(rule_id=rule_id, kind="pin", item_ids=(item,), rank=rank, **more)


def block(**more):
    return Rule(rule_id="no", kind="block", item_ids=("a",), **more)


def boost(**more):
    return Rule(**{"rule_id": "up", "kind": "boost", "item_ids": ("a",), "places": 2, **more})


def bury(**more):
    return Rule(**{"rule_id": "down", "kind": "bury", "item_ids": ("a",), "places": 2, **more})


VALUES = {"a": {c.CATEGORY: "cup"}, "b": {c.CATEGORY: "tea"}, "c": {c.CATEGORY: "cup"}}
CUPS = {"attribute": "category", "attribute_values": ("cup",)}
ADULTS = Rule(rule_id="adults", kind="age_limit", item_ids=("a",), min_age=18)
APART = Rule(rule_id="apart", kind="not_together", item_ids=("a", "b"))
CUP_OR_B = Rule(rule_id="cup_or_b", kind="not_together", item_ids=("b", "jug"), **CUPS)
FEW = Rule(rule_id="few", kind="at_most", attribute="category", k=1)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([pin(), block()], r"'p' pins 'a', which 'no' \(block\) hides. Cure: take one of them back, or part them"),
        ([pin(store_id="1"), block(country="DE")], r"hides"),
        ([pin(user_group="age=1"), block(user_group="kids=yes")], r"hides"),
        ([pin(rank=11)], r"'p' pins at rank 11, lists have 10"),
        ([pin(), pin("q", "b")], r"'p' and 'q' pin two items at rank 1 with one priority"),
        ([pin(), pin("q", "a", 2)], r"'p' and 'q' pin 'a' at ranks 1 and 2"),
        (
            [pin(), Rule(rule_id="tea", kind="allow_only", attribute="category", attribute_values=("tea",))],
            r"'p' pins 'a', which 'tea' \(allow_only\) hides",
        ),
        ([pin(user_group="age=16-17"), ADULTS], r"'p' pins 'a', which 'adults' \(age_limit\) hides"),
        ([pin(), pin("q", "b", 2), APART], r"'apart' \(not_together\) forbids what 'p' and 'q' pin"),
        ([pin(), pin("q", "jug", 2), CUP_OR_B], r"'cup_or_b' \(not_together\) forbids what 'p' and 'q' pin"),
        (
            [pin(), pin("q", "c", 2), pin("r", "b", 3), FEW],
            r"'few' \(at_most\) allows 1 of 'cup', and \['p', 'q'\] pin 2",
        ),
        ([boost(), bury()], r"'up' boosts and 'down' buries 'a'"),
        ([boost(item_ids=(), **CUPS), bury(**CUPS)], r"'up' boosts and 'down' buries 'category cup'"),
    ],
)
def test_contradictions_are_named(rules, message):
    with pytest.raises(ConfigError, match=message):
        require_no_contradictions(rules, VALUES, 10, "age")


@pytest.mark.parametrize(
    "rules",
    [
        [pin(store_id="1"), block(store_id="2")],
        [pin(user_group="age=1"), block(user_group="age=2")],
        [pin(valid_to=date(2020, 1, 2)), block(valid_from=date(2020, 1, 2))],
        [pin(), pin("q", "b", priority=1)],
        [pin(), Rule(rule_id="cups", kind="allow_only", attribute="category", attribute_values=("cup",))],
        [pin(), ADULTS],  # stands for those who are known to be old enough
        [pin(user_group="age=65+"), ADULTS],
        [pin(user_group="kids=yes"), ADULTS],
        [pin(), pin("q", "b", priority=1), APART],  # of one rank, only one can stand
        [pin(store_id="1"), pin("q", "b", 2, store_id="2"), APART],
        [pin(), pin("q", "c", 2), CUP_OR_B],  # two cups are of one name
        [pin(), pin("q", "b", 2), FEW],
        [pin(), pin("q", "c", 2), replace(FEW, k=2)],
        [pin(store_id="1"), pin("q", "c", 2), replace(FEW, store_id="2")],
        [boost(), bury(store_id="1")],  # an exception: places add up
        [boost(item_ids=(), **CUPS), bury()],
        [boost(valid_to=date(2020, 1, 2)), bury(valid_from=date(2020, 1, 2))],
    ],
)
def test_rules_that_never_meet_or_agree_are_none(rules):
    require_no_contradictions(rules, VALUES, 10, "age")


def test_where_no_age_is_known_nobody_is_old_enough_for_a_pin():
    with pytest.raises(ConfigError, match=r"'p' pins 'a', which 'adults' \(age_limit\) hides"):
        require_no_contradictions([pin(), ADULTS], VALUES, 10, None)


def test_pins_that_stock_or_price_hide_today_are_named_and_not_refused(facts):
    stock, cheap = Rule(rule_id="stock", kind="in_stock"), Rule(rule_id="cheap", kind="price_range", max_cents=100)
    pins = [pin("p", "a", 1), pin("q", "d", 2, store_id="s2"), pin("r", "e", 3), pin("s", "b", 4)]
    require_no_contradictions([*pins, stock, cheap], VALUES, 10, "age")
    assert hidden_pins([*pins, stock, replace(cheap, store_id="s1")], facts) == [
        "'q' pins 'd', which 'stock' (in_stock) hides today",
        "'r' pins 'e', which 'stock' (in_stock) hides today",
        "'s' pins 'b', which 'cheap' (price_range) hides today",
    ]
    assert hidden_pins(pins, facts) == []


def test_a_list_of_a_country_is_under_the_rules_of_it_and_of_no_store():
    rules = [block(country="DE"), block(country="FR"), block(store_id="s1"), block()]
    assert rules_in(rules, context_of('{"country": "DE"}', {"s1": "FR", "all": "FR"})) == (0, 3)
    assert rules_in(rules, context_of('{"store_id": "s1"}', {"s1": "FR", "all": "DE"})) == (1, 2, 3)


def test_a_rule_holds_in_its_scene_and_on_its_days():
    rule = pin(scene="home", valid_from=date(2020, 1, 2), valid_to=date(2020, 1, 4))
    assert [rule.holds("home", date(2020, 1, day)) for day in (1, 2, 3, 4)] == [False, True, True, False]
    assert not rule.holds("cart", date(2020, 1, 2))
    assert pin().holds("cart", date(2020, 1, 2))


@pytest.fixture(scope="module")
def facts(spark):
    rows = [("a", "cup", 100.0, True), ("b", "tea", None, True), ("d", "tea", 300.0, False), ("e", None, 50.0, None)]
    frame = local_rows(spark, rows, "item_id string, category string, item_price_cents_91d double, is_in_stock boolean")
    return frame.selectExpr("*", *(f"cast(null as string) as {name}" for name in ("brand", "department", "seller")))


@pytest.fixture(scope="module")
def users(spark):
    rows = [("u1", {"age": "25-34", "kids": "yes"}), ("u2", {"age": "65+"}), ("u3", {})]
    return rows_of(spark, tables.USERS, [{c.USER_ID: user, c.ATTRIBUTES: known} for user, known in rows])


@pytest.fixture(scope="module")
def user_features(spark):
    return rows_of(spark, tables.USER_FEATURES, [{c.USER_ID: "u1", c.USER_MAIN_STORE_ID: "s1"}])


def test_names_that_no_table_knows_are_listed(facts, users, user_features):
    known = [
        pin("1", "a", store_id="s1", country="DE", user_group="kids=yes"),
        Rule(rule_id="2", kind="block", attribute="category", attribute_values=("tea",)),
    ]
    require_known_names(known, facts, users, user_features, {"s1": "DE"})
    unknown = [
        pin("3", "z", store_id="s9", user_group="kids=no"),
        Rule(rule_id="4", kind="block", attribute="category", attribute_values=("tee",), country="AT"),
    ]
    with pytest.raises(
        InputError, match=r"category 'tee' in 4; country 'AT' in 4; item 'z' in 3; store 's9' in 3; user"
    ):
        require_known_names(unknown, facts, users, user_features, {"s1": "DE"})


def test_an_attribute_that_no_item_has_is_refused(facts):
    by_category = Rule(rule_id="tea", kind="at_most", attribute="category", k=2)
    require_told_attributes([by_category, pin()], facts)
    by_seller = Rule(rule_id="few", kind="at_most", attribute="seller", k=2)
    with pytest.raises(
        InputError,
        match=r"business rules \['few'\] go by \['seller'\], which no item of clean.items has. .* Cure: name the "
        r"column under items.columns in the source's mapping and run clean_logs again, or take the rules back",
    ):
        require_told_attributes([by_category, by_seller], facts)


def test_rules_that_leave_too_few_items_are_named_with_whom_it_touches(facts):
    tea = Rule(rule_id="tea", kind="allow_only", attribute="category", attribute_values=("tea",))
    stock = Rule(rule_id="stock", kind="in_stock", store_id="s1")
    cheap = Rule(rule_id="cheap", kind="price_range", max_cents=100)
    require_enough_items([tea, stock, pin()], facts, {}, 1)
    with pytest.raises(
        InputError, match=r"hide too much: \['tea', 'stock'\] leave 1 items for store s1, and lists have 2"
    ):
        require_enough_items([tea, stock], facts, {}, 2)
    with pytest.raises(InputError, match=r"\['cheap'\] leave 2 items for all users, and lists have 3"):
        require_enough_items([cheap], facts, {}, 3)


def test_rules_of_two_scopes_that_leave_too_few_items_together_are_named_where_users_have_both(
    facts, users, user_features
):
    tea = Rule(rule_id="tea", kind="allow_only", attribute="category", attribute_values=("tea",), store_id="s1")
    cups = Rule(rule_id="cups", kind="block", item_ids=("b",), user_group="kids=yes")
    other = Rule(rule_id="other", kind="block", item_ids=("d",), user_group="age=65+")
    assert contexts_met(users, user_features, [tea, pin(store_id="s2")], {}) == []
    met = contexts_met(users, user_features, [tea, cups, other], {})
    groups = {context.store: set(context.groups) for context in met if context.groups}
    assert groups == {"s1": {"kids=yes"}, None: {"age=65+"}}
    # Each alone leaves two items or more; those of u1, who is of s1 and has kids, one. Nobody of s1 is 65.
    require_enough_items([tea, cups, other], facts, {}, 2)
    with pytest.raises(
        InputError,
        match=r"hide too much: \['tea', 'cups'\] leave 1 items for store s1, user group kids=yes, and lists have 2",
    ):
        require_enough_items([tea, cups, other], facts, {}, 2, met)


def test_what_is_hidden_from_all_is_found_in_the_table(facts):
    hidden = hidden_for_all([block(), Rule(rule_id="stock", kind="in_stock"), pin()], facts)
    assert hidden is not None
    assert sorted(row[c.ITEM_ID] for row in hidden.collect()) == ["a", "d", "e"]
    assert hidden_for_all([block(store_id="s1")], facts) is None
    assert pinned_values([pin()], facts) == {
        "a": {"category": "cup", "department": None, "brand": None, "seller": None}
    }


def test_contexts_say_what_rules_ask_for(users, user_features):
    rules = [
        block(user_group="kids=yes"),
        pin(store_id="s1"),
        Rule(rule_id="age", kind="age_limit", item_ids=("a",), min_age=18),
    ]
    found = user_contexts(users, user_features, rules, "age").collect()
    assert {row[c.USER_ID]: row["context"] for row in found} == {
        "u1": '{"store_id":"s1","groups":["kids=yes"],"age":25}',
        "u2": '{"groups":[],"age":65}',
        "u3": '{"groups":[]}',
    }
    assert {row["context"] for row in user_contexts(users, user_features, [block()], "age").collect()} == {"{}"}
