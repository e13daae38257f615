"""Which known items the words of a new one are most like: what its vector starts from.

Shapes: I items, W words of an item, N new items, X known ones, B numbers of words.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.models.interactions import Indexes

NEIGHBOURS = 10
# The nearest ones count by far the most: half as alike is a sixteenth of the weight.
_POWER = 4
_NO_WORD = 0
_BLOCK_ITEMS = 1024
# Sums of products differ in their last digits with the order of words.
_DECIMALS = 9

Csr = Any  # a scipy csr_matrix, which has no types


def shares_of_known(words_IW: Indexes, known: int) -> Csr:
    """(N, X): for each item from `known` on, the shares of at most NEIGHBOURS known ones, which add up to 1; nothing
    where it has no word in common with any.

    `words_IW`: numbers of each item's words, 0 for none. Items are alike by the cosine of their words, each of which
    weighs as it is rare among known items; of equally alike ones the lower index comes first.
    """
    weight_IB = _weighted(words_IW, known)
    known_BX = weight_IB[:known].T.tocsr()
    blocks = [
        _nearest((weight_IB[first : min(first + _BLOCK_ITEMS, len(words_IW))] @ known_BX).tocsr())
        for first in range(known, len(words_IW), _BLOCK_ITEMS)
    ]
    return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix((0, known))


def _weighted(words_IW: Indexes, known: int) -> Csr:
    """(I, B), rows of length 1."""
    item_P, place_P = np.nonzero(words_IW != _NO_WORD)
    shape = (len(words_IW), int(words_IW.max(initial=0)) + 1)
    bag_IB = sparse.csr_matrix((np.ones(len(item_P)), (item_P, words_IW[item_P, place_P])), shape=shape)
    bag_IB.data[:] = 1.0  # a word that is said twice counts once
    num_items_B = np.bincount(bag_IB[:known].indices, minlength=shape[1])
    weighted_IB = bag_IB @ sparse.diags(np.log((known + 1) / (num_items_B + 1)))
    length_I = np.sqrt(weighted_IB.multiply(weighted_IB).sum(axis=1).A1)
    return (sparse.diags(1 / np.where(length_I > 0, length_I, 1)) @ weighted_IB).tocsr()


def _nearest(likeness_NX: Csr) -> Csr:
    row_P = np.repeat(np.arange(likeness_NX.shape[0]), np.diff(likeness_NX.indptr))
    likeness_P, item_P = likeness_NX.data.round(_DECIMALS), likeness_NX.indices
    order = np.lexsort((item_P, -likeness_P, row_P))
    place_P = np.arange(len(order)) - likeness_NX.indptr[row_P[order]]
    kept = order[(place_P < NEIGHBOURS) & (likeness_P[order] > 0)]
    weight_P: NDArray[np.float64] = likeness_P[kept] ** _POWER
    sum_N = np.bincount(row_P[kept], weights=weight_P, minlength=likeness_NX.shape[0])
    share_P = weight_P / sum_N[row_P[kept]]
    return sparse.csr_matrix((share_P, (row_P[kept], item_P[kept])), shape=likeness_NX.shape)
