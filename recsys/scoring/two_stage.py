"""Names each user's candidates and ranks them with a network: what is said of a user, and of an item, comes to the
executors once, not with each pair.

Shapes: B users of a block, P pairs, X rows of a side, C columns, N list length.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from recsys import columns as c
from recsys.catalog import CONTEXT, NEIGHBOUR_IDS, NUMERIC_INPUTS, USER, USER_CATEGORY, USER_ITEM, Grain
from recsys.config import CandidatesConfig
from recsys.scoring.candidates import CATEGORY, OWN, SOURCES, VIEWED
from recsys.scoring.catalogue import (
    Catalogue,
    Columns,
    Indexes,
    InputBatch,
    PairScorer,
    Side,
    codes_among,
    keyed,
    names_of,
    side_of,
    with_defaults,
    with_half,
)
from recsys.scoring.named_pairs import Pairs, named_pairs
from recsys.scoring.pairs import SCORE_DECIMALS
from recsys.scoring.user_rows import (
    CATEGORY_KIND,
    IS_SAMPLED,
    LEFT_OUT_KIND,
    OWN_KIND,
    USER_KIND,
    OfKind,
    Users,
    users_of,
    whole_users,
)

NUM_EXACT, NUM_EXACT_NAMED = "num_exact", "num_exact_named"
_LISTS_SCHEMA = (
    f"{c.USER_ID} string, {c.ITEM_IDX} array<int>, {c.ITEM_ID} array<string>, {c.SCORE} array<double>, "
    f"{c.SOURCE} array<string>, {c.CONTRIBUTION} array<double>, {c.NUM_ITEMS} bigint, {NUM_EXACT} bigint, "
    f"{NUM_EXACT_NAMED} bigint"
)
# Of _sides, whose first rows have the catalogue's defaults.
_OWN_SIDE, _CATEGORY_SIDE = 2, 3


@dataclass(frozen=True, kw_only=True)
class ListSettings:
    """`n`: length of the lists. `exact_n`: so many of the best of all items are looked for among the candidates.
    `user_lists`: see user_columns."""

    n: int
    exact_n: int
    quotas: CandidatesConfig
    user_lists: Sequence[str]


def best_candidates(
    rows: DataFrame, load: Callable[[], tuple[PairScorer, Catalogue]], settings: ListSettings, *, block_pairs: int
) -> DataFrame:
    """A row a user with candidates: the best ones, best first, as lists of item_idx, item_id, score, source and
    contribution: by how much the score falls where what the source goes by is not told, what the user did with the item
    or bought of its category; null where it goes by neither. Beside them num_items, the number of candidates; and of
    sampled users, num_exact, of the best of all items that may be named, and num_exact_named, those of them that are
    candidates, 0 for all others.

    `rows`: of recsys/scoring/user_rows.py, a user's one after the other. Scores are rounded to 6 decimals; at equal
    ones the smaller item id comes first. `load` runs in every task: it should keep what it loads, one a process. Users
    are taken together up to about `block_pairs` candidates; all items of a sampled user at once.
    """
    block_users = max(block_pairs // settings.quotas.most, 1)

    def rank(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer, catalogue = load()
        for batch in whole_users(batches):
            for users in users_of(batch).blocks(block_users):
                yield _ranked(users, scorer, catalogue, settings)

    return rows.mapInArrow(rank, _LISTS_SCHEMA)


def user_columns(user_lists: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the ints and of the floats of rows of USER_KIND; `user_lists`: the lists of neighbours among them."""
    numbers = [f.name for f in NUMERIC_INPUTS if f.grain in (USER.name, CONTEXT.name)]
    ids = [name for name in user_lists if name in NEIGHBOUR_IDS]
    return [c.USER_IDX, IS_SAMPLED, *ids], [*numbers, *(name for name in user_lists if name not in ids)]


