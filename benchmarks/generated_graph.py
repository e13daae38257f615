"""Users who take items, made up from a seed: of any size, few of both with most of the edges; and example files of it.

Shapes: E edges, U users, I items, B rows, K neighbours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.planted_examples import VOCABULARY, planted_columns, planted_inputs
from recsys import columns as c
from recsys.catalog import NEIGHBOUR_INPUTS
from recsys.manifest import Manifest, RowGroup, SplitFiles
from recsys.models.interactions import Indexes, Matrix, interaction_matrix
from recsys.training.sequence_files import lists_of_one_length

USERS, ITEMS, CATEGORIES = (VOCABULARY[name] for name in (c.USER_IDX, c.ITEM_IDX, c.CATEGORY_IDX))
NOBODY = -1
_USER_SKEW, _ITEM_SKEW = 1.5, 2.0
_PART_EDGES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Both directions: who took what, and by whom each item was taken."""

    items_of_users: Matrix
    users_of_items: Matrix


def edges(count: int, *, users: int, items: int, seed: int) -> tuple[Indexes, Indexes]:
    """Drawn by power laws, those with small indexes most; a pair may come twice."""
    parts = list(_parts(count, users=users, items=items, generator=np.random.default_rng(seed)))
    user_E, item_E = (np.concatenate(of_kind) for of_kind in zip(*parts, strict=True))
    return user_E, item_E


def _parts(count: int, *, users: int, items: int, generator: np.random.Generator) -> Iterator[tuple[Indexes, Indexes]]:
    """In parts, since the numbers that indexes are made of are larger than these."""
    for first in range(0, count, _PART_EDGES):
        size = min(_PART_EDGES, count - first)
        yield _skewed(generator, users, _USER_SKEW, size), _skewed(generator, items, _ITEM_SKEW, size)


def _skewed(generator: np.random.Generator, nodes: int, skew: float, size: int) -> Any:
    return (nodes * generator.random(size) ** skew).astype(np.int32)


def graph_of(user_E: Indexes, item_E: Indexes, *, users: int, items: int) -> Graph:
    taken_UI = interaction_matrix(user_E, item_E, users=users, items=items)
    return Graph(items_of_users=taken_UI, users_of_items=taken_UI.T.tocsr())


def drawn_neighbours(
    matrix: Matrix, node_B: NDArray[Any], size: int, generator: np.random.Generator
) -> tuple[Indexes, NDArray[np.float32]]:
    """(B, K) of each node's row, drawn with replacement, and their weights: 0 of nobody, of a node without any."""
    degree_B = np.diff(matrix.indptr)[node_B]
    offset_BK = (generator.random((len(node_B), size)) * degree_B[:, None]).astype(np.int64)
    place_BK = matrix.indptr[node_B][:, None] + offset_BK
    has_some_B1 = (degree_B > 0)[:, None]
    neighbour_BK = np.where(has_some_B1, matrix.indices[np.where(has_some_B1, place_BK, 0)], NOBODY)
    return neighbour_BK, np.broadcast_to(has_some_B1, neighbour_BK.shape).astype(np.float32)


def drawn_pairs(matrix_UI: Matrix, size: int, generator: np.random.Generator) -> tuple[Indexes, Indexes]:
    """Pairs of user and item, all edges alike."""
    edge_B = generator.integers(0, matrix_UI.nnz, size)
    return np.searchsorted(matrix_UI.indptr, edge_B, side="right") - 1, matrix_UI.indices[edge_B]


def write_graph_examples(
    folder: Path, graph: Graph, *, rows: int, row_groups: int, neighbours: int, seed: int
) -> Manifest:
    """Rows with drawn neighbourhoods, as graphsage reads them: half of them edges, half any user with any item."""
    (folder / c.TRAIN).mkdir(parents=True)
    groups = tuple(
        _write(
            folder, f"{c.TRAIN}/{number:05d}.parquet", _columns(graph, rows // row_groups, neighbours, seed + number)
        )
        for number in range(row_groups)
    )
    return Manifest(
        run_date="2024-05-08",
        inputs=replace(planted_inputs(), neighbours=neighbours),
        train=SplitFiles(row_groups=groups, positives=sum(group.rows // 2 for group in groups)),
        # The first part again: that training looks at some rows after each epoch is all that counts.
        validation=SplitFiles(row_groups=groups[:1], positives=groups[0].rows // 2),
        versions={},
    )


def _columns(graph: Graph, rows: int, neighbours: int, seed: int) -> dict[str, NDArray[Any]]:
    generator, edges_of_rows = np.random.default_rng(seed), rows // 2
    user_B, item_B = (generator.integers(0, nodes, rows, dtype=np.int32) for nodes in graph.items_of_users.shape)
    user_B[:edges_of_rows], item_B[:edges_of_rows] = drawn_pairs(graph.items_of_users, edges_of_rows, generator)
    item_BK, item_weight_BK = drawn_neighbours(graph.items_of_users, user_B, neighbours, generator)
    user_BK, user_weight_BK = drawn_neighbours(graph.users_of_items, item_B, neighbours, generator)
    category_BK = np.where(item_BK == NOBODY, NOBODY, item_BK % CATEGORIES)
    lists = (item_BK, category_BK, user_BK, item_weight_BK, user_weight_BK)
    return {
        **planted_columns(rows, seed),
        c.USER_IDX: user_B,
        c.ITEM_IDX: item_B,
        c.CATEGORY_IDX: item_B % CATEGORIES,
        c.LABEL: (np.arange(rows) < edges_of_rows).astype(np.float32),
        **dict(zip(NEIGHBOUR_INPUTS, lists, strict=True)),
    }


def _write(folder: Path, file: str, columns: dict[str, NDArray[Any]]) -> RowGroup:
    table = pa.table({name: _array(values) for name, values in columns.items()})
    pq.write_table(table, folder / file, row_group_size=len(table))
    return RowGroup(file=file, rows=len(table))


def _array(values: NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return lists_of_one_length(values.astype(np.float32 if values.dtype.kind == "f" else np.int32))
