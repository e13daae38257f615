from pathlib import Path

import numpy as np
import pytest

from benchmarks import generated_graph
from benchmarks.generated_graph import NOBODY, drawn_neighbours, drawn_pairs, edges, graph_of, write_graph_examples
from recsys import columns as c
from recsys.training.batches import ordered_batches


def test_edges_follow_from_the_seed_and_gather_at_few_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated_graph, "_PART_EDGES", 700)  # the last part is a short one
    user_E, item_E = edges(10_000, users=100, items=50, seed=7)
    again_E, _ = edges(10_000, users=100, items=50, seed=7)
    other_E, _ = edges(10_000, users=100, items=50, seed=8)
    assert len(user_E) == len(item_E) == 10_000
    assert np.array_equal(user_E, again_E)
    assert not np.array_equal(user_E, other_E)
    assert (user_E.min(), user_E.max(), item_E.min(), item_E.max()) == (0, 99, 0, 49)
    # A tenth of the nodes has .1 ** (1 / skew) of the edges.
    assert np.mean(user_E < 10) == pytest.approx(0.1 ** (1 / 1.5), abs=0.02)
    assert np.mean(item_E < 5) == pytest.approx(0.1**0.5, abs=0.02)


# User 0 took items 1 and 2, user 1 took item 2, user 2 nothing.
GRAPH = graph_of(np.array([0, 0, 1]), np.array([1, 2, 2]), users=3, items=4)


def test_neighbours_are_drawn_from_a_nodes_own_and_a_node_without_has_nobody() -> None:
    neighbour_BK, weight_BK = drawn_neighbours(GRAPH.items_of_users, np.array([2, 0, 1]), 40, np.random.default_rng(7))
    assert set(neighbour_BK[0]) == {NOBODY}
    assert set(neighbour_BK[1]) == {1, 2}
    assert set(neighbour_BK[2]) == {2}
    assert weight_BK[:, 0].tolist() == [0.0, 1.0, 1.0]
    buyer_BK, _ = drawn_neighbours(GRAPH.users_of_items, np.array([2, 3]), 40, np.random.default_rng(7))
    assert set(buyer_BK[0]) == {0, 1}
    assert set(buyer_BK[1]) == {NOBODY}


def test_drawn_pairs_are_edges() -> None:
    user_B, item_B = drawn_pairs(GRAPH.items_of_users, 60, np.random.default_rng(7))
    assert set(zip(user_B.tolist(), item_B.tolist(), strict=True)) == {(0, 1), (0, 2), (1, 2)}


def test_the_reader_of_training_finds_rows_with_their_neighbourhoods(tmp_path: Path) -> None:
    manifest = write_graph_examples(tmp_path, GRAPH, rows=12, row_groups=2, neighbours=3, seed=7)
    assert [group.rows for group in manifest.train.row_groups] == [6, 6]
    assert manifest.train.positives == 6
    ids, numbers = manifest.inputs.columns
    batch, _ = ordered_batches(str(tmp_path), manifest.train.row_groups, batch_size=6, columns=manifest.inputs.columns)
    assert batch.label_B.tolist() == [1, 1, 1, 0, 0, 0]
    assert ids[3] == c.USER_NEIGHBOURS_ITEM_IDX
    assert batch.ids_BI.shape == (6, 3 + 3 * 3)
    assert batch.numeric_BF.shape == (6, len(numbers) - 2 + 2 * 3)
    for user, item, *lists in batch.ids_BI[:3].tolist():
        assert (user, item) in {(0, 1), (0, 2), (1, 2)}
        assert set(lists[1:4]) <= ({1, 2} if user == 0 else {2})
        assert lists[4:7] == lists[1:4], "an item's category is its index, of so few items"
        assert set(lists[7:10]) <= ({0} if item == 1 else {0, 1})
    assert (batch.numeric_BF[:3, -6:] == 1).all()
