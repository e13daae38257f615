"""The convolution over sampled neighbours: hand-made means, nodes without neighbours, planted communities."""

import numpy as np
import pytest
import torch

from recsys.errors import ConfigError
from recsys.models.graphsage import Convolution, GraphSage, weighted_mean
from recsys.models.registry import model_spec
from recsys.training.losses import log_loss_sum
from tests.example_sets import inputs_of

TINY = {"id_dim": 4, "category_dim": 1, "dim": 4, "hidden": [16], "dropout": 0.0, "hidden_ids": 0.0}


def test_neighbours_count_by_their_weights_and_masked_ones_not_at_all() -> None:
    vector_BKD = torch.tensor(
        [
            [[1.0, 0.0], [0.0, 4.0], [9.0, 9.0]],
            [[2.0, 2.0], [4.0, 0.0], [6.0, 1.0]],
        ]
    )
    mean_BD = weighted_mean(vector_BKD, torch.tensor([[3.0, 1.0, 0.0], [0.5, 0.5, 1.0]]))
    # 3/4 of (1, 0) and 1/4 of (0, 4); 1/4 of (2, 2) and of (4, 0), 1/2 of (6, 1).
    assert mean_BD.tolist() == [[0.75, 1.0], [4.5, 1.0]]


def test_a_node_without_neighbours_hears_nothing_and_keeps_a_gradient() -> None:
    vector_BKD = torch.full((1, 3, 2), 7.0, requires_grad=True)
    mean_BD = weighted_mean(vector_BKD, torch.zeros(1, 3))
    assert mean_BD.tolist() == [[0.0, 0.0]]
    mean_BD.sum().backward()
    assert vector_BKD.grad is not None
    assert vector_BKD.grad.abs().sum() == 0


def test_a_convolution_is_the_published_one() -> None:
    convolution = Convolution(own=1, neighbour=1, dim=2)
    with torch.no_grad():
        convolution.message.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        convolution.message.bias.copy_(torch.tensor([0.0, 1.0]))
        # From the node itself, then the two numbers heard.
        convolution.update.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
        convolution.update.bias.zero_()
    # Said: (2, 0) and (0, 2), cut at 0; their mean with weights 3 and 1: (1.5, 0.5). (1.5 + 1.5, 1) of length 1.
    vector_BD = convolution(torch.tensor([[1.5]]), torch.tensor([[[2.0], [-1.0]]]), torch.tensor([[3.0, 1.0]]))
    assert vector_BD[0].tolist() == pytest.approx([3 / 10**0.5, 1 / 10**0.5])


def test_memory_follows_the_vocabularies_and_not_the_lists() -> None:
    few, many = (
        model_spec("graphsage", TINY).build(inputs_of(30, 20, 3, neighbours)).state_dict() for neighbours in (2, 50)
    )
    assert {name: tensor.shape for name, tensor in few.items()} == {name: t.shape for name, t in many.items()}


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"graphsage: dimensions must be at least 1"):
        model_spec("graphsage", {**TINY, "dim": 0})


# Users and items of two communities; those of training took items of their own, a new one's items are known alone.
USERS, ITEMS = 40, 20
NEW_USERS = 20


def test_a_user_whom_training_never_saw_is_known_by_the_items_taken() -> None:
    """Communities by neighbourhoods alone: every new user has the unknown id, the popular order is the same for all."""
    torch.manual_seed(1)
    generator = np.random.default_rng(1)
    inputs = inputs_of(USERS, ITEMS, 1, 3)
    network: GraphSage = model_spec("graphsage", {**TINY, "hidden_ids": 0.5}).build(inputs).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(400):
        ids_BX, numeric_BY, label_B = batch(generator, generator.integers(0, USERS, 256), is_known=True)
        optimizer.zero_grad()
        (log_loss_sum(network(ids_BX, numeric_BY), label_B) / 256).backward()
        optimizer.step()
    users = np.repeat(np.arange(NEW_USERS), ITEMS)
    ids_BX, numeric_BY, label_B = batch(generator, users, is_known=False)
    with torch.no_grad():
        score_UI = network.eval()(ids_BX, numeric_BY).reshape(NEW_USERS, ITEMS)
    best_UK = score_UI.topk(ITEMS // 2, dim=1).indices
    hits = label_B.reshape(NEW_USERS, ITEMS).gather(1, best_UK).mean()
    assert hits > 0.95, "popular, one order for all, finds half"


def batch(
    generator: np.random.Generator, users: np.ndarray, *, is_known: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each user beside an item: all items in turn for unknown users, else one drawn."""
    rows = len(users)
    items = generator.integers(0, ITEMS, rows) if is_known else np.tile(np.arange(ITEMS), NEW_USERS)
    community = users % 2
    taken_BK = 2 * generator.integers(0, ITEMS // 2, (rows, 3)) + community[:, None]
    takers_BK = 2 * generator.integers(0, USERS // 2, (rows, 3)) + (items % 2)[:, None]
    idx = users if is_known else np.full(rows, -1)
    ids = np.column_stack([idx, items, np.zeros(rows), taken_BK, np.zeros((rows, 3)), takers_BK])
    numbers = len(inputs_of(1, 1, 1).numeric)
    numeric = np.column_stack([np.zeros((rows, numbers)), np.ones((rows, 6))])
    label = (items % 2 == community).astype(np.float32)
    return torch.from_numpy(ids).long(), torch.from_numpy(numeric).float(), torch.from_numpy(label)
