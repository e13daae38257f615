import numpy as np
import pyarrow as pa
import pytest

from recsys import columns as c
from recsys.catalog import NUMERIC_INPUTS, USER_CATEGORY, USER_ITEM
from recsys.scoring.candidates import NEW_RANK, POPULAR_RANK, SELLER_ORDER, SELLER_RANK
from recsys.scoring.catalogue import catalogue_of
from recsys.scoring.two_stage import (
    NUM_EXACT,
    NUM_EXACT_NAMED,
    ListSettings,
    _ranked,
    best_of_each,
    user_columns,
)
from recsys.scoring.user_rows import CATEGORY_KIND, LEFT_OUT_KIND, OWN_KIND, USER_KIND, users_of
from tests.feature_rows import quotas_of

NAMES = (
    c.USER_PURCHASES_28D,
    c.ITEM_BUYERS_28D,
    c.USER_ITEM_PURCHASES_91D,
    c.USER_CATEGORY_PURCHASES_91D,
    c.STORE_ITEM_MAIL_DAYS_7D,
)
WEIGHTS = np.array([1, 10, 100, 1_000, 10_000])


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
        return (numeric_BF @ WEIGHTS).astype(np.float64) * self.factor

    def has_halves(self, _):
        return False


class HalvesScorer(SumScorer):
    """The same; items that are not known by their index, and users with any other id than theirs, count a million."""

    def score(self, *_):
        raise AssertionError("pairs have halves")

    def has_halves(self, num_rows):
        return num_rows == 4

    def half_of(self, ids_BI, numeric_BF, *, of_users):
        is_one_side_B = (ids_BI[:, 1:] < 0).all(axis=1) if of_users else ids_BI[:, 0] < 0
        return ((numeric_BF @ WEIGHTS) + np.where(is_one_side_B, 0, 1e6)).astype(np.float32)[:, None]

    def score_halves(self, user_BW, item_BW, number_BK, places_K):
        user_BW += item_BW
        return (user_BW[:, 0] + number_BK @ WEIGHTS[places_K]).astype(np.float64) * self.factor


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
            # Nobody bought c.
            SELLER_RANK: pa.array([2, None, 1, 1], pa.int32()),
            POPULAR_RANK: pa.array([3, None, 1, 2], pa.int32()),
            SELLER_ORDER: pa.array([3, None, 1, 2], pa.int32()),
            NEW_RANK: pa.array([None, None, None, 1], pa.int32()),
        }
    )
    stores = {c.STORE_ID: ["s1", "s2"], c.ITEM_IDX: pa.array([2, 0], pa.int32())}
    mail = {f: pa.array([5.0, 7.0], pa.float32()) for f in (c.STORE_ITEM_MAIL_DAYS_7D, c.STORE_ITEM_DISPLAY_DAYS_7D)}
    return catalogue_of(scorer, items, pa.table({**stores, **mail}))


def block(left_out=(), sampled=()):
    """u bought a and of dairy, and of a category that no item has; v is known by the number of its purchases alone."""
    own = {**defaults(USER_ITEM), c.USER_ITEM_PURCHASES_91D: 4.0}
    dairy, of_no_item = ({**defaults(USER_CATEGORY), c.USER_CATEGORY_PURCHASES_91D: bought} for bought in (2.0, 9.0))
    rows = [
        of_user("nobody", None, -1, 0, sampled),
        ("u", OWN_KIND, None, [3, -1, 5], list(own.values())),
        ("u", CATEGORY_KIND, "dairy", [2], list(dairy.values())),
        of_user("u", "s1", 0, 6, sampled),
        ("u", CATEGORY_KIND, "no item's", [9], list(of_no_item.values())),
        *(("u", LEFT_OUT_KIND, None, [item], []) for item in left_out),
        of_user("v", "unheard of", 1, 8, sampled),
        ("without a row of its own", OWN_KIND, None, [0, -1, 5], list(own.values())),
    ]
    types = (pa.string(), pa.int8(), pa.string(), pa.list_(pa.int32()), pa.list_(pa.float32()))
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=[c.USER_ID, "kind", "text", "ints", "floats"])


def of_user(user, store, user_idx, purchases, sampled):
    _, numbers = user_columns(())
    is_sampled = int(user in sampled)
    return (
        user,
        USER_KIND,
        store,
        [user_idx, is_sampled],
        [float(purchases * (name == c.USER_PURCHASES_28D)) for name in numbers],
    )


