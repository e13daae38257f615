"""Which items users may be recommended, as recsys/scoring/candidates.py tells, of many users at once on the executors.

Shapes: B users, P pairs, I items, O own items of all users, F favourite categories of all users, E their best sellers,
S sellers of all categories, L popular items, N neighbours of all items.
"""

from dataclasses import dataclass, fields

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.config import CandidatesConfig
from recsys.scoring.arrow_lists import places
from recsys.scoring.candidates import (
    ASKED_OWN_ITEMS,
    CATEGORY,
    FACTORS,
    FAVOURITE_CATEGORIES,
    NEIGHBOURS,
    NEW,
    OWN,
    POPULAR,
    SOURCES,
    VIEWED,
    fetched_of_categories,
)
from recsys.scoring.user_rows import CATEGORY_KIND, FACTORS_KIND, LEFT_OUT_KIND, OWN_KIND, OfKind, Users

_OWN, _VIEWED, _FACTORS, _NEIGHBOURS, _CATEGORY, _NEW, _POPULAR = map(
    SOURCES.index, (OWN, VIEWED, FACTORS, NEIGHBOURS, CATEGORY, NEW, POPULAR)
)

Indexes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Those of item `i` are `item_N[start_I[i] : start_I[i + 1]]`, each with a whole weight."""

    start_I: Indexes
    item_N: Indexes
    weight_N: Indexes


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Items of the whole shop, best first; `place_I`: where an item stands there, -1 if not."""

    item_L: Indexes
    place_I: Indexes


@dataclass(frozen=True, kw_only=True)
class Sellers:
    """The eligible items that were sold, best first.

    Those of category `g` are `item_S[start_G[g] : start_G[g + 1]]`; `order_I`: by buyers of 28 days, then the item id;
    `place_I`: of all items, by the item id; `popular`: of all categories, and of none; `new`: those that are new.
    """

    start_G: Indexes
    item_S: Indexes
    order_I: Indexes
    place_I: Indexes
    popular: Ranked
    new: Ranked


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """`row_P`: the user; `place_P`: of the item among those of its user; `source_P`: the number in SOURCES."""

    row_P: Indexes
    place_P: Indexes
    item_P: Indexes
    source_P: Indexes

    def where(self, is_kept_P: Flags) -> "Pairs":
        return Pairs(**{field.name: getattr(self, field.name)[is_kept_P] for field in fields(self)})


def sellers_of(  # columns of items
    category_I: Indexes,
    place_I: Indexes,
    seller_rank_I: Indexes,
    popular_rank_I: Indexes,
    order_I: Indexes,
    new_rank_I: Indexes,
) -> Sellers:
    """`category_I`: from 1, 0 for none; ranks from 1, 0 of an item that was not sold, is not new or may not be
    named."""
    sold = np.flatnonzero((seller_rank_I > 0) & (category_I > 0))
    in_order = sold[np.lexsort((seller_rank_I[sold], category_I[sold]))]
    count_G = np.bincount(category_I[sold], minlength=int(category_I.max(initial=0)) + 1)
    return Sellers(
        start_G=np.concatenate([[0], np.cumsum(count_G)]),
        item_S=in_order,
        order_I=order_I,
        place_I=place_I,
        popular=_ranked(popular_rank_I),
        new=_ranked(new_rank_I),
    )


def _ranked(rank_I: Indexes) -> Ranked:
    items = np.flatnonzero(rank_I > 0)
    return Ranked(item_L=items[np.argsort(rank_I[items])], place_I=rank_I - 1)


def neighbours_of(item_N: Indexes, neighbour_N: Indexes, weight_N: Indexes, num_items: int) -> Neighbours:
    """In any order."""
    order = np.argsort(item_N, kind="stable")
    start_I = np.concatenate([[0], np.cumsum(np.bincount(item_N, minlength=num_items))])
    return Neighbours(start_I=start_I, item_N=neighbour_N[order], weight_N=weight_N[order])


