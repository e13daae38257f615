"""Each user walks through the items in a ring: what comes after an item is the next one."""

import numpy as np

from recsys.models.histories import Histories, histories_of

ITEMS, USERS = 12, 24


def walks() -> Histories:
    """User u begins at item u of the ring and takes 4 to 9 items."""
    taken = [(user, (user + step) % ITEMS) for user in range(USERS) for step in range(4 + user % 6)]
    user_idx_E, item_idx_E = np.array(taken, dtype=np.int64).T
    return histories_of(user_idx_E, item_idx_E, users=USERS)