def _ranked(users: Users, scorer: PairScorer, catalogue: Catalogue, settings: ListSettings) -> pa.RecordBatch:
    pairs = _pairs_of(users, catalogue, settings.quotas)
    sides = _sides(users, pairs, scorer, catalogue, settings.user_lists)
    score_P = _scores(scorer, sides, len(pairs.row_P))
    best_BN = _best(users, pairs, score_P, catalogue, settings.n)
    is_there_BN = best_BN >= 0
    best_T, length_B = best_BN[is_there_BN], is_there_BN.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(length_B)]).astype(np.int32)
    values = _told_of_best(pairs, best_T, catalogue, score_P[best_T], _owed(scorer, sides, pairs, best_T, score_P))
    lists = {name: pa.ListArray.from_arrays(offsets, value) for name, value in values.items()}
    num_exact_B, num_named_B = _exact(users, pairs, scorer, catalogue, settings)
    counts = {
        c.NUM_ITEMS: np.bincount(pairs.row_P, minlength=len(users)),
        NUM_EXACT: num_exact_B,
        NUM_EXACT_NAMED: num_named_B,
    }
    ranked = pa.RecordBatch.from_pydict({c.USER_ID: users.user_id_B, **lists, **counts})
    return ranked.filter(pa.array(length_B > 0))


def _told_of_best(
    pairs: Pairs, best_T: Indexes, catalogue: Catalogue, score_T: NDArray[np.float64], owed_T: NDArray[np.float64]
) -> dict[str, pa.Array]:
    item_T = pairs.item_P[best_T]
    return {
        c.ITEM_IDX: pa.array(item_T.astype(np.int32)),
        c.ITEM_ID: catalogue.item_id_I.take(pa.array(item_T)),
        c.SCORE: pa.array(score_T),
        c.SOURCE: pa.array(SOURCES, pa.string()).take(pa.array(pairs.source_P[best_T])),
        c.CONTRIBUTION: pa.array(owed_T, from_pandas=True),
    }


