from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import Row, SparkSession

from recsys.frames.local_rows import local_rows
from recsys.scoring.evidence import evidence_of, largest, padded, runs_of
from recsys.scoring.reasons import TEMPLATES, with_reasons

OWN_TYPE = "array<struct<kind:string,id:string,name:string,contribution:double>>"
SCHEMA = (
    "item_id string, source string, contribution double, purchases bigint, category string, "
    f"category_purchases bigint, buyers bigint, own_evidence {OWN_TYPE}"
)
NOTHING = {"contribution": None, "purchases": None, "category": None, "category_purchases": None, "buyers": None}


def reason_of(spark: SparkSession, source: str, own: list[tuple[Any, ...]] | None = None, **facts: Any) -> Row:
    values = {"item_id": "tea", "source": source, **NOTHING, "own_evidence": own, **facts}
    row = with_reasons(local_rows(spark, [tuple(values.values())], SCHEMA)).first()
    assert row is not None
    assert row.__fields__ == ["item_id", "source", "reason", "evidence", "reason_en", "reason_zh"]
    return row


CUP, POT = ("bought", "c1", "Cup {count}", 0.4), ("bought", "p1", "Pot", 0.1)
SEEN = ("taken", "c1", "Cup", 0.4)


@pytest.mark.parametrize(
    ("source", "own", "facts", "reason", "evidence", "english", "chinese"),
    [
        ("own", None, {"purchases": 3, "contribution": 0.2}, "bought_before", [("bought", "tea", 3, 0.2)],
         "You bought it on 3 days of the last year.", "近一年您有3天买过它。"),
        ("own", None, {"purchases": 1, "contribution": 0.2}, "bought_before", [("bought", "tea", 1, 0.2)],
         "You bought it in the last year.", "近一年您有1天买过它。"),
        ("own", None, {"purchases": 3, "contribution": -0.2}, "similar_taste", [], "We expect that you like it.",
         "我们猜您会喜欢它。"),
        ("viewed", None, {"purchases": 0, "contribution": 0.0}, "similar_taste", [], "We expect that you like it.",
         "我们猜您会喜欢它。"),
        ("category", None, {"category": "Hot drinks", "category_purchases": 4, "contribution": -0.1, "buyers": 2},
         "popular_now", [("buyers", "tea", 2, None)], "2 customers bought it in the last four weeks.",
         "近四周有2位顾客购买了它。"),
        ("viewed", None, {"purchases": 0, "contribution": 0.2}, "viewed_before", [("viewed", "tea", None, 0.2)],
         "You looked at it or put it into your cart lately.", "您最近浏览过它或将它加入过购物车。"),
        ("category", None, {"category": "Hot drinks", "category_purchases": 4, "contribution": 0.1},
         "favourite_category", [("category", "Hot drinks", 4, 0.1)],
         "You made 4 purchases of Hot drinks in the last three months.", "近三个月您购买过4次“Hot drinks”类商品。"),
        ("popular", None, {"buyers": 12, "purchases": 2}, "popular_now", [("buyers", "tea", 12, None)],
         "12 customers bought it in the last four weeks.", "近四周有12位顾客购买了它。"),
        ("fill", None, {"buyers": 1}, "popular_now", [("buyers", "tea", 1, None)],
         "A customer bought it in the last four weeks.", "近四周有1位顾客购买了它。"),
        ("store", None, {"buyers": 2}, "popular_now", [("buyers", "tea", 2, None)],
         "2 customers bought it in the last four weeks.", "近四周有2位顾客购买了它。"),
        ("new", None, {"buyers": 2}, "popular_now", [("buyers", "tea", 2, None)],
         "2 customers bought it in the last four weeks.", "近四周有2位顾客购买了它。"),
        ("popular", None, {}, "in_our_range", [], "From our range.", "来自我们的商品。"),
        ("rule", None, {"buyers": 5}, "chosen_by_the_shop", [], "Chosen by the shop.", "店家为您精选。"),
        ("all", [CUP], {}, "goes_with_bought", [("bought", "c1", None, 0.4)],
         "Because you bought Cup {count}.", "因为您购买过Cup {count}。"),
        ("all", [CUP, POT], {}, "goes_with_two_bought", [("bought", "c1", None, 0.4), ("bought", "p1", None, 0.1)],
         "Because you bought Cup {count} and Pot.", "因为您购买过Cup {count}和Pot。"),
        ("all", [SEEN], {}, "goes_with_taken", [("taken", "c1", None, 0.4)],
         "Because you looked at or bought Cup.", "因为您浏览或购买过Cup。"),
        ("all", [], {"buyers": 3}, "similar_taste", [], "We expect that you like it.", "我们猜您会喜欢它。"),
        ("all", None, {}, "similar_taste", [], "We expect that you like it.", "我们猜您会喜欢它。"),
        ("mlp+lightgcn", None, {"buyers": 3, "purchases": 2}, "similar_taste", [], "We expect that you like it.",
         "我们猜您会喜欢它。"),
        ("mlp", None, {"buyers": 3}, "similar_taste", [], "We expect that you like it.", "我们猜您会喜欢它。"),
    ],
)  # fmt: skip
def test_a_reason_says_what_the_facts_say(
    spark: SparkSession, source: str, own: list[tuple[Any, ...]] | None, facts: dict[str, Any], reason: str,
    evidence: list[tuple[Any, ...]], english: str, chinese: str,
) -> None:  # fmt: skip
    row = reason_of(spark, source, own, **facts)
    assert (row["reason"], [tuple(one) for one in row["evidence"]]) == (reason, evidence)
    assert (row["reason_en"], row["reason_zh"]) == (english, chinese)


