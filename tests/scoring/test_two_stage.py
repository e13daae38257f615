import numpy as np
import pyarrow as pa
import pytest

from recsys import columns as c
from recsys.catalog import NUMERIC_INPUTS, USER_CATEGORY, USER_ITEM
from recsys.scoring.candidates import OWN_ROWS
from recsys.scoring.two_stage import CATEGORY_ROWS, _blocks, _ranked, best_of_each, catalogue_of

NAMES = (
    c.USER_PURCHASES_28D,
    c.ITEM_BUYERS_28D,
    c.USER_ITEM_PURCHASES_91D,
    c.USER_CATEGORY_PURCHASES_91D,
    c.STORE_ITEM_MAIL_DAYS_7D,
)


class SumScorer:
    """The user's number, ten times the item's, a hundred times the pair's, and so on, in the order of `NAMES`."""

    batch_rows = 3

    def __init__(self, factor: float = 0.00001) -> None:
        self.id_columns = {c.USER_IDX: slice(0, 1), c.ITEM_IDX: slice(1, 2), c.CATEGORY_IDX: slice(2, 3)}
        self.number_columns = {name: slice(number, number + 1) for number, name in enumerate(NAMES)}
        self.factor = factor

    def prepared(self, _, values_XC):
        return values_XC

    def score(self, _, numeric_BF):
        return (numeric_BF @ [1, 10, 100, 1_000, 10_000]).astype(np.float64) * self.factor


def defaults(grain):
    return {f.name: f.default for f in NUMERIC_INPUTS if f.grain == grain.name}


def catalogue(scorer):
    items = pa.table(
        {
            # In another order than their indexes; the smaller id has the larger index.
            c.ITEM_ID: ["a", "c", "b", "d"],
            c.ITEM_IDX: pa.array([3, 1, 2, 0], pa.int32()),
            c.CATEGORY_IDX: pa.array([0, 1, -1, 0], pa.int32()),
            c.LOOKUP_CATEGORY: ["dairy", "bakery", None, "dairy"],
            c.ITEM_BUYERS_28D: pa.array([1, 2, 3, 1], pa.float32()),
        }
    )
    stores = {c.STORE_ID: ["s1", "s2"], c.ITEM_IDX: pa.array([2, 0], pa.int32())}
    mail = {f: pa.array([5.0, 7.0], pa.float32()) for f in (c.STORE_ITEM_MAIL_DAYS_7D, c.STORE_ITEM_DISPLAY_DAYS_7D)}
    return catalogue_of(scorer, items, pa.table({**stores, **mail}))


def block(left_out=None):
    own_row = {c.ITEM_IDX: 3, **defaults(USER_ITEM), c.USER_ITEM_PURCHASES_91D: 4.0}
    categories = [
        {c.CATEGORY: "dairy", **defaults(USER_CATEGORY), c.USER_CATEGORY_PURCHASES_91D: 2.0},
        {c.CATEGORY: "no item's", **defaults(USER_CATEGORY), c.USER_CATEGORY_PURCHASES_91D: 9.0},
    ]
    ints = pa.list_(pa.int32())
    columns = {
        c.USER_ID: pa.array(["u", "nobody", "v"]),
        "own": pa.array([[3], [], None], ints),
        "viewed": pa.array([[], [], []], ints),
        "category": pa.array([[0, 1], [], []], ints),
        "popular": pa.array([[2], [], [0, 3]], ints),
        OWN_ROWS: pa.array([[own_row], None, []], pa.list_(pa.struct(_fields(own_row, {c.ITEM_IDX: pa.int32()})))),
        CATEGORY_ROWS: pa.array(
            [categories, None, []], pa.list_(pa.struct(_fields(categories[0], {c.CATEGORY: pa.string()})))
        ),
        c.USER_IDX: pa.array([0, -1, 1], pa.int32()),
        c.LOOKUP_STORE_ID: pa.array(["s1", None, "unheard of"]),
        c.USER_PURCHASES_28D: pa.array([6, 0, 8], pa.float32()),
    }
    if left_out is not None:
        columns["left_out"] = pa.array(left_out, ints)
    return pa.RecordBatch.from_pydict(columns)


def _fields(row, types):
    return [(name, types.get(name, pa.float32())) for name in row]


def ranked(n, left_out=None):
    scorer = SumScorer()
    return _ranked(block(left_out), scorer, catalogue(scorer), n).to_pylist()


def test_a_users_candidates_are_scored_by_what_each_table_says_and_ranked() -> None:
    first, second = ranked(n=9)
    # b: 6 + 30 + mail 5 in the user's store; a: own 4 and dairy 2; d: dairy 2; c: another category.
    assert first == {
        c.USER_ID: "u",
        c.ITEM_IDX: [2, 3, 0, 1],
        c.ITEM_ID: ["b", "a", "d", "c"],
        c.SCORE: pytest.approx([0.50036, 0.02416, 0.02016, 0.00026]),
        c.SOURCE: ["popular", "own", "category", "category"],
        c.NUM_ITEMS: 4,
    }
    # Equal scores: the smaller id first, though its index is the larger one. Nobody without candidates has a row.
    assert (second[c.USER_ID], second[c.ITEM_ID], second[c.SCORE]) == ("v", ["a", "d"], [0.00018, 0.00018])


def test_only_the_best_are_kept_and_what_is_left_out_is_not_counted() -> None:
    first, second = ranked(n=1, left_out=[[2, 9], None, [3]])
    assert (first[c.ITEM_ID], first[c.NUM_ITEMS]) == (["a"], 3)
    assert (second[c.ITEM_ID], second[c.NUM_ITEMS]) == (["d"], 1)


def test_a_score_that_is_no_number_is_refused() -> None:
    scorer = SumScorer(factor=float("nan"))
    with pytest.raises(ValueError, match=r"every score must be a finite number: 6 of 6 are not"):
        _ranked(block(), scorer, catalogue(scorer), 2)


def test_blocks_are_whole_users_up_to_so_many_pairs() -> None:
    assert list(_blocks(np.array([3, 3, 4, 20, 1]), 10)) == [(0, 3), (3, 1), (4, 1)]
    assert list(_blocks(np.array([], dtype=np.int64), 10)) == []


def test_the_best_of_each_row_are_those_of_sorting_all() -> None:
    generator = np.random.default_rng(3)
    for n in (1, 3, 50):
        length_B = generator.integers(0, 12, 40)
        row_P = np.repeat(np.arange(40), length_B)
        place_P = np.concatenate([generator.permutation(length) for length in length_B])
        order_P = np.concatenate([generator.permutation(30)[:length] for length in length_B])
        score_P = generator.integers(-3, 3, len(row_P)) / 10  # many ties
        best_BN = best_of_each(row_P, place_P, score_P, order_P, 40, n)
        for row in range(40):
            pairs = np.flatnonzero(row_P == row)
            expected = pairs[np.lexsort((order_P[pairs], -score_P[pairs]))][:n]
            assert best_BN[row][best_BN[row] >= 0].tolist() == expected.tolist()