def named_pairs(
    users: Users, category_F: Indexes, sellers: Sellers, neighbours: Neighbours, quotas: CandidatesConfig
) -> Pairs:
    """`category_F`: the numbers of the users' categories. What must not be named takes no place of a quota: the next
    item has it."""
    left_out = _left_out(users.kinds[LEFT_OUT_KIND], len(sellers.order_I))
    own = _in_own_order(users.kinds[OWN_KIND], sellers.place_I)
    mine = _own_pairs(own, left_out, len(sellers.order_I), quotas.own_items)
    named: tuple[Pairs, ...] = (mine, left_out)
    ranked = _factor_pairs(users.kinds[FACTORS_KIND], named, len(sellers.order_I), quotas.factor_items)
    named = (*named, ranked)
    beside = _neighbour_pairs(own, neighbours, sellers.place_I, named, quotas.neighbour_items)
    named = (*named, beside)
    favourites = _favourites(users.kinds[CATEGORY_KIND], category_F, fetched_of_categories(quotas))
    liked = _category_pairs(favourites, sellers, named, quotas.category_items)
    named = (*named, liked)
    new = _best_pairs(len(users), sellers.new, named, _NEW, quotas.new_items)
    popular = _best_pairs(len(users), sellers.popular, (*named, new), _POPULAR, quotas.popular_items)
    return _joined(len(users), (mine, ranked, beside, liked, new, popular))


def _left_out(rows: OfKind, num_items: int) -> Pairs:
    row_P, item_P = rows.row_R, rows.ints_RC[:, 0] if len(rows) else rows.row_R
    nothing_P = np.zeros_like(row_P)
    return Pairs(row_P=row_P, place_P=nothing_P, item_P=item_P, source_P=nothing_P).where(item_P < num_items)


def _is_among(row_P: Indexes, item_P: Indexes, pairs: Pairs, num_items: int) -> Flags:
    is_among_P: Flags = np.isin(row_P * num_items + item_P, pairs.row_P * num_items + pairs.item_P)
    return is_among_P


def _are_free(row_P: Indexes, item_P: Indexes, named: tuple[Pairs, ...], num_items: int) -> Flags:
    are_free_P = np.ones(len(row_P), dtype=np.bool_)
    for pairs in named:
        if len(pairs.row_P):
            are_free_P &= ~_is_among(row_P, item_P, pairs, num_items)
    return are_free_P


def _in_own_order(own: OfKind, place_I: Indexes) -> Pairs:
    item_O, place_O, recency_O = own.ints_RC.T if len(own) else np.zeros((3, 0), dtype=np.int64)
    order = np.lexsort((place_I[item_O], recency_O, place_O, own.row_R))
    source_O = np.where(place_O < 0, _OWN, _VIEWED)
    return _first(own.row_R[order], item_O[order], source_O[order], len(order))


def _own_pairs(own: Pairs, left_out: Pairs, num_items: int, quota: int) -> Pairs:
    may_be_named = own.where(~_is_among(own.row_P, own.item_P, left_out, num_items))
    return _first(may_be_named.row_P, may_be_named.item_P, may_be_named.source_P, quota)


def _factor_pairs(lists: OfKind, named: tuple[Pairs, ...], num_items: int, quota: int) -> Pairs:
    at_P, place_P = np.nonzero((lists.ints_RC >= 0) & (lists.ints_RC < num_items))
    row_P, item_P = lists.row_R[at_P], lists.ints_RC[at_P, place_P]
    are_free_P = _are_free(row_P, item_P, named, num_items)
    return _first(row_P[are_free_P], item_P[are_free_P], np.full(int(are_free_P.sum()), _FACTORS), quota)


def _neighbour_pairs(
    own: Pairs, neighbours: Neighbours, place_I: Indexes, named: tuple[Pairs, ...], quota: int
) -> Pairs:
    """The highest sum of weights beside the user's first own items comes first."""
    asked = own.where(own.place_P < ASKED_OWN_ITEMS)
    start_A = neighbours.start_I[asked.item_P]
    asked_N, place_N = places(neighbours.start_I[asked.item_P + 1] - start_A)
    at_N, num_items = start_A[asked_N] + place_N, len(place_I)
    key_P, pair_N = np.unique(asked.row_P[asked_N] * num_items + neighbours.item_N[at_N], return_inverse=True)
    # Whole numbers, which doubles hold.
    weight_P = np.bincount(pair_N, weights=neighbours.weight_N[at_N], minlength=len(key_P))
    row_P, item_P = np.divmod(key_P, max(num_items, 1))
    order = np.lexsort((place_I[item_P], -weight_P, row_P))
    order = order[_are_free(row_P[order], item_P[order], named, num_items)]
    return _first(row_P[order], item_P[order], np.full(len(order), _NEIGHBOURS), quota)