def test_every_code_has_both_languages_with_the_same_places() -> None:
    for code, template in TEMPLATES.items():
        for place in ("{first}", "{second}", "{count}"):
            assert (place in template.english) == (place in template.chinese), code


class Planted:
    """The score owes to a taken item its own number less that of the recommended one; user 1 keeps its own history."""

    def num_taken(self, asked_B: Any, _: Any) -> Any:
        return np.ones_like(asked_B)

    def evidence(self, asked_B: Any, taken_BH: Any, item_BK: Any) -> tuple[Any, Any]:
        taken_BH = np.where((asked_B == 1)[:, None], 7, taken_BH)
        return taken_BH, np.where(taken_BH < 0, 0, taken_BH)[:, None, :] - item_BK[:, :, None].astype(float)


def test_the_largest_contributions_above_zero_are_asked_for_on_the_executors(spark: SparkSession) -> None:
    schema = "user_id string, asked int, taken array<int>, item_idx array<int>"
    rows = [("u", 0, [3, 9, 4], [3, 8]), ("v", 1, [1], [6]), ("w", 2, None, [5])]
    found = evidence_of(local_rows(spark, rows, schema), Planted, 2).collect()
    assert sorted(tuple(row) for row in found) == [
        ("u", 3, 1, 9, 6.0), ("u", 3, 2, 4, 1.0), ("u", 8, 1, 9, 1.0), ("v", 6, 1, 7, 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [
        ([], []),
        ([0, 0, 0], [(0, 3)]),
        ([3, 3, 3, 3], [(0, 3), (3, 4)]),  # nine in all
        ([1, 1, 5, 5, 1], [(0, 2), (2, 3), (3, 4), (4, 5)]),  # filled up to the largest
        ([20, 1, 30], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_users_are_explained_together_as_long_as_their_contributions_fit(
    sizes: list[int], runs: list[tuple[int, int]]
) -> None:
    assert list(runs_of(np.array(sizes, dtype=np.int64), 9)) == runs


def test_equal_contributions_stand_by_index_and_none_are_left_out() -> None:
    taken_BH = np.array([[5, 2, 8]])
    row, place, at, rank = largest(taken_BH, np.array([[[0.5, 0.5, 0.7], [0.0, -1.0, 0.0]]]), 2)
    assert (row.tolist(), place.tolist(), taken_BH[0, at].tolist(), rank.tolist()) == ([0, 0], [0, 0], [8, 2], [1, 2])


def test_lists_of_unequal_length_are_filled_up() -> None:
    assert padded(pa.array([[1, 2], None, [], [3]], pa.list_(pa.int32()))).tolist() == [
        [1, 2],
        [-1] * 2,
        [-1] * 2,
        [3, -1],
    ]