def _owed(
    scorer: PairScorer,
    sides: Sequence[tuple[Side, Indexes]],
    pairs: Pairs,
    best_T: Indexes,
    score_P: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(T,): contribution of best_candidates; not a number for null."""
    source_T = pairs.source_P[best_T]
    is_hidden_T = {
        _OWN_SIDE: np.isin(source_T, [SOURCES.index(source) for source in (OWN, VIEWED)]),
        _CATEGORY_SIDE: source_T == SOURCES.index(CATEGORY),
    }
    at = np.flatnonzero(functools.reduce(np.logical_or, is_hidden_T.values()))
    nobody = np.zeros(len(best_T), dtype=np.bool_)
    without = [
        (side, np.where(is_hidden_T.get(number, nobody)[at], 0, row_P[best_T[at]]))
        for number, (side, row_P) in enumerate(sides)
    ]
    owed_T = np.full(len(best_T), np.nan)
    owed_T[at] = np.round(score_P[best_T[at]] - _scores(scorer, without, len(at)), SCORE_DECIMALS)
    return owed_T


def _best(users: Users, pairs: Pairs, score_P: NDArray[np.float64], catalogue: Catalogue, n: int) -> Indexes:
    """As best_of_each."""
    return best_of_each(pairs.row_P, pairs.place_P, score_P, catalogue.place_I[pairs.item_P], len(users), n)


def _exact(
    users: Users, pairs: Pairs, scorer: PairScorer, catalogue: Catalogue, settings: ListSettings
) -> tuple[Indexes, Indexes]:
    """(B,) each: see num_exact and num_exact_named of best_candidates."""
    num_best_B, num_named_B = np.zeros((2, len(users)), dtype=np.int64)
    for row in np.flatnonzero(users.kinds[USER_KIND].ints_RC[:, 1]):
        user = users.slice_of(row, row + 1)
        every = _every_pair(user, catalogue)
        score_P = _scores(scorer, _sides(user, every, scorer, catalogue, settings.user_lists), len(every.row_P))
        best_1N = _best(user, every, score_P, catalogue, settings.exact_n)
        items = every.item_P[best_1N[best_1N >= 0]]
        num_best_B[row], num_named_B[row] = len(items), np.isin(items, pairs.item_P[pairs.row_P == row]).sum()
    return num_best_B, num_named_B


def _every_pair(user: Users, catalogue: Catalogue) -> Pairs:
    """Of one user with all items that may be named; their sources mean nothing."""
    left_out = user.kinds[LEFT_OUT_KIND]
    item_P = np.setdiff1d(catalogue.item_E, left_out.ints_RC[:, 0]) if len(left_out) else catalogue.item_E
    nothing_P = np.zeros_like(item_P)
    return Pairs(row_P=nothing_P, place_P=np.arange(len(item_P)), item_P=item_P, source_P=nothing_P)


def _pairs_of(users: Users, catalogue: Catalogue, quotas: CandidatesConfig) -> Pairs:
    code_F = codes_among(users.kinds[CATEGORY_KIND].text_R, catalogue.categories)
    return named_pairs(users, code_F, catalogue.sellers, catalogue.neighbours, quotas)


def _sides(
    users: Users, pairs: Pairs, scorer: PairScorer, catalogue: Catalogue, user_lists: Sequence[str]
) -> list[tuple[Side, Indexes]]:
    """Each with the rows of the pairs: users, items, both, user and category, store and item."""
    size, num_categories = len(catalogue), len(catalogue.categories) + 1
    of_user, own, bought = users.kinds[USER_KIND], users.kinds[OWN_KIND], users.kinds[CATEGORY_KIND]
    own_key = own.row_R * size + (own.ints_RC[:, 0] if len(own) else own.row_R)
    own_items = keyed(scorer, USER_ITEM, own_key, _floats(own, USER_ITEM))
    # By user and category: there are few enough of both for a table.
    code = codes_among(bought.text_R, catalogue.categories)
    category_row = np.zeros((len(users), num_categories), dtype=np.int64)
    category_row[bought.row_R, code] = np.arange(len(bought)) + 1
    # That of items without a category: a category that no item has must not be found by it.
    category_row[:, 0] = 0
    by_category = with_defaults(scorer, USER_CATEGORY, _floats(bought, USER_CATEGORY))
    store_B = codes_among(of_user.text_R, catalogue.stores)
    told_of_users = side_of(scorer, _told_of_users(of_user, user_lists))
    if catalogue.items.half_XW is not None:
        told_of_users = with_half(scorer, told_of_users, len(users), of_users=True)
    return [
        (told_of_users, pairs.row_P),
        (catalogue.items, pairs.item_P),
        (own_items.side, own_items.rows_of(pairs.row_P * size + pairs.item_P)),
        (by_category, category_row[pairs.row_P, catalogue.category_I[pairs.item_P]]),
        (catalogue.store_items.side, catalogue.store_items.rows_of(store_B[pairs.row_P] * size + pairs.item_P)),
    ]


def _told_of_users(users: OfKind, user_lists: Sequence[str]) -> Columns:
    told: dict[str, NDArray[Any]] = {}
    values_of: tuple[NDArray[Any], ...] = (users.ints_RC, users.floats_RC)
    for names, values_RC in zip(user_columns(user_lists), values_of, strict=True):
        lists = [name in user_lists for name in names]
        # All that are no lists have one number; lists share the rest.
        width = (values_RC.shape[1] - lists.count(False)) // max(lists.count(True), 1)
        stops = np.cumsum([width if is_list else 1 for is_list in lists])
        told |= dict(zip(names, np.split(values_RC, stops[:-1], axis=1), strict=True))
    return told


def _floats(rows: OfKind, grain: Grain) -> NDArray[np.float32]:
    """A block may have no rows of a kind, and so nothing that tells how many numbers they have."""
    return rows.floats_RC if len(rows) else np.zeros((0, len(names_of(grain))), dtype=np.float32)


def _scores(scorer: PairScorer, sides: Sequence[tuple[Side, Indexes]], num_pairs: int) -> NDArray[np.float64]:
    """Rounded. Raises ValueError where a score is no number."""
    has_halves = any(side.half_XW is not None for side, _ in sides)
    score_batch = _by_halves(scorer, sides) if has_halves else _by_inputs(scorer, sides)
    score_P = np.empty(num_pairs)
    for first in range(0, num_pairs, scorer.batch_rows):
        batch = slice(first, min(first + scorer.batch_rows, num_pairs))
        score_P[batch] = score_batch(batch)[: batch.stop - first]
    if not np.isfinite(score_P).all():
        found = int((~np.isfinite(score_P)).sum())
        raise ValueError(f"every score must be a finite number: {found} of {num_pairs} are not. Cure: train again")
    return np.round(score_P, SCORE_DECIMALS)


def _by_inputs(scorer: PairScorer, sides: Sequence[tuple[Side, Indexes]]) -> Callable[[slice], NDArray[np.float64]]:
    batch = InputBatch(scorer)

    def score(pairs: slice) -> NDArray[np.float64]:
        for side, row_P in sides:
            batch.take(side, row_P[pairs])
        return scorer.score(batch.ids_BI, batch.numeric_BF)

    return score


def _by_halves(scorer: PairScorer, sides: Sequence[tuple[Side, Indexes]]) -> Callable[[slice], NDArray[np.float64]]:
    """Of users and of items, in this order; what else is told of pairs stands beside them."""
    halves = [(side.half_XW, row_P) for side, row_P in sides if side.half_XW is not None]
    numbers = [(part, row_P) for side, row_P in sides if side.half_XW is None for part in side.numbers]
    places_K = [place for (columns, _), _ in numbers for place in range(columns.start, columns.stop)]
    user_BW, item_BW = (np.zeros((scorer.batch_rows, half_XW.shape[1]), dtype=np.float32) for half_XW, _ in halves)
    number_BK = np.zeros((scorer.batch_rows, len(places_K)), dtype=np.float32)

    def score(pairs: slice) -> NDArray[np.float64]:
        rows = pairs.stop - pairs.start
        for half_BW, (half_XW, row_P) in zip((user_BW, item_BW), halves, strict=True):
            # NumPy writes straight into `out` only where it need not refuse a row.
            half_XW.take(row_P[pairs], axis=0, out=half_BW[:rows], mode="clip")
        first = 0
        for (_, values), row_P in numbers:
            number_BK[:rows, first : first + values.shape[1]] = values.take(row_P[pairs], axis=0)
            first += values.shape[1]
        return scorer.score_halves(user_BW, item_BW, number_BK, places_K)

    return score


def best_of_each(  # columns of pairs, and two sizes
    row_P: Indexes,
    place_P: Indexes,
    score_P: NDArray[np.float64],
    order_P: Indexes,
    num_rows: int,
    n: int,
) -> Indexes:
    """(B, N) pairs of each row, the best first and at equal scores the lower `order_P`; -1 beyond the last.

    Scores have SCORE_DECIMALS; `place_P` is another one for each pair of a row.
    """
    width = int(place_P.max(initial=-1)) + 1
    whole_P = np.rint(score_P * 10**SCORE_DECIMALS).astype(np.int64)
    # One number to sort by; pairs that are not there come last.
    key_BK = np.full((num_rows, width), np.iinfo(np.int64).max)
    key_BK[row_P, place_P] = order_P - whole_P * (int(order_P.max(initial=0)) + 1)
    pair_BK = np.full((num_rows, width), -1)
    pair_BK[row_P, place_P] = np.arange(len(row_P))
    if width > n:
        few_BN = np.argpartition(key_BK, n - 1, axis=1)[:, :n]
        key_BK, pair_BK = np.take_along_axis(key_BK, few_BN, axis=1), np.take_along_axis(pair_BK, few_BN, axis=1)
    return np.take_along_axis(pair_BK, np.argsort(key_BK, axis=1), axis=1)
