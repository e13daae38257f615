"""From lists longer than asked to the lists that are published: diverse, under the rules, and saying what touched them.

Runs on the executors in blocks of users; neither memory nor a user's list depends on the others.
Shapes: B users, K items of the longer list, F items to fill up with, L = K + F + pins, N places, T rows of the result.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.scoring.all_items import LEFT_OUT
from recsys.scoring.arrow_lists import lengths, places
from recsys.scoring.candidates import POPULAR
from recsys.scoring.diversity import CATEGORY, Diversity, Doubles, diverse, similarity_of_codes, similarity_of_vectors
from recsys.scoring.filling import Filled, filled, moved, popular_for
from recsys.scoring.item_facts import NONE, Flags, Indexes, ItemFacts
from recsys.scoring.rule_checks import CONTEXT
from recsys.scoring.rule_plans import Plan, context_of, plan_of, rules_in
from recsys.scoring.rules import Rule

KEPT_AWAY = c.KEPT_AWAY
FILL, RULE = "fill", "rule"  # sources of what rules add: popular items, pinned ones
RELAXED = "relaxed:"
# By columns: what a user's longer list is.
LISTS = f"{c.USER_ID} string, {c.ITEM_IDX} array<int>, {c.SCORE} array<double>, {c.SOURCE} array<string>"
_SCHEMA = (
    f"{c.USER_ID} string, {c.RANK} int, {c.ITEM_ID} string, {c.SCORE} double, {c.SOURCE} string, "
    f"{c.CONTRIBUTION} double, "
    f"{c.RULES} array<string>, {c.RANK_BEFORE_RULES} int, {KEPT_AWAY} array<string>"
)

_BLOCK_USERS = 2048
# Similarities of a block of users: 64 MiB for lists of 200.
_BLOCK_SIMILARITIES = 1 << 24
# Popular items that a short list is filled from: so many times its length, as many as the longer list has, and where
# that may not do, as many as the user's list leaves out.
_FILL_FACTOR = 10
# Users and items to fill their lists from: 32 MiB.
_BLOCK_PLACES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """`countries`: store → country, `all` for the others. `depth`: items of the longer lists.

    `is_strict`: nothing is added to a list that rules leave short but what they pin, and no rule gives way.
    """

    rules: tuple[Rule, ...]
    countries: Mapping[str, str]
    diversity: Diversity | None
    n: int
    depth: int
    is_strict: bool = False


def reranked(
    lists: DataFrame,
    load_facts: Callable[[], ItemFacts],
    reranking: Reranking,
    load_vectors: Callable[[], NDArray[np.float32]] | None = None,
) -> DataFrame:
    """At most `n` rows a user: rank, item_id, score, source, contribution, `rules`, rank_before_rules, and `kept_away`:
    the rules that kept an item out of the user's list or put one there, on its first row.

    `lists` has the columns of LISTS, may have a list `contribution`, which stays with the items, and has `left_out`
    (item indexes that must not be named; may be null) and `context` (rule_plans.context_of). A user without a list
    (null) gets the popular one, scored by 1 / rank. `load_vectors`: by item index, for diversity by vectors.
    """

    def rerank(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        block = _Reranker(load_facts(), reranking, load_vectors() if load_vectors else None)
        for batch in batches:
            for first in range(0, batch.num_rows, _BLOCK_USERS):
                yield block.reranked(batch.slice(first, _BLOCK_USERS))

    told = F.col(c.CONTRIBUTION) if c.CONTRIBUTION in lists.columns else F.lit(None).cast("array<double>")
    owed = told.alias(c.CONTRIBUTION)
    chosen = lists.select(c.USER_ID, c.ITEM_IDX, c.SCORE, c.SOURCE, owed, LEFT_OUT, CONTEXT)
    return chosen.mapInArrow(rerank, _SCHEMA)


@dataclass(frozen=True, kw_only=True)
class _Lists:
    """`item_BK` is NONE beyond a list's end; `owed_BK`: contributions, not a number for null; `source_BK` numbers
    `sources`; `left_out`: rows, and item indexes."""

    item_BK: Indexes
    score_BK: Doubles
    owed_BK: Doubles
    source_BK: Indexes
    sources: tuple[str, ...]
    left_out: tuple[Indexes, Indexes]

    def take(self, order_BK: Indexes) -> "_Lists":
        return replace(
            self,
            item_BK=np.take_along_axis(self.item_BK, order_BK, axis=1),
            score_BK=np.take_along_axis(self.score_BK, order_BK, axis=1),
            owed_BK=np.take_along_axis(self.owed_BK, order_BK, axis=1),
            source_BK=np.take_along_axis(self.source_BK, order_BK, axis=1),
        )

    def rows(self, row_V: Indexes) -> "_Lists":
        number_B = np.full(len(self.item_BK), NONE)
        number_B[row_V] = np.arange(len(row_V))
        left_row, left_item = self.left_out
        is_kept = number_B[left_row] != NONE
        return _Lists(
            item_BK=self.item_BK[row_V],
            score_BK=self.score_BK[row_V],
            owed_BK=self.owed_BK[row_V],
            source_BK=self.source_BK[row_V],
            sources=self.sources,
            left_out=(number_B[left_row[is_kept]], left_item[is_kept]),
        )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows of the result, by user and rank. `named`: rows and texts of `rules`; `kept_away`: the same by user."""

    row_T: Indexes
    item_T: Indexes
    score_T: Doubles
    owed_T: Doubles
    source_T: Indexes
    before_T: Indexes
    named: tuple[Indexes, Sequence[str]]
    kept_away: tuple[Indexes, Sequence[str]]


