"""Fills lists of n places under a plan of rules: each user's items in their order, as far as rules let them.

Shapes: B users, L items to choose from, N places of a list, I items, R rules, V users that are filled at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.scoring.item_facts import NONE, Flags, Indexes
from recsys.scoring.rule_plans import Limit, Pin, Plan


@dataclass(frozen=True, kw_only=True)
class Filled:
    """`place_BN`: the columns of the L in the order of the list, NONE beyond its end.

    `is_pinned_BN`: by a rule. `relaxed`: user, place in the list and number of a rule that gave way for the item there.
    `is_kept_away_BR`: a rule kept an item away that would have had its place, or put one there.
    """

    place_BN: Indexes
    is_pinned_BN: Flags
    relaxed: tuple[tuple[Indexes, Indexes, int], ...]
    is_kept_away_BR: Flags

    def rows(self, row_V: Indexes) -> "Filled":
        """Of these users; without what gave way, which full lists have none of."""
        return Filled(
            place_BN=self.place_BN[row_V],
            is_pinned_BN=self.is_pinned_BN[row_V],
            relaxed=(),
            is_kept_away_BR=self.is_kept_away_BR[row_V],
        )


def filled(item_BL: Indexes, is_out_BL: Flags, plan: Plan, *, n: int, num_rules: int) -> Filled:
    """`is_out_BL`: must not be chosen, whatever rules say. An item stands once in a row.

    The items of pins must be among the L; a pin whose item is out, hidden or clashes with a more important pin is left
    out. Rules give way in the order of `relaxed_first`, for what is added at the end of lists that would be short.
    """
    filling = _Filling(item_BL, is_out_BL, plan, n, num_rules)
    for pin in plan.pins:
        filling.pin(pin)
    filling.pass_over(frozenset())
    gone: frozenset[int] = frozenset()
    for number in plan.relaxed_first:
        if not filling.short().any():
            break
        gone |= {number}
        filling.pass_over(gone)
    return filling.result()


class _Filling:
    """Lists that grow: first the pins, then item after item, in passes under fewer rules each."""

    def __init__(self, item_BL: Indexes, is_out_BL: Flags, plan: Plan, n: int, num_rules: int) -> None:
        users = len(item_BL)
        self._item_BL, self._plan, self._n = item_BL, plan, n
        self._hider_BL = np.where(is_out_BL, NONE, plan.hider_I[item_BL])
        self._is_free_BL = ~is_out_BL
        self._place_BN = np.full((users, n), NONE, dtype=np.int64)
        self._pin_rank_BN = np.zeros((users, n), dtype=np.int64)
        self._relaxed: list[tuple[Indexes, Indexes, int]] = []
        self._codes = {limit.rule: np.full((users, n), NONE, dtype=np.int64) for limit in plan.limits}
        self._count_B = np.zeros(users, dtype=np.int64)
        self._is_kept_away_BR = np.zeros((users, num_rules), dtype=np.bool_)

    def short(self) -> Flags:
        """(B,): lists that have fewer than n items."""
        return self._count_B < self._n

    def pin(self, pin: Pin) -> None:
        is_it_BL = (self._item_BL == pin.item_idx) & self._is_free_BL & (self._hider_BL == NONE)
        is_hidden = any(filter_.is_hidden_I[pin.item_idx] for filter_ in self._plan.filters)
        row_V = np.flatnonzero(is_it_BL.any(axis=1) & (not is_hidden) & self.short())
        place_V = is_it_BL[row_V].argmax(axis=1)
        for limit in self._plan.limits:
            is_kept_V = ~self._clashes(limit, row_V, self._item_BL[row_V, place_V])
            row_V, place_V = row_V[is_kept_V], place_V[is_kept_V]
        self._pin_rank_BN[row_V, self._count_B[row_V]] = pin.rank
        self._is_kept_away_BR[row_V, pin.rule] = True
        self._take(row_V, place_V)

    def pass_over(self, gone: frozenset[int]) -> None:
        """Item after item, into lists that are short yet, under all rules but those that are `gone`."""
        for place in range(self._item_BL.shape[1]):
            row_V = np.flatnonzero(self.short() & self._is_free_BL[:, place])
            if len(row_V):
                self._offer(row_V, place, gone)

    def result(self) -> Filled:
        """Pins at their ranks, the others around them; a list too short for a pin's rank ends with the pin."""
        is_pin_BN = self._pin_rank_BN > 0
        rank_BN = np.where(is_pin_BN, self._pin_rank_BN, self._free_ranks(is_pin_BN))
        rank_BN[self._place_BN == NONE] = self._n + 1
        order_BN = np.argsort(rank_BN, axis=1, kind="stable")
        position_BN = np.argsort(order_BN, axis=1, kind="stable")
        return Filled(
            place_BN=np.take_along_axis(self._place_BN, order_BN, axis=1),
            is_pinned_BN=np.take_along_axis(is_pin_BN, order_BN, axis=1),
            relaxed=tuple((row_V, position_BN[row_V, at_V], rule) for row_V, at_V, rule in self._relaxed),
            is_kept_away_BR=self._is_kept_away_BR,
        )

    def _free_ranks(self, is_pin_BN: Flags) -> Indexes:
        """(B, N): for what is not pinned, in its order, the ranks that no pin has."""
        is_taken_BN = np.zeros_like(is_pin_BN)
        row_P, at_P = np.nonzero(is_pin_BN)
        is_taken_BN[row_P, self._pin_rank_BN[row_P, at_P] - 1] = True
        free_first_BN = np.argsort(is_taken_BN, axis=1, kind="stable")
        number_BN = np.maximum(np.cumsum(~is_pin_BN, axis=1) - 1, 0)
        ranks_BN: Indexes = np.take_along_axis(free_first_BN, number_BN, axis=1) + 1
        return ranks_BN

    def _offer(self, row_V: Indexes, place: int, gone: frozenset[int]) -> None:
        hider_V = self._hider_BL[row_V, place]
        is_good_V = hider_V == NONE
        self._is_kept_away_BR[row_V[~is_good_V], hider_V[~is_good_V]] = True
        broken: list[tuple[int, Flags]] = []
        for rule, is_broken_V in self._broken(row_V, self._item_BL[row_V, place]):
            if rule in gone:
                broken.append((rule, is_broken_V))
            else:
                self._is_kept_away_BR[row_V[is_good_V & is_broken_V], rule] = True
                is_good_V = is_good_V & ~is_broken_V
        for rule, is_broken_V in broken:
            relaxed_V = row_V[is_good_V & is_broken_V]
            if len(relaxed_V):
                self._relaxed.append((relaxed_V, self._count_B[relaxed_V], rule))
        taken_V = row_V[is_good_V]
        self._take(taken_V, np.full(len(taken_V), place))

    def _broken(self, row_V: Indexes, item_V: Indexes) -> Iterator[tuple[int, Flags]]:
        for filter_ in self._plan.filters:
            yield filter_.rule, filter_.is_hidden_I[item_V]
        for limit in self._plan.limits:
            yield limit.rule, self._clashes(limit, row_V, item_V)

    def _clashes(self, limit: Limit, row_V: Indexes, item_V: Indexes) -> Flags:
        code_V, there_VN = limit.code_I[item_V], self._codes[limit.rule][row_V]
        clash_V: Flags
        if limit.k is None:
            clash_V = ((there_VN != NONE) & (there_VN != code_V[:, None])).any(axis=1)
        else:
            clash_V = (there_VN == code_V[:, None]).sum(axis=1) >= limit.k
        clash_V &= code_V != NONE
        return clash_V

    def _take(self, row_V: Indexes, place_V: Indexes) -> None:
        count_V = self._count_B[row_V]
        self._place_BN[row_V, count_V] = place_V
        self._is_free_BL[row_V, place_V] = False
        for limit in self._plan.limits:
            self._codes[limit.rule][row_V, count_V] = limit.code_I[self._item_BL[row_V, place_V]]
        self._count_B[row_V] = count_V + 1


def moved(item_BK: Indexes, places_I: NDArray[np.int32]) -> Indexes:
    """(B, K): the order in which items stand once each moved up (or down) by its places; NONE stays at the end.

    What moves passes what stands where it goes; among equals the order is kept.
    """
    places_BK = np.where(item_BK == NONE, 0, places_I[item_BK])
    # Half a place more, so that the item that stood there is passed too.
    target_BK = np.arange(item_BK.shape[1]) - places_BK - 0.5 * np.sign(places_BK)
    target_BK[item_BK == NONE] = np.inf
    order_BK: Indexes = np.argsort(target_BK, axis=1, kind="stable")
    return order_BK


def popular_for(plan: Plan, popular_A: Indexes, counts: Sequence[int]) -> Indexes:
    """The most popular items that no rule hides, and then those that rules hide which may give way; so many of each."""
    may = popular_A[plan.hider_I[popular_A] == NONE]
    is_hidden = np.zeros(len(may), dtype=np.bool_)
    for filter_ in plan.filters:
        is_hidden |= filter_.is_hidden_I[may]
    return np.concatenate([may[~is_hidden][: counts[0]], may[is_hidden][: counts[1]]])
