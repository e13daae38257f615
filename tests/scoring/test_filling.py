"""Lists under random rules, and small ones by hand. Items 0 to 11; the category of item i is i % 3."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import columns as c
from recsys.scoring import reranking
from recsys.scoring.diversity import DPP, MMR, Diversity
from recsys.scoring.item_facts import COLUMNS, ItemFacts, facts_of
from recsys.scoring.reranking import CONTEXT, LEFT_OUT, Reranking, _Reranker
from recsys.scoring.rules import Rule

NUM_ITEMS, N, DEPTH = 12, 4, 6
CATEGORIES = ["tea", "cup", "cake"]


def facts() -> ItemFacts:
    idx = list(range(NUM_ITEMS))
    values = {
        c.ITEM_IDX: pa.array(idx, pa.int32()),
        c.ITEM_ID: [f"i{i}" for i in idx],
        c.NAME: pa.nulls(NUM_ITEMS, pa.string()),
        c.CATEGORY: [CATEGORIES[i % 3] for i in idx],
        c.DEPARTMENT: pa.nulls(NUM_ITEMS, pa.string()),
        c.BRAND: pa.array(["b" if i < 2 else None for i in idx]),
        c.SELLER: pa.array([f"s{i // 4}" for i in idx]),
        c.ITEM_PRICE_CENTS_91D: pa.array([None if i == 5 else 100.0 * i for i in idx], pa.float64()),
        "is_in_stock": [i != 3 for i in idx],
        "place": pa.array([i + 1 for i in idx], pa.int32()),
    }
    return facts_of(pa.table(values).select(COLUMNS))


def lists(rows, left_out=None, contexts=None) -> pa.RecordBatch:
    columns = {
        c.USER_ID: [f"u{number}" for number in range(len(rows))],
        c.ITEM_IDX: pa.array(rows, pa.list_(pa.int32())),
        c.SCORE: pa.array([None if r is None else [1 - 0.1 * k for k in range(len(r))] for r in rows]),
        c.SOURCE: pa.array([None if r is None else ["all"] * len(r) for r in rows], pa.list_(pa.string())),
        c.CONTRIBUTION: pa.array([None if r is None else [i / 100 for i in r] for r in rows], pa.list_(pa.float64())),
        LEFT_OUT: pa.array(left_out or [None] * len(rows), pa.list_(pa.int32())),
        CONTEXT: pa.array(contexts or ["{}"] * len(rows), pa.string()),
    }
    return pa.RecordBatch.from_pydict({**columns, c.SCORE: columns[c.SCORE].cast(pa.list_(pa.float64()))})


def published(rows, rules=(), left_out=None, contexts=None, diversity=None, *, is_strict=False):
    reranking = Reranking(
        rules=tuple(rules), countries={"s1": "DE"}, diversity=diversity, n=N, depth=DEPTH, is_strict=is_strict
    )
    found = _Reranker(facts(), reranking, None).reranked(lists(rows, left_out, contexts)).to_pylist()
    by_user: dict[str, list] = {f"u{number}": [] for number in range(len(rows))}
    for row in found:
        assert row[c.RANK] == len(by_user[row[c.USER_ID]]) + 1, "ranks have no gap"
        is_listed = row[c.SOURCE] == "all"
        assert row[c.CONTRIBUTION] == (int(row[c.ITEM_ID][1:]) / 100 if is_listed else None), "stays with the item"
        by_user[row[c.USER_ID]].append(row)
    return [by_user[f"u{number}"] for number in range(len(rows))]


def items_of(rows):
    return [int(row[c.ITEM_ID][1:]) for row in rows]


def rule(kind, rule_id="r", **values):
    return Rule(rule_id=rule_id, kind=kind, **values)


LIST = [0, 3, 6, 9, 1, 2]  # four of tea, then a cup and a cake


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], [0, 3, 6, 9]),
        ([rule("block", item_ids=("i3",))], [0, 6, 9, 1]),
        ([rule("block", attribute="category", attribute_values=("tea",))], [1, 2, 4, 5]),  # filled with popular ones
        ([rule("allow_only", attribute="category", attribute_values=("cup", "cake"))], [1, 2, 4, 5]),
        ([rule("at_most", attribute="category", k=2)], [0, 3, 1, 2]),
        ([rule("at_most", attribute="seller", k=1)], [0, 6, 9, 3]),  # gives way for the last place
        ([rule("not_together", item_ids=("i0", "i6"))], [0, 3, 9, 1]),
        ([rule("not_together", attribute="category", attribute_values=("tea", "cup"))], [0, 3, 6, 9]),
        ([rule("in_stock")], [0, 6, 9, 1]),
        ([rule("price_range", min_cents=300)], [3, 6, 9, 4]),  # item 5 has no price
        ([rule("pin", item_ids=("i2",), rank=2)], [0, 2, 3, 6]),
        ([rule("pin", item_ids=("i11",), rank=1)], [11, 0, 3, 6]),
        ([rule("boost", item_ids=("i1",), places=3)], [0, 1, 3, 6]),
        ([rule("bury", item_ids=("i0",), places=2)], [3, 6, 0, 9]),
        ([rule("age_limit", item_ids=("i0",), min_age=18)], [3, 6, 9, 1]),  # no age is known
    ],
)
def test_each_kind_of_rule(rules, expected):
    (rows,) = published([LIST], rules)
    assert items_of(rows) == expected


def test_rows_say_what_touched_them_and_where_they_stood():
    rules = [
        rule("boost", "up", item_ids=("i6",), places=1),
        rule("pin", "top", item_ids=("i11",), rank=1),
        rule("block", "gone", item_ids=("i0",)),
    ]
    (rows,) = published([LIST], rules)
    told = [(row[c.ITEM_ID], row[c.RULES], row[c.RANK_BEFORE_RULES], row[c.SOURCE], row[c.SCORE]) for row in rows]
    assert told == [
        ("i11", ["top"], None, "rule", None),
        ("i6", ["up"], 3, "all", 0.8),
        ("i3", [], 2, "all", 0.9),
        ("i9", [], 4, "all", 0.7),
    ]
    assert [sorted(row["kept_away"]) for row in rows] == [["gone", "top"], [], [], []]


def test_rules_hold_for_whom_they_are_meant():
    rules = [
        rule("block", "store", item_ids=("i0",), store_id="s1"),
        rule("block", "country", item_ids=("i3",), country="DE"),
        rule("block", "group", item_ids=("i6",), user_group="kids=yes"),
        rule("age_limit", "age", item_ids=("i9",), min_age=18),
    ]
    contexts = [
        json.dumps(text) for text in ({"store_id": "s1", "age": 30}, {"groups": ["kids=yes"], "age": 9}, {"age": 18})
    ]
    found = published([LIST, LIST, LIST], rules, contexts=contexts)
    assert [items_of(rows) for rows in found] == [[6, 9, 1, 2], [0, 3, 1, 2], [0, 3, 6, 9]]


def test_the_rule_of_lowest_priority_gives_way_first_and_the_row_says_so():
    only_brand = rule("allow_only", "brand", attribute="brand", attribute_values=("b",), priority=1)
    few = rule("at_most", "few", attribute="category", k=1, priority=2)
    (rows,) = published([LIST], [only_brand, few])
    assert items_of(rows)[:3] == [0, 1, 2], "brand b first; then one of another category, as `few` still holds"
    assert [row[c.RULES] for row in rows][:3] == [[], [], ["relaxed:brand"]]
    assert rows[3][c.RULES] == ["relaxed:brand", "relaxed:few"]


def test_users_without_a_list_get_the_popular_one_without_what_is_left_out():
    (rows,) = published([None], left_out=[[0, 2]])
    assert items_of(rows) == [1, 3, 4, 5]
    assert [row[c.SOURCE] for row in rows] == ["popular"] * 4
    assert [row[c.SCORE] for row in rows] == [0.5, 0.25, 0.2, 0.166667]


def test_whose_popular_items_are_all_left_out_gets_those_that_come_after_them(monkeypatch):
    # Else this catalogue is too small for items to come after them.
    monkeypatch.setattr(reranking, "_FILL_FACTOR", 1)
    rows, other, none = published([None, LIST, LIST], left_out=[list(range(11)), None, list(range(12))])
    assert [(row[c.ITEM_ID], row[c.SOURCE], row[c.SCORE]) for row in rows] == [("i11", "fill", None)]
    assert items_of(other) == [0, 3, 6, 9]
    assert none == [], "nothing may be shown"


def test_a_pin_names_nothing_that_is_left_out_or_blocked():
    pins = [rule("pin", "a", item_ids=("i11",), rank=1), rule("pin", "b", item_ids=("i10",), rank=2)]
    (rows,) = published([LIST], [*pins, rule("block", item_ids=("i10",))], left_out=[[11]])
    assert items_of(rows) == [0, 3, 6, 9]


def test_a_pinned_item_that_is_popular_too_stands_once_in_a_list_that_is_filled_up():
    rules = [
        rule("at_most", "few", attribute="category", k=1),
        rule("block", "no", item_ids=tuple(f"i{item}" for item in (0, 2, 4, 6, 7, 9))),
        rule("pin", "top", item_ids=("i8",), rank=1),
    ]
    (rows,) = published([None], rules, left_out=[[1, 3, 5]])
    assert items_of(rows) == [8, 10, 11]


@pytest.mark.parametrize("method", [MMR, DPP])
def test_diversity_keeps_the_best_and_brings_other_categories_up(method):
    (plain,) = published([LIST], diversity=Diversity(method=method, by=c.CATEGORY, weight=0.0))
    assert items_of(plain) == [0, 3, 6, 9]
    (mixed,) = published([LIST], diversity=Diversity(method=method, by=c.CATEGORY, weight=0.9))
    assert items_of(mixed) == [0, 1, 2, 3]


ITEM = st.integers(0, NUM_ITEMS - 1)
RANKED = st.lists(ITEM, unique=True, max_size=DEPTH)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.one_of(st.none(), RANKED), min_size=1, max_size=4),
    blocked=st.sets(ITEM, max_size=6),
    pinned=st.none() | st.tuples(ITEM, st.integers(1, N)),
    k=st.integers(1, 3),
    left_out=st.sets(ITEM, max_size=3),
    method=st.sampled_from([None, MMR, DPP]),
)
def test_promises_of_rules_on_random_lists(rows, blocked, pinned, k, left_out, method):
    rules = [rule("at_most", "few", attribute="category", k=k)]
    rules += [rule("block", "no", item_ids=tuple(f"i{item}" for item in sorted(blocked)))] if blocked else []
    rules += [rule("pin", "top", item_ids=(f"i{pinned[0]}",), rank=pinned[1])] if pinned else []
    diversity = None if method is None else Diversity(method=method, by=c.CATEGORY, weight=0.5)
    left = [sorted(left_out)] * len(rows)
    found = published(rows, rules, left_out=left, diversity=diversity)
    alone = [published([row], rules, left_out=left[:1], diversity=diversity)[0] for row in rows]
    for row, of_user, one in zip(rows, found, alone, strict=True):
        items = items_of(of_user)
        assert items == items_of(one), "a list does not depend on its company"
        assert len(set(items)) == len(items)
        assert not {*items} & (blocked | left_out)
        assert len(items) == min(N, NUM_ITEMS - len(blocked | left_out)), "filled as far as there are items"
        if pinned and pinned[0] not in blocked | left_out and len(items) >= pinned[1]:
            assert items[pinned[1] - 1] == pinned[0]
        kept = [item for item, r in zip(items, of_user, strict=True) if "relaxed:few" not in r[c.RULES]]
        assert max(np.bincount([item % 3 for item in kept], minlength=1), default=0) <= k
        if row is not None and method is None:
            plain = [i for i, r in zip(items, of_user, strict=True) if r[c.RULES] == [] and r[c.SOURCE] == "all"]
            assert plain == [item for item in row if item in plain], "order otherwise kept"


def test_under_strict_rules_a_short_list_stays_short_and_no_rule_gives_way():
    few, only = rule("at_most", "few", attribute="category", k=1), rule("allow_only", "b", item_ids=("i0", "i1", "i3"))
    (rows,) = published([LIST], [few, only], is_strict=True)
    assert [(row[c.ITEM_ID], row[c.RULES]) for row in rows] == [("i0", []), ("i1", [])]
    assert sorted(rows[0]["kept_away"]) == ["b", "few"]
    assert published([LIST, LIST[:1]], [rule("block", item_ids=("i0",))], is_strict=True)[1] == []


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(RANKED, min_size=1, max_size=4),
    blocked=st.sets(ITEM, max_size=6),
    pinned=st.none() | st.tuples(ITEM, st.integers(1, N)),
    k=st.integers(1, 3),
    left_out=st.sets(ITEM, max_size=3),
)
def test_promises_of_strict_rules_on_random_lists(rows, blocked, pinned, k, left_out):
    rules = [rule("at_most", "few", attribute="category", k=k)]
    rules += [rule("block", "no", item_ids=tuple(f"i{item}" for item in sorted(blocked)))] if blocked else []
    rules += [rule("pin", "top", item_ids=(f"i{pinned[0]}",), rank=pinned[1])] if pinned else []
    found = published(rows, rules, left_out=[sorted(left_out)] * len(rows), is_strict=True)
    for row, of_user in zip(rows, found, strict=True):
        pins = [pinned[0]] if pinned and pinned[0] not in blocked | left_out else []
        expected: list[int] = list(pins)
        for item in row:
            is_full = [other % 3 for other in expected].count(item % 3) >= k
            if item not in {*expected, *blocked, *left_out} and not is_full and len(expected) < N:
                expected.append(item)
        if pins:
            expected = expected[1:]
            expected.insert(min(pinned[1] - 1, len(expected)), pins[0])
        assert items_of(of_user) == expected
        assert all(r[c.RULES] == (["top"] if r[c.ITEM_ID] == f"i{pins[0]}" else []) for r in of_user if pins)
