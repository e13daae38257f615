"""What is known of the users and items of a graph beside its edges, for models that read it.

Shapes: U users, I items, F numbers of a node.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.models.interactions import Indexes, Matrix, Scores, degrees

NO_CATEGORY = -1


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Numbers of mean 0 and deviation 1 over the nodes of a side; `category_I`: -1 where the item has none."""

    user_UF: Scores
    item_IF: Scores
    category_I: Indexes
    categories: int


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Who took what, and the nodes' features."""

    matrix_UI: Matrix
    nodes: Nodes


def nodes_of(
    matrix_UI: Matrix,
    user_UF: NDArray[np.float32],
    item_IF: NDArray[np.float32],
    category_I: Indexes,
    categories: int,
) -> Nodes:
    """The given numbers, which may be none, behind the logarithm of each node's edges."""
    user_U, item_I = degrees(matrix_UI)
    return Nodes(
        user_UF=standardized(np.column_stack([np.log1p(user_U), user_UF])),
        item_IF=standardized(np.column_stack([np.log1p(item_I), item_IF])),
        category_I=category_I,
        categories=categories,
    )


def edges_alone(matrix_UI: Matrix) -> Graph:
    """Where nothing else is known of the nodes."""
    users, items = matrix_UI.shape
    none_U, none_I = (np.zeros((size, 0), dtype=np.float32) for size in (users, items))
    return Graph(matrix_UI=matrix_UI, nodes=nodes_of(matrix_UI, none_U, none_I, np.full(items, NO_CATEGORY), 0))


def standardized(number_XF: NDArray[np.float32]) -> Scores:
    """Each column less its mean and by its deviation; one that is constant becomes 0."""
    if not len(number_XF):
        return number_XF.astype(np.float32)
    centred_XF = number_XF - number_XF.mean(axis=0, dtype=np.float64)
    deviation_F = np.sqrt(np.mean(centred_XF**2, axis=0))
    result: Scores = (centred_XF / np.where(deviation_F > 1e-6, deviation_F, np.inf)).astype(np.float32)
    return result
