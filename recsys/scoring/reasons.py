"""Why an item is in a list: a code, the evidence and a sentence for people, in English and Chinese.

A sentence says what the evidence says, and no more: what the user bought, looked at or put into the cart, or how many
others bought the item.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.scoring.candidates import CATEGORY, NEW, OWN, POPULAR, VIEWED
from recsys.scoring.cold_users import STORE
from recsys.scoring.reranking import FILL, RULE
from recsys.scoring.top_n import ALL

# Kinds of evidence.
BOUGHT, LOOKED_AT, TAKEN, OF_CATEGORY, BUYERS = "bought", "viewed", "taken", "category", "buyers"
EVIDENCE = "array<struct<kind:string,id:string,count:bigint,contribution:double>>"

# Columns beside the list's own that a reason is made of.
FACTS = (c.CONTRIBUTION, c.PURCHASES, c.CATEGORY, c.CATEGORY_PURCHASES, c.BUYERS, c.OWN_EVIDENCE)


@dataclass(frozen=True)
class Template:
    """`{first}`, `{second}`: names in the evidence; `{count}`: its number; `english_of_one`: where that is 1."""

    english: str
    chinese: str
    english_of_one: str = ""


TEMPLATES: Mapping[str, Template] = {
    "bought_before": Template(
        "You bought it on {count} days of the last year.",
        "近一年您有{count}天买过它。",
        "You bought it in the last year.",
    ),
    "viewed_before": Template(
        "You looked at it or put it into your cart lately.", "您最近浏览过它或将它加入过购物车。"
    ),
    "favourite_category": Template(
        "You made {count} purchases of {first} in the last three months.",
        "近三个月您购买过{count}次“{first}”类商品。",
        "You bought {first} in the last three months.",
    ),
    "popular_now": Template(
        "{count} customers bought it in the last four weeks.",
        "近四周有{count}位顾客购买了它。",
        "A customer bought it in the last four weeks.",
    ),
    "goes_with_bought": Template("Because you bought {first}.", "因为您购买过{first}。"),
    "goes_with_two_bought": Template("Because you bought {first} and {second}.", "因为您购买过{first}和{second}。"),
    "goes_with_taken": Template("Because you looked at or bought {first}.", "因为您浏览或购买过{first}。"),
    "goes_with_two_taken": Template(
        "Because you looked at or bought {first} and {second}.", "因为您浏览或购买过{first}和{second}。"
    ),
    "similar_taste": Template("We expect that you like it.", "我们猜您会喜欢它。"),
    "chosen_by_the_shop": Template("Chosen by the shop.", "店家为您精选。"),
    "in_our_range": Template("From our range.", "来自我们的商品。"),
}


def with_reasons(rows: DataFrame) -> DataFrame:
    """Adds reason, evidence, reason_en and reason_zh to rows with `source` and FACTS, and takes these away.

    `own_evidence`: of a model that ranks all items, what it rests on: structs of kind, id, name and contribution;
    `contribution`: of one that ranks candidates, what the score owes to the row's own evidence, which is a reason where
    it is above 0. Null: nothing is told.
    """
    coded = rows.withColumn(c.REASON, _code()).withColumn(c.EVIDENCE, _evidence())
    told = coded.withColumns({c.REASON_EN: _sentence("english"), c.REASON_ZH: _sentence("chinese")})
    return told.drop(*FACTS)


def _code() -> Column:
    own, source = F.col(c.OWN_EVIDENCE), F.col(c.SOURCE)
    is_two, is_bought = F.size(own) > 1, F.get(own, F.lit(0))["kind"] == BOUGHT
    goes_with = (
        F.when(is_two & is_bought, "goes_with_two_bought")
        .when(is_bought, "goes_with_bought")
        .when(is_two, "goes_with_two_taken")
        .otherwise("goes_with_taken")
    )
    is_told = F.coalesce(F.size(own), F.lit(0)) > 0
    # What the score does not owe is no reason.
    is_owed = F.coalesce(F.col(c.CONTRIBUTION) > 0, F.lit(True))
    return (
        F.when((source == OWN) & (F.col(c.PURCHASES) > 0) & is_owed, "bought_before")
        .when(source.isin(VIEWED, OWN) & is_owed, "viewed_before")
        .when((source == CATEGORY) & (F.col(c.CATEGORY_PURCHASES) > 0) & is_owed, "favourite_category")
        .when((source == ALL) & is_told, goes_with)
        .when(source == RULE, "chosen_by_the_shop")
        # All items were ranked, or models are named whose lists were fused.
        .when(~source.isin(CATEGORY, NEW, STORE, POPULAR, FILL), "similar_taste")
        .when(F.col(c.BUYERS) > 0, "popular_now")
        .otherwise("in_our_range")
    )


def _evidence() -> Column:
    reason, nothing = F.col(c.REASON), F.array().cast(EVIDENCE)
    of_items = F.transform(c.OWN_EVIDENCE, lambda own: _entry(own["kind"], own["id"], None, own[c.CONTRIBUTION]))
    contribution = F.col(c.CONTRIBUTION)
    return (
        F.when(reason == "bought_before", F.array(_entry(F.lit(BOUGHT), F.col(c.ITEM_ID), c.PURCHASES, contribution)))
        .when(reason == "viewed_before", F.array(_entry(F.lit(LOOKED_AT), F.col(c.ITEM_ID), None, contribution)))
        .when(
            reason == "favourite_category",
            F.array(_entry(F.lit(OF_CATEGORY), F.col(c.CATEGORY), c.CATEGORY_PURCHASES, contribution)),
        )
        .when(reason == "popular_now", F.array(_entry(F.lit(BUYERS), F.col(c.ITEM_ID), c.BUYERS, F.lit(None))))
        .when(F.startswith(reason, F.lit("goes_with")), of_items.cast(EVIDENCE))
        .otherwise(nothing)
        .cast(EVIDENCE)
    )


def _entry(kind: Column, id_: Column, count: str | None, contribution: Column) -> Column:
    number = F.lit(None) if count is None else F.col(count)
    return F.struct(
        kind.alias("kind"), id_.alias("id"), number.cast("bigint").alias("count"),
        contribution.cast("double").alias(c.CONTRIBUTION),
    )  # fmt: skip


def _sentence(language: str) -> Column:
    own, count = F.col(c.OWN_EVIDENCE), F.get(F.col(c.EVIDENCE), F.lit(0))["count"]
    template = _words({code: getattr(of, language) for code, of in TEMPLATES.items()})
    if language == "english":
        of_one = _words({code: of.english_of_one for code, of in TEMPLATES.items() if of.english_of_one})
        template = F.coalesce(F.when(count == 1, of_one), template)
    names = {
        "{count}": count.cast("string"),
        "{second}": F.get(own, F.lit(1))[c.NAME],
        "{first}": F.coalesce(F.get(own, F.lit(0))[c.NAME], F.col(c.CATEGORY)),
    }
    for placeholder, value in names.items():
        template = F.replace(template, F.lit(placeholder), F.coalesce(value, F.lit("")))
    return template


def _words(by_code: Mapping[str, str]) -> Column:
    words = [F.lit(word) for pair in by_code.items() for word in pair]
    return F.create_map(*words)[F.col(c.REASON)]
