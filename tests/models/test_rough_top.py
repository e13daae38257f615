import numpy as np
import pytest

from recsys.models.exact_top import ExactTop
from recsys.models.rough_top import rough_error, rough_tile, scratch_for


def vectors(users, items, dim):
    """Of lengths that differ by hundreds."""
    generator = np.random.default_rng(11)
    return [
        (generator.normal(size=(rows, dim)) * np.exp(generator.normal(size=(rows, 1)) * 2)).astype(np.float32)
        for rows in (users, items)
    ]


@pytest.mark.parametrize("items", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("found", [1, 7, 200])
def test_no_item_that_was_not_found_is_truly_better_than_the_last_by_more_than_the_stated_error(items, found) -> None:
    user_BD, item_ID = vectors(300, items, 24)
    tile = rough_tile(item_ID)
    place_BS, score_BS = tile.nearest(user_BD, min(found, items), scratch_for(items))
    assert place_BS.shape == score_BS.shape == (300, min(found, items))
    assert (np.sort(place_BS)[:, 1:] > np.sort(place_BS)[:, :-1]).all(), "no item twice"
    assert place_BS.max() < items, "none of those that fill the tile up"
    assert (np.diff(score_BS) <= 0).all()
    true_BI = user_BD.astype(np.float64) @ item_ID.astype(np.float64).T
    np.put_along_axis(true_BI, place_BS, -np.inf, axis=1)
    limit_B = score_BS[:, -1] + rough_error(user_BD, score_BS[:, -1].astype(np.float64), tile.error, tile.length)
    assert (true_BI.max(axis=1) <= limit_B).all()


def test_the_stated_error_is_that_of_rounding() -> None:
    """Numbers of eight binary digits have none but that of the result; 1 + 1/256 is rounded to 1."""
    ones = np.ones((1, 4), np.float32)
    tile = rough_tile(ones)
    assert (tile.error, tile.length) == (0.0, 2.0)
    assert rough_error(ones, np.array([4.0]), tile.error, tile.length) == pytest.approx([4 / 256 * 1.01])
    assert rough_tile(ones + np.float32(1 / 256)).error == pytest.approx(2 / 256)


def test_users_that_it_serves_badly_are_no_longer_asked_of_it() -> None:
    """All items alike: what tells them apart is lost in 16 bits."""
    generator = np.random.default_rng(1)
    item_ID = (1 + generator.random((500, 8)) * 1e-4).astype(np.float32)
    user_BD = generator.random((5000, 8)).astype(np.float32)
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    searches = [ExactTop(item_ID, np.ones(500, np.bool_), is_rough=is_rough) for is_rough in (True, False)]
    for _ in range(2):
        rough, single = (search.top(user_BD, none, 10) for search in searches)
        assert (rough[0] == single[0]).all()
        assert (rough[1] == single[1]).all()
    assert searches[0]._tried < 5000


def test_of_few_items_those_of_negative_scores_are_found_too() -> None:
    tile = rough_tile(np.array([[1], [-1], [2]], np.float32))
    place_BS, score_BS = tile.nearest(np.array([[1], [-1]], np.float32), 3, scratch_for(3))
    assert place_BS.tolist() == [[2, 0, 1], [1, 0, 2]]
    assert score_BS.tolist() == [[2, 1, -1], [1, -1, -2]]
