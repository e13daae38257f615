"""Candidates that NumPy names on the executors are those of Spark's lists, on random tables with ties and gaps."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.config import QUOTAS
from recsys.frames.local_rows import local_rows
from recsys.frames.own_items import own_order
from recsys.scoring.candidates import (
    NEW_RANK,
    POPULAR_RANK,
    SELLER_ORDER,
    SELLER_RANK,
    SOURCES,
    MoreSources,
    candidates,
    neighbour_weights,
    new_ranks,
    with_seller_ranks,
)
from recsys.scoring.named_pairs import named_pairs, neighbours_of, sellers_of
from recsys.scoring.user_rows import (
    CATEGORY_KIND,
    FACTORS_KIND,
    OWN_KIND,
    USER_KIND,
    by_user,
    of_kind,
    users_of,
    whole_users,
)
from tests.feature_rows import feature_tables, quotas_of, rows_of

DAY = {c.AS_OF_DATE: date(2017, 12, 4)}
ITEMS, USERS, CATEGORIES = 60, 25, 26


@pytest.fixture(scope="module")
def made(spark: SparkSession):
    """Items, users, features, and what else candidates come from."""
    draw = np.random.default_rng(5).integers
    item_id = [f"i{number:02d}" for number in np.random.default_rng(6).permutation(ITEMS)]
    category = [None if draw(12) == 0 else f"c{draw(CATEGORIES):02d}" for _ in item_id]
    items = rows_of(spark, tables.ITEMS, [{c.ITEM_ID: item, c.IS_ELIGIBLE: bool(draw(8))} for item in item_id])
    users = rows_of(
        spark, tables.USERS, [{c.USER_ID: f"u{user:02d}", c.IS_OPTED_OUT: user == 3} for user in range(USERS)]
    )
    sold = [
        {**DAY, c.ITEM_ID: item, c.ITEM_CATEGORY: of, c.ITEM_BUYERS_28D: int(draw(4)), c.ITEM_BUYERS_91D: int(draw(3))}
        for item, of in zip(item_id, category, strict=True)
        if draw(10)
    ]
    own = [
        {**DAY, c.USER_ID: f"u{user:02d}", c.ITEM_ID: item, **_own(draw)}
        for user in range(1, USERS)
        for item in np.random.default_rng(user).choice(item_id, draw(20), replace=False)
    ]
    liked = [
        {**DAY, c.USER_ID: f"u{user:02d}", c.CATEGORY: f"c{of:02d}", c.USER_CATEGORY_PURCHASES_91D: int(draw(4))}
        for user in range(2, USERS)
        for of in np.random.default_rng(user).choice(CATEGORIES + 3, draw(CATEGORIES), replace=False)
    ]
    together = [
        {**DAY, c.ITEM_ID: item, c.NEIGHBOUR_ID: other, c.ITEM_ITEM_COSINE_91D: int(draw(1, 4)) / 7}
        for item in item_id[: ITEMS - 9]
        for other in np.random.default_rng(int(item[1:])).choice(item_id, draw(8), replace=False)
        if other != item
    ]
    features = feature_tables(spark, item=sold, user_item=own, user_category=liked)
    may_be_named = [row[c.ITEM_ID] for row in items.where(c.IS_ELIGIBLE).orderBy(c.ITEM_ID).collect()]
    new = [(DAY[c.AS_OF_DATE], item, int(draw(4))) for item in may_be_named[::3]]
    ranked = [
        (DAY[c.AS_OF_DATE], f"u{user:02d}", rank, item)
        for user in range(5, USERS)
        for rank, item in enumerate(np.random.default_rng(user + 50).permutation(may_be_named)[: draw(9)].tolist())
    ]
    more = MoreSources(
        factors=local_rows(spark, ranked, f"{c.AS_OF_DATE} date, {c.USER_ID} string, {c.RANK} int, {c.ITEM_ID} string"),
        neighbours=rows_of(spark, tables.ITEM_ITEM_FEATURES, together),
        new=local_rows(spark, new, f"{c.AS_OF_DATE} date, {c.ITEM_ID} string, {c.BUYERS} bigint"),
    )
    return items, users, item_id, features, more


def _own(draw):
    if draw(2):
        return {c.USER_ITEM_PURCHASES_365D: int(draw(1, 3)), c.USER_ITEM_RECENCY_DAYS: int(draw(1, 4))}
    cart = int(draw(1, 4)) if draw(2) else None
    return {
        c.USER_ITEM_PURCHASES_365D: 0, c.USER_ITEM_CART_RECENCY_DAYS: cart, c.USER_ITEM_VIEW_RECENCY_DAYS: int(draw(4))
    }  # fmt: skip


def rows_by_user(users, features, ids, ranked):
    place, recency = own_order()
    own = features.user_item.join(ids, on=c.ITEM_ID, how="inner")
    rows = of_kind(users.where(~F.col(c.IS_OPTED_OUT)), USER_KIND, F.array(F.lit(0)))
    rows = rows.unionByName(of_kind(own, OWN_KIND, F.array(c.ITEM_IDX, place.cast("int"), recency.cast("int"))))
    purchases = F.array(c.USER_CATEGORY_PURCHASES_91D)
    rows = rows.unionByName(of_kind(features.user_category, CATEGORY_KIND, purchases, text=c.CATEGORY))
    if ranked is not None:
        entries = F.sort_array(F.collect_list(F.struct(c.RANK, c.ITEM_IDX)))[c.ITEM_IDX]
        lists = ranked.join(ids, on=c.ITEM_ID, how="inner").groupBy(c.USER_ID).agg(entries.alias("items"))
        filled_up = F.concat("items", F.array_repeat(F.lit(-1), F.lit(9) - F.size("items")))
        rows = rows.unionByName(of_kind(lists, FACTORS_KIND, filled_up))
    return by_user(rows, 1).toArrow().to_batches(max_chunksize=7)


@pytest.mark.parametrize(
    "quotas",
    [(3, 2, 4, 4, 2, 5), (0, 0, 0, 7, 0, 2), (40, 30, 30, 30, 30, 30), (2, 6, 5, 0, 1, 3), (1, 0, 0, 1, 0, 0)],
)
def test_items_are_those_of_sparks_lists(spark, made, quotas) -> None:
    items, users, item_id, features, more = made
    quotas = quotas_of(**dict(zip(QUOTAS, quotas, strict=True)))
    more = MoreSources(
        factors=more.factors if quotas.factor_items else None,
        neighbours=more.neighbours if quotas.neighbour_items else None,
        new=more.new if quotas.new_items else None,
    )
    expected = candidates(features, items, users, quotas, more).collect()

    eligible = items.where(c.IS_ELIGIBLE)
    indexed = spark.createDataFrame(list(enumerate(item_id)), f"{c.ITEM_IDX} int, {c.ITEM_ID} string")
    ids = indexed.join(eligible.select(c.ITEM_ID), on=c.ITEM_ID, how="left_semi")
    told = with_seller_ranks(ids, features.item).join(
        features.item.select(c.ITEM_ID, c.ITEM_CATEGORY), on=c.ITEM_ID, how="left"
    )
    rank_of = {row[c.ITEM_IDX]: row for row in told.collect()}
    names = sorted({row[c.ITEM_CATEGORY] for row in rank_of.values() if row[c.ITEM_CATEGORY]})

    def column(name):
        return np.array([(rank_of[idx][name] or 0) if idx in rank_of else 0 for idx in range(ITEMS)])

    category_I = np.array(
        [names.index(rank_of[i][c.ITEM_CATEGORY]) + 1 if i in rank_of and rank_of[i][c.ITEM_CATEGORY] else 0
         for i in range(ITEMS)]
    )  # fmt: skip
    rank_of_new = {} if more.new is None else {row[c.ITEM_ID]: row[NEW_RANK] for row in new_ranks(more.new).collect()}
    new_rank_I = np.array([rank_of_new.get(item, 0) for item in item_id])
    ranks = [column(name) for name in (SELLER_RANK, POPULAR_RANK, SELLER_ORDER)]
    sellers = sellers_of(category_I, np.argsort(np.argsort(item_id)), *ranks, new_rank_I)
    idx_of = {item: idx for idx, item in enumerate(item_id) if idx in rank_of}
    beside = [] if more.neighbours is None else neighbour_weights(more.neighbours).collect()
    known = [
        (idx_of[row[c.ITEM_ID]], idx_of[row[c.NEIGHBOUR_ID]], row["weight"])
        for row in beside
        if row[c.ITEM_ID] in idx_of and row[c.NEIGHBOUR_ID] in idx_of
    ]
    neighbours = neighbours_of(*np.array(known, dtype=np.int64).reshape(-1, 3).T, ITEMS)
    found = set()
    for batch in whole_users(rows_by_user(users, features, ids, more.factors)):
        for block in users_of(batch).blocks(4):
            liked = block.kinds[CATEGORY_KIND]
            code_F = np.array([names.index(t) + 1 if t in names else 0 for t in liked.text_R.to_pylist()], np.int64)
            pairs = named_pairs(block, code_F, sellers, neighbours, quotas)
            assert len({*zip(pairs.row_P, pairs.place_P, strict=True)}) == len(pairs.row_P)
            ids_B = block.user_id_B.to_pylist()
            found |= {
                (ids_B[row], item_id[item], SOURCES[source])
                for row, item, source in zip(pairs.row_P, pairs.item_P, pairs.source_P, strict=True)
            }
    assert found == {(row[c.USER_ID], row[c.ITEM_ID], row[c.SOURCE]) for row in expected}
    assert len(expected) == len(found)


def test_rows_of_a_user_stay_together_whatever_the_batches() -> None:
    texts = ["a"] * 3 + ["b"] * 5 + ["c"] + ["d"] * 4
    whole = pa.RecordBatch.from_pydict({c.USER_ID: texts, "place": list(range(len(texts)))})
    for size in (1, 2, 3, 4, 13):
        batches = [whole.slice(first, size) for first in range(0, len(texts), size)]
        found = [batch.to_pydict() for batch in whole_users([whole.slice(0, 0), *batches])]
        assert [place for batch in found for place in batch["place"]] == list(range(len(texts)))
        users = [user for batch in found for user in dict.fromkeys(batch[c.USER_ID])]
        assert users == ["a", "b", "c", "d"]
