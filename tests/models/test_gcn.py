"""The graph convolution on node features: hand-made layers, numbers of nodes, new items known by their category."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recsys import columns as c
from recsys.config import CONF_FOLDER, load_config
from recsys.manifest import RowGroup
from recsys.models.gcn import Gcn
from recsys.models.interactions import interaction_matrix
from recsys.models.nodes import Graph, edges_alone, nodes_of, standardized
from recsys.models.registry import model_settings, model_spec
from recsys.training.interactions import PairTask, learned_from


def settings(**changes: Any) -> dict[str, Any]:
    shipped, _ = model_settings(CONF_FOLDER / "models" / "gcn.yaml")
    return {**shipped, "dim": 2, "negatives": 4, "initial": "random", **changes}


def set_to(parameter: torch.Tensor, values: list[list[float]]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def test_a_layer_is_the_published_one() -> None:
    """User 0 took both items, user 1 the second; no features but edges, whose weights are 0 here."""
    graph = edges_alone(interaction_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), users=2, items=2))
    network: Gcn = model_spec("gcn", settings(layers=2)).build(graph).eval()
    set_to(network.user_UD, [[1.0, 0.0], [0.0, 2.0]])
    set_to(network.item_ID, [[0.0, 4.0], [-8.0, 0.0]])
    for numbers in (network.of_user_numbers, network.of_item_numbers):
        torch.nn.init.zeros_(numbers.weight)
    first, last = network.layers
    set_to(first.weight, [[1.0, 0.0], [0.0, 1.0]])
    set_to(last.weight, [[0.0, 1.0], [1.0, 0.0]])
    user_UD, item_ID = network.unscaled()
    root, half = 1 / 2**0.5, 1 / 2
    # A: user 0 with item 0 1/root 2, with item 1 1/2; user 1 with item 1 1/root 2. Each node adds what it hears; relu.
    users = np.maximum(np.array([[1 - 8 * half, 4 * root], [-8 * root, 2.0]]), 0)
    items = np.maximum(np.array([[root, 4.0], [-8 + half, 2 * root]]), 0)
    heard = np.array([root * items[0] + half * items[1], root * items[1]])
    assert user_UD.detach().numpy() == pytest.approx((users + heard)[:, ::-1], abs=1e-6)
    heard = np.array([root * users[0], half * users[0] + root * users[1]])
    assert item_ID.detach().numpy() == pytest.approx((items + heard)[:, ::-1], abs=1e-6)


def test_numbers_stand_beside_the_degrees_and_a_constant_says_nothing() -> None:
    matrix = interaction_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), users=2, items=3)
    nodes = nodes_of(matrix, np.array([[3.0], [3.0]]), np.array([[0.0], [2.0], [4.0]]), np.array([1, -1, 0]), 2)
    assert nodes.user_UF == pytest.approx(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert nodes.item_IF[:, 1] == pytest.approx(np.array([-1.5, 0.0, 1.5]) / 1.5 * 1.5**0.5)
    assert nodes.categories == 2
    assert standardized(np.zeros((0, 2), dtype=np.float32)).shape == (0, 2)


USERS, ITEMS = 30, 20


def test_an_item_that_nobody_took_is_ranked_by_its_category() -> None:
    """Even users take items of category 0. Items 18 and 19 are new: popular, and LightGCN, know nothing of them."""
    torch.manual_seed(1)
    pairs = [(user, item) for user in range(USERS) for item in range(ITEMS - 2) if user % 2 == item % 2]
    user_idx_P, item_idx_P = (np.array(side) for side in zip(*pairs, strict=True))
    matrix = interaction_matrix(user_idx_P, item_idx_P, users=USERS, items=ITEMS)
    numbers_U, numbers_I = (np.zeros((size, 1), dtype=np.float32) for size in (USERS, ITEMS))
    nodes = nodes_of(matrix, numbers_U, numbers_I, np.arange(ITEMS) % 2, 2)
    network: Gcn = model_spec("gcn", settings(dim=4)).build(Graph(matrix_UI=matrix, nodes=nodes)).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    # The items' own vectors stay small where no pair trains them: what is left to tell them apart is the category.
    network.item_ID.data[-2:] = 0
    for _ in range(100):
        negatives = torch.randint(0, ITEMS - 2, (8,))
        optimizer.zero_grad()
        loss = network.loss_sum(torch.from_numpy(user_idx_P), torch.from_numpy(item_idx_P), negatives)
        (loss / len(pairs)).backward()
        optimizer.step()
    scores_UI = network.eval().fitted().scores(np.arange(USERS))
    own = [scores_UI[user, ITEMS - 2 + user % 2] > scores_UI[user, ITEMS - 1 - user % 2] for user in range(USERS)]
    assert all(own)


def test_nodes_come_from_their_files_by_index(tmp_path: Path) -> None:
    """Item 1 stands in no file; of user 0 nothing but edges differs from user 1."""
    users = {c.IDX: [1, 0], c.NODE_NUMBERS: [[2.0], [2.0]], c.CATEGORY_IDX: [-1, -1]}
    items = {c.IDX: [2, 0], c.NODE_NUMBERS: [[3.0], [3.0]], c.CATEGORY_IDX: [1, -1]}
    for name, nodes in (("users", users), ("items", items)):
        pq.write_table(pa.table(nodes), tmp_path / f"{name}.parquet")
    task = PairTask(
        spec=model_spec("gcn", settings()),
        config=load_config([]).train,
        folder=str(tmp_path),
        row_groups=(),
        users=2,
        items=3,
        categories=2,
        user_nodes=(RowGroup(file="users.parquet", rows=2),),
        item_nodes=(RowGroup(file="items.parquet", rows=2),),
    )
    matrix = interaction_matrix(np.array([0]), np.array([0]), users=2, items=3)
    graph = learned_from(task, matrix)
    assert isinstance(graph, Graph)
    assert graph.nodes.category_I.tolist() == [-1, -1, 1]
    assert graph.nodes.user_UF[:, 1].tolist() == [0.0, 0.0]
    assert graph.nodes.item_IF[:, 1] == pytest.approx(np.array([1.0, -2.0, 1.0]) / 2**0.5)
    assert learned_from(replace(task, spec=model_spec("mf", mf_settings())), matrix) is matrix


def mf_settings() -> dict[str, Any]:
    return model_settings(CONF_FOLDER / "models" / "mf.yaml")[0]