class _Reranker:
    """Plans are made once for each set of rules that users are under."""

    def __init__(self, facts: ItemFacts, reranking: Reranking, vector_ID: NDArray[np.float32] | None) -> None:
        self._facts, self._reranking, self._vector_ID = facts, reranking, vector_ID
        self._plan = functools.lru_cache(maxsize=32)(self._plan_of)
        self._numbers = functools.lru_cache(maxsize=100_000)(self._numbers_of)

    def reranked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        lists = _lists_of(batch, self._facts.popular_A, self._reranking.depth)
        if self._reranking.diversity is not None:
            lists = lists.take(self._diverse(lists, self._reranking.diversity))
        parts = [
            part
            for numbers, row_V in self._by_rules(batch.column(CONTEXT))
            for part in self._under_rules(lists.rows(row_V), row_V, numbers)
        ]
        return _batch_of(batch.column(c.USER_ID), parts, lists.sources, self._facts.item_id_I)

    def _plan_of(self, numbers: tuple[int, ...]) -> Plan:
        return plan_of(self._reranking.rules, numbers, self._facts)

    def _numbers_of(self, context: str | None) -> tuple[int, ...]:
        return rules_in(self._reranking.rules, context_of(context, self._reranking.countries))

    def _by_rules(self, contexts: pa.Array) -> Iterator[tuple[tuple[int, ...], Indexes]]:
        encoded = contexts.dictionary_encode(null_encoding="encode")
        code_B = encoded.indices.to_numpy()
        numbers = [self._numbers(text) for text in encoded.dictionary.to_pylist()]
        for one in sorted(set(numbers)):
            yield one, np.flatnonzero(np.isin(code_B, [code for code, other in enumerate(numbers) if other == one]))

    def _diverse(self, lists: _Lists, diversity: Diversity) -> Indexes:
        size = max(_BLOCK_SIMILARITIES // max(lists.item_BK.shape[1], 1) ** 2, 1)
        blocks = (slice(first, first + size) for first in range(0, len(lists.item_BK), size))
        orders = [
            diverse(
                lists.score_BK[block],
                self._similarity(lists.item_BK[block], diversity),
                lists.item_BK[block] != NONE,
                diversity,
                2 * self._reranking.n,
            )
            for block in blocks
        ]
        return np.concatenate(orders)

    def _similarity(self, item_BK: Indexes, diversity: Diversity) -> NDArray[np.float32]:
        if diversity.by == CATEGORY:
            return similarity_of_codes(np.where(item_BK == NONE, NONE, self._facts.codes[c.CATEGORY][item_BK]))
        assert self._vector_ID is not None, "the job refuses diversity by vectors of a model without"
        is_there_BK = (item_BK != NONE) & (item_BK < len(self._vector_ID))
        return similarity_of_vectors(self._vector_ID[np.where(is_there_BK, item_BK, 0)] * is_there_BK[:, :, None])

    def _under_rules(self, lists: _Lists, row_V: Indexes, numbers: tuple[int, ...]) -> Iterator[_Rows]:
        """Lists that the longer ones fill, then those that need more items or fewer rules."""
        plan = self._plan(numbers)
        before = np.arange(lists.item_BK.shape[1]) + 1
        order_BK = moved(lists.item_BK, plan.places_I)
        lists, before_BK = lists.take(order_BK), before[order_BK]
        pinned = np.array([pin.item_idx for pin in plan.pins], dtype=np.int64)
        found, item_BL = self._filled(lists, pinned, replace(plan, relaxed_first=()))
        is_short_B = (found.place_BN[:, -1] == NONE) & (not self._reranking.is_strict)
        full_V, short_V = np.flatnonzero(~is_short_B), np.flatnonzero(is_short_B)
        yield self._rows(
            found.rows(full_V), row_V[full_V], item_BL[full_V], lists.rows(full_V), before_BK[full_V], plan
        )
        for rows_V, more in self._with_popular(lists, short_V, plan):
            short = lists.rows(rows_V)
            # What is pinned may be popular, too.
            rest = more[~np.isin(more, pinned)]
            found, item_BL = self._filled(short, np.concatenate([rest, pinned]), plan)
            yield self._rows(found, row_V[rows_V], item_BL, short, before_BK[rows_V], plan)

    def _with_popular(self, lists: _Lists, short_V: Indexes, plan: Plan) -> Iterator[tuple[Indexes, Indexes]]:
        """Rows, and the popular items that fill them up: for whom many are left out, as many more as these."""
        depth, n = self._reranking.depth, self._reranking.n
        left_out_V = np.bincount(lists.left_out[0], minlength=len(lists.item_BK))[short_V]
        is_many_V = left_out_V > (_FILL_FACTOR - 1) * n
        for rows_V, most in ((short_V[~is_many_V], 0), (short_V[is_many_V], int(left_out_V.max(initial=0)))):
            counts = (depth + _FILL_FACTOR * n + most, depth + n + most)
            more = popular_for(plan, self._facts.popular_A, counts) if len(rows_V) else rows_V
            size = max(_BLOCK_PLACES // (depth + len(more)), 1)
            for first in range(0, len(rows_V), size):
                yield rows_V[first : first + size], more

    def _filled(self, lists: _Lists, more: Indexes, plan: Plan) -> tuple[Filled, Indexes]:
        item_BL = _beside(lists.item_BK, more)
        rules, n = self._reranking.rules, self._reranking.n
        return filled(item_BL, _is_out(item_BL, lists), plan, n=n, num_rules=len(rules)), item_BL

    def _rows(  # what a row of the result is made of
        self, found: Filled, row_V: Indexes, item_BL: Indexes, lists: _Lists, before_BK: Indexes, plan: Plan
    ) -> _Rows:
        row_T, at_T = np.nonzero(found.place_BN != NONE)
        place_T, item_T = found.place_BN[row_T, at_T], item_BL[row_T, found.place_BN[row_T, at_T]]
        is_listed_T = place_T < lists.item_BK.shape[1]
        within_T = np.where(is_listed_T, place_T, 0)
        added = lists.sources.index(RULE), lists.sources.index(FILL)
        user_R, rule_R = np.nonzero(found.is_kept_away_BR)
        return _Rows(
            row_T=row_V[row_T],
            item_T=item_T,
            score_T=np.where(is_listed_T, lists.score_BK[row_T, within_T], np.nan),
            owed_T=np.where(is_listed_T, lists.owed_BK[row_T, within_T], np.nan),
            source_T=np.where(
                is_listed_T, lists.source_BK[row_T, within_T], np.where(found.is_pinned_BN[row_T, at_T], *added)
            ),
            before_T=np.where(is_listed_T, before_BK[row_T, within_T], NONE),
            named=_named(found, item_T, is_listed_T, plan, self._reranking.rules),
            kept_away=(row_V[user_R], [self._reranking.rules[number].rule_id for number in rule_R]),
        )


def _lists_of(batch: pa.RecordBatch, popular_A: Indexes, depth: int) -> _Lists:
    lists, users = batch.column(c.ITEM_IDX), batch.num_rows
    row_P, place_P = places(lengths(lists))
    encoded = batch.column(c.SOURCE).flatten().dictionary_encode()
    sources = (*encoded.dictionary.to_pylist(), POPULAR, FILL, RULE)
    item_BK = np.full((users, depth), NONE, dtype=np.int64)
    score_BK, source_BK = np.zeros((users, depth)), np.zeros((users, depth), dtype=np.int64)
    item_BK[row_P, place_P] = lists.flatten().to_numpy()
    score_BK[row_P, place_P] = batch.column(c.SCORE).flatten().to_numpy()
    source_BK[row_P, place_P] = encoded.indices.to_numpy()
    is_unknown_B, count = ~lists.is_valid().to_numpy(zero_copy_only=False), min(depth, len(popular_A))
    item_BK[is_unknown_B, :count] = popular_A[:count]
    score_BK[is_unknown_B, :count] = np.round(1 / (np.arange(count) + 1), 6)
    source_BK[is_unknown_B, :count] = sources.index(POPULAR)
    owed_BK, owed = np.full((users, depth), np.nan), batch.column(c.CONTRIBUTION)
    owed_BK[places(lengths(owed))] = owed.flatten().to_numpy(zero_copy_only=False)
    left_out = batch.column(LEFT_OUT)
    left_row, _ = places(lengths(left_out))
    return _Lists(
        item_BK=item_BK,
        score_BK=score_BK,
        owed_BK=owed_BK,
        source_BK=source_BK,
        sources=sources,
        left_out=(left_row, left_out.flatten().to_numpy().astype(np.int64)),
    )


def _beside(item_BK: Indexes, more: Indexes) -> Indexes:
    return np.concatenate([item_BK, np.broadcast_to(more, (len(item_BK), len(more)))], axis=1)


def _is_out(item_BL: Indexes, lists: _Lists) -> Flags:
    """(B, L): nothing stands there, or what must be left out, or what stood in the row before."""
    is_out_BL: Flags = item_BL == NONE
    depth = lists.item_BK.shape[1]
    sorted_BK = np.sort(lists.item_BK, axis=1)
    if item_BL.shape[1] > depth:
        is_out_BL[:, depth:] = _is_in_rows(item_BL[:, depth:], sorted_BK)
    row_P, item_P = lists.left_out
    if len(row_P):
        size = int(max(item_BL.max(initial=0), item_P.max(initial=0))) + 1
        keys = np.unique(row_P * size + item_P)
        asked_BL = np.arange(len(item_BL))[:, None] * size + item_BL
        place_BL = np.minimum(np.searchsorted(keys, asked_BL), len(keys) - 1)
        is_out_BL |= keys[place_BL] == asked_BL
    return is_out_BL


def _is_in_rows(item_BF: Indexes, sorted_BK: Indexes) -> Flags:
    size = int(max(item_BF.max(initial=0), sorted_BK.max(initial=0))) + 2
    row_B1 = np.arange(len(item_BF))[:, None] * size
    keys = (sorted_BK + 1 + row_B1).ravel()
    asked_BF = item_BF + 1 + row_B1
    place_BF = np.minimum(np.searchsorted(keys, asked_BF), len(keys) - 1)
    found_BF: Flags = keys[place_BF] == asked_BF
    return found_BF


def _named(
    found: Filled, item_T: Indexes, is_listed_T: Flags, plan: Plan, rules: Sequence[Rule]
) -> tuple[Indexes, list[str]]:
    """Rows of the result, and the rules that pinned, moved or gave way for their item."""
    is_there_BN = found.place_BN != NONE
    number_BN = np.cumsum(is_there_BN).reshape(is_there_BN.shape) - 1
    is_pinned_T = found.is_pinned_BN[is_there_BN]
    parts = [
        *((np.flatnonzero(is_pinned_T & (item_T == pin.item_idx)), rules[pin.rule].rule_id) for pin in plan.pins),
        *((np.flatnonzero(is_listed_T & is_it_I[item_T]), rules[rule].rule_id) for rule, is_it_I in plan.movers),
        *((number_BN[row_V, at_V], f"{RELAXED}{rules[rule].rule_id}") for row_V, at_V, rule in found.relaxed),
    ]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *(row for row, _ in parts)])
    return rows, [text for row, text in parts for _ in range(len(row))]