QUOTAS = quotas_of(own_items=2, category_items=2, popular_items=2)


def ranked(n, left_out=(), quotas=QUOTAS, scorer=None, sampled=(), exact_n=2):
    scorer = scorer or SumScorer()
    settings = ListSettings(n=n, exact_n=exact_n, quotas=quotas, user_lists=())
    return _ranked(users_of(block(left_out, sampled)), scorer, catalogue(scorer), settings).to_pylist()


def test_a_users_candidates_are_scored_by_what_each_table_says_and_ranked() -> None:
    nobody, first, second = ranked(n=9)
    # b: 6 + 30 + mail 5 in the user's store; a: own 4 and dairy 2; d: dairy 2. Nobody bought c, so it is not named.
    assert first == {
        c.USER_ID: "u",
        c.ITEM_IDX: [2, 3, 0],
        c.ITEM_ID: ["b", "a", "d"],
        c.SCORE: pytest.approx([0.50036, 0.02416, 0.02016]),
        c.SOURCE: ["popular", "own", "category"],
        # Of a what u did with it, 4 times 100; of d what u bought of dairy, 2 times 1,000.
        c.CONTRIBUTION: [None, pytest.approx(0.004), pytest.approx(0.02)],
        c.NUM_ITEMS: 3,
        NUM_EXACT: 0,
        NUM_EXACT_NAMED: 0,
    }
    assert (nobody[c.ITEM_ID], nobody[c.SOURCE], nobody[c.NUM_ITEMS]) == (["b", "d"], ["popular"] * 2, 2)
    assert (second[c.USER_ID], second[c.ITEM_ID], second[c.SCORE]) == ("v", ["b", "d"], [0.00038, 0.00018])


def test_halves_of_users_and_items_give_the_same_lists() -> None:
    assert catalogue(HalvesScorer()).items.half_XW.shape == (4, 1)
    assert ranked(n=9, scorer=HalvesScorer()) == ranked(n=9)


def test_equal_scores_are_in_the_order_of_item_ids_and_nobody_without_candidates_has_a_row() -> None:
    (only,) = ranked(n=9, quotas=quotas_of(own_items=1, category_items=1), scorer=SumScorer(0.0))
    # The smaller id first, though its index is the larger one.
    assert (only[c.USER_ID], only[c.ITEM_ID]) == ("u", ["a", "d"])


def test_only_the_best_are_kept_and_what_is_left_out_is_not_counted() -> None:
    _, first, second = ranked(n=1, left_out=[2, 9])
    assert (first[c.ITEM_ID], first[c.NUM_ITEMS]) == (["a"], 2)
    assert (second[c.ITEM_ID], second[c.NUM_ITEMS]) == (["b"], 2)


def test_of_sampled_users_the_best_of_all_items_are_looked_for_among_the_candidates() -> None:
    """Of u these are b, a, d and c, with .50036, .02416, .02016 and .00026."""
    only_popular = quotas_of(own_items=0, category_items=0, popular_items=1)
    told = {row[c.USER_ID]: (row[NUM_EXACT], row[NUM_EXACT_NAMED]) for row in ranked(9, (), only_popular, sampled="u")}
    assert told == {"nobody": (0, 0), "u": (2, 1), "v": (0, 0)}
    nobody, first, _ = ranked(9, left_out=[3], sampled=("nobody", "u"), exact_n=9)
    # Without a, u's candidates are b and d; c, which nobody bought, is named for nobody.
    assert (first[NUM_EXACT], first[NUM_EXACT_NAMED]) == (3, 2)
    assert (nobody[NUM_EXACT], nobody[NUM_EXACT_NAMED]) == (4, 2)


def test_what_is_left_out_takes_no_place_of_a_quota() -> None:
    one_of_each = quotas_of(own_items=1, category_items=1, popular_items=1)
    _, first, second = ranked(n=9, left_out=[3], quotas=one_of_each)
    # Without a, the own one: d is of dairy, b the most bought one.
    assert (first[c.ITEM_ID], second[c.ITEM_ID]) == (["b", "d"], ["b"])
    only_popular = quotas_of(category_items=0, popular_items=1)
    nobody, first, _ = ranked(n=9, left_out=[3, 2], quotas=only_popular)
    assert (nobody[c.ITEM_ID], first[c.ITEM_ID]) == (["b"], ["d"])


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"every score must be a finite number: 7 of 7 are not"):
        ranked(n=2, scorer=SumScorer(factor=float("nan")))


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