def _category_pairs(
    favourites: tuple[Indexes, Indexes, Indexes], sellers: Sellers, named: tuple[Pairs, ...], quota: int
) -> Pairs:
    """The best seller of each favourite category, then the second of each, and so on; more buyers first."""
    row_F, category_F, share_F = favourites
    start_F = sellers.start_G[category_F]
    favourite_E, rank_E = places(np.minimum(share_F, sellers.start_G[category_F + 1] - start_F))
    row_E, item_E = row_F[favourite_E], sellers.item_S[start_F[favourite_E] + rank_E]
    num_items = len(sellers.order_I)
    is_free_E = _are_free(row_E, item_E, named, num_items)
    row_E, item_E, rank_E = row_E[is_free_E], item_E[is_free_E], rank_E[is_free_E]
    # One number to sort by: user, then rank, then buyers.
    order = np.argsort((row_E * (int(share_F.max(initial=0)) + 1) + rank_E) * num_items + sellers.order_I[item_E])
    return _first(row_E[order], item_E[order], np.full(len(row_E), _CATEGORY), quota)


def _favourites(categories: OfKind, category_F: Indexes, fetched: int) -> tuple[Indexes, Indexes, Indexes]:
    """User, category and number of its best sellers that are fetched."""
    purchases_F = categories.ints_RC[:, 0] if len(categories) else np.zeros(0, dtype=np.int64)
    text_F = np.asarray(pc.rank(categories.text_R, null_placement="at_start", tiebreaker="dense")).astype(np.int64)
    order = np.lexsort((text_F, -purchases_F, categories.row_R))
    order = order[purchases_F[order] > 0]
    row_F = categories.row_R[order]
    is_first_F = _ranks(row_F) < FAVOURITE_CATEGORIES
    row_F, category_F = row_F[is_first_F], category_F[order][is_first_F]
    count_F = np.bincount(row_F)[row_F] if len(row_F) else row_F
    return row_F, category_F, -(-fetched // np.maximum(count_F, 1))


def _best_pairs(num_users: int, best: Ranked, named: tuple[Pairs, ...], source: int, quota: int) -> Pairs:
    """Of so many that the quota is full even where all that is named, or must not be, are among the best."""
    most_named = sum(int(np.bincount(pairs.row_P).max(initial=0)) for pairs in named)
    length = min(quota + most_named, len(best.item_L))
    is_free_BL = np.ones((num_users, length), dtype=np.bool_)
    for pairs in named:
        place_P = best.place_I[pairs.item_P]
        is_among_P = (place_P >= 0) & (place_P < length)
        is_free_BL[pairs.row_P[is_among_P], place_P[is_among_P]] = False
    row_P, place_P = np.nonzero(is_free_BL & (np.cumsum(is_free_BL, axis=1) <= quota))
    return _first(row_P, best.item_L[place_P], np.full(len(row_P), source), quota)


def _first(row_P: Indexes, item_P: Indexes, source_P: Indexes, quota: int) -> Pairs:
    """The first `quota` of each user, whose pairs come one after the other, best first."""
    place_P = _ranks(row_P)
    return Pairs(row_P=row_P, place_P=place_P, item_P=item_P, source_P=source_P).where(place_P < quota)


def _ranks(row_P: Indexes) -> Indexes:
    """From 0, of each pair among those of its user; users in order."""
    place_P: Indexes = np.arange(len(row_P)) - np.searchsorted(row_P, row_P)
    return place_P


def _joined(num_users: int, parts: tuple[Pairs, ...]) -> Pairs:
    """Each user's pairs of a part have their places behind those of the parts before."""
    before_B = np.zeros(num_users, dtype=np.int64)
    place_of = []
    for pairs in parts:
        place_of.append(pairs.place_P + before_B[pairs.row_P])
        before_B = before_B + np.bincount(pairs.row_P, minlength=num_users)
    return Pairs(
        row_P=np.concatenate([pairs.row_P for pairs in parts]),
        place_P=np.concatenate(place_of),
        item_P=np.concatenate([pairs.item_P for pairs in parts]),
        source_P=np.concatenate([pairs.source_P for pairs in parts]),
    )