def _batch_of(users: pa.Array, parts: Sequence[_Rows], sources: Sequence[str], item_id_I: pa.Array) -> pa.RecordBatch:
    row_T = np.concatenate([part.row_T for part in parts])
    order = np.argsort(row_T, kind="stable")
    row_T = row_T[order]
    new_T = np.argsort(order)  # where each row of the parts went
    starts = np.cumsum([0, *(len(part.row_T) for part in parts)])
    named_T = np.concatenate([part.named[0] + start for part, start in zip(parts, starts[:-1], strict=True)])
    first_B = np.searchsorted(row_T, np.arange(len(users)))
    rank_T = np.arange(len(row_T)) - first_B[row_T] + 1

    def whole(name: str) -> NDArray[Any]:
        joined: NDArray[Any] = np.concatenate([getattr(part, name) for part in parts])[order]
        return joined

    score_T, before_T = whole("score_T"), whole("before_T")
    away = np.concatenate([part.kept_away[0] for part in parts])
    has_row = np.isin(away, row_T)
    away_texts = [text for part in parts for text in part.kept_away[1]]
    columns = [
        users.take(pa.array(row_T)),
        pa.array(rank_T.astype(np.int32)),
        item_id_I.take(pa.array(whole("item_T"))),
        pa.array(score_T, mask=np.isnan(score_T)),
        pa.array(sources, pa.string()).take(pa.array(whole("source_T"))),
        pa.array(whole("owed_T"), from_pandas=True),
        _texts(new_T[named_T], [text for part in parts for text in part.named[1]], len(row_T)),
        pa.array(before_T.astype(np.int32), mask=before_T == NONE),
        _texts(
            first_B[away[has_row]], [text for text, has in zip(away_texts, has_row, strict=True) if has], len(row_T)
        ),
    ]
    names = [c.USER_ID, c.RANK, c.ITEM_ID, c.SCORE, c.SOURCE, c.CONTRIBUTION, c.RULES, c.RANK_BEFORE_RULES, KEPT_AWAY]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _texts(row_P: Indexes, texts: Sequence[str], rows: int) -> pa.ListArray:
    """A list of texts a row, in their order."""
    order = np.argsort(row_P, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row_P, minlength=rows))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(texts, pa.string()).take(pa.array(order)))
