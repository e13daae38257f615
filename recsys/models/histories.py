"""What each user took, oldest first, in rows of one length. Shapes: E events, U users, S length of a row, R rows."""

from dataclasses import dataclass

import numpy as np

from recsys.models.interactions import Indexes
from recsys.models.sequences import NO_ITEM


@dataclass(frozen=True, kw_only=True)
class Histories:
    """User u's items are those from `start_U[u]` to before `start_U[u + 1]`, as indexes of the vocabulary from 0."""

    item_idx_E: Indexes
    start_U: Indexes

    @property
    def users(self) -> int:
        return len(self.start_U) - 1


def histories_of(user_idx_E: Indexes, item_idx_E: Indexes, *, users: int) -> Histories:
    """The events of a user stand in their order of time; users may be mixed."""
    order_E = np.argsort(user_idx_E, kind="stable")
    start_U = np.concatenate([[0], np.cumsum(np.bincount(user_idx_E, minlength=users))])
    return Histories(item_idx_E=item_idx_E[order_E], start_U=start_U)


def without_last(histories: Histories) -> Histories:
    """Each user's items but the last."""
    is_kept_E = np.ones(len(histories.item_idx_E), dtype=bool)
    is_kept_E[histories.start_U[1:][np.diff(histories.start_U) > 0] - 1] = False
    counts_U = np.maximum(np.diff(histories.start_U) - 1, 0)
    return Histories(item_idx_E=histories.item_idx_E[is_kept_E], start_U=np.concatenate([[0], np.cumsum(counts_U)]))


def newest(histories: Histories, size: int) -> Indexes:
    """(U, size): each user's last items."""
    stop_U = histories.start_U[1:]
    return _rows(histories, np.maximum(histories.start_U[:-1], stop_U - size), stop_U, size)


def windows(histories: Histories, size: int) -> Indexes:
    """(R, size): each event but a user's first stands once behind the first place of a row.

    Rows are cut from the end, each beginning with the last item of the one before; a user with one item has none.
    """
    step = size - 1
    per_user_U = -(-np.maximum(np.diff(histories.start_U) - 1, 0) // step)
    user_R = np.repeat(np.arange(histories.users), per_user_U)
    from_end_R = np.arange(len(user_R)) - np.repeat(np.cumsum(per_user_U) - per_user_U, per_user_U)
    stop_R = histories.start_U[user_R + 1] - step * from_end_R
    return _rows(histories, np.maximum(histories.start_U[user_R], stop_R - size), stop_R, size)


def _rows(histories: Histories, first_R: Indexes, stop_R: Indexes, size: int) -> Indexes:
    """Filled up with NO_ITEM at the end."""
    event_RS = first_R[:, None] + np.arange(size)
    is_item_RS = event_RS < stop_R[:, None]
    # One event more, so that a row that is filled up has something to look at.
    item_idx_E = np.append(histories.item_idx_E + 1, NO_ITEM)
    rows: Indexes = np.where(is_item_RS, item_idx_E[np.where(is_item_RS, event_RS, -1)], NO_ITEM)
    return rows
