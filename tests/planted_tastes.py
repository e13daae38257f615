"""Even users took the even items and odd users the odd ones, but for one pair a user, held out."""

import numpy as np

from recsys.models.interactions import Indexes, Matrix, interaction_matrix

USERS = ITEMS = 20


def likes(user: int, item: int) -> bool:
    return user % 2 == item % 2


def held_out(user: int) -> int:
    """An item that the user likes and training does not show."""
    return (user + 2) % ITEMS


def taken_pairs() -> tuple[Indexes, Indexes]:
    taken = [
        (user, item) for user in range(USERS) for item in range(ITEMS) if likes(user, item) and item != held_out(user)
    ]
    user_idx_P, item_idx_P = np.array(taken, dtype=np.int64).T
    return user_idx_P, item_idx_P


def taken_matrix() -> Matrix:
    return interaction_matrix(*taken_pairs(), users=USERS, items=ITEMS)


def found_held_out(scores_UI: "np.ndarray") -> int:
    """Users whose held-out item stands before all items that they do not like."""
    return sum(
        scores_UI[user, held_out(user)] > max(scores_UI[user, item] for item in range(ITEMS) if not likes(user, item))
        for user in range(USERS)
    )
