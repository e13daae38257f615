import numpy as np

from recsys.models.histories import Histories, histories_of, newest, windows, without_last


def some() -> Histories:
    """User 0 took items 4, 0, 2, 7, 1, user 1 nothing, user 2 item 5, user 3 items 3, 6; users are mixed."""
    user_idx_E = np.array([3, 0, 0, 2, 0, 3, 0, 0])
    item_idx_E = np.array([3, 4, 0, 5, 2, 6, 7, 1])
    return histories_of(user_idx_E, item_idx_E, users=4)


def test_events_stand_by_user_and_keep_their_order() -> None:
    assert some().item_idx_E.tolist() == [4, 0, 2, 7, 1, 5, 3, 6]
    assert some().start_U.tolist() == [0, 5, 5, 6, 8]
    assert some().users == 4


def test_the_newest_items_are_one_higher_and_filled_up_at_the_end() -> None:
    assert newest(some(), 3).tolist() == [[3, 8, 2], [0, 0, 0], [6, 0, 0], [4, 7, 0]]
    assert newest(some(), 6).tolist()[0] == [5, 1, 3, 8, 2, 0]


def test_each_item_but_the_first_comes_once_behind_the_first_place() -> None:
    assert windows(some(), 3).tolist() == [[3, 8, 2], [5, 1, 3], [4, 7, 0]]
    assert windows(some(), 4).tolist() == [[1, 3, 8, 2], [5, 1, 0, 0], [4, 7, 0, 0]]
    assert windows(some(), 9).tolist() == [[5, 1, 3, 8, 2, 0, 0, 0, 0], [4, 7, 0, 0, 0, 0, 0, 0, 0]]


def test_without_the_last_item_a_user_may_have_none() -> None:
    rest = without_last(some())
    assert rest.item_idx_E.tolist() == [4, 0, 2, 7, 3]
    assert rest.start_U.tolist() == [0, 4, 4, 4, 5]


def test_no_users_have_no_rows() -> None:
    nothing = np.empty(0, dtype=np.int64)
    empty = without_last(histories_of(nothing, nothing, users=0))
    assert newest(empty, 3).shape == windows(empty, 3).shape == (0, 3)
