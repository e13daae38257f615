"""What each network computes, by hand on one or two rows; what all of them keep is in test_contract.py."""

from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.manifest import Inputs, NumericInput, Vocabulary
from recsys.models.dcn import Dcn, DcnConfig, FullCross, LowRankCross
from recsys.models.deepfm import DeepFm, DeepFmConfig, products_of_pairs
from recsys.models.wide_and_deep import WideAndDeep, WideAndDeepConfig

HIDDEN = {"hidden": (2,), "dropout": 0.0, "hidden_ids": 0.0}
INPUTS = Inputs(
    ids=tuple(Vocabulary(name=name, size=3) for name in ("user_idx", "item_idx", "category_idx")),
    numeric=(NumericInput(name="any", transform="none", mean=0.0, std=1.0),),
)


def wide_and_deep(**changes: Any) -> WideAndDeep:
    settings = {"id_dim": 1, "category_dim": 1, **HIDDEN, "crosses": (("user_idx", "item_idx"),), "cross_buckets": 1000}
    return WideAndDeep(WideAndDeepConfig(**{**settings, **changes}), INPUTS)


def silenced(*tensors: Tensor) -> None:
    for tensor in tensors:
        torch.nn.init.zeros_(tensor)


@torch.no_grad()
def test_the_wide_part_adds_a_weight_an_id_cross_and_number() -> None:
    network = wide_and_deep()
    silenced(*network.layers.parameters())
    user, item, category, cross = network.wide.weights
    user.weight[1], item.weight[2], category.weight[3], network.wide.linear.weight[0, 0] = 1.0, 20.0, 300.0, 4000.0
    cross.weight[1:] = 50_000.0
    assert network(torch.tensor([[0, 1, 2]]), torch.tensor([[2.0]])).tolist() == [58_321.0]
    # Of an unknown user neither a weight nor a cross is known.
    assert network(torch.tensor([[-1, 1, 2]]), torch.tensor([[2.0]])).tolist() == [8_320.0]


def test_different_pairs_fall_into_different_buckets_and_the_order_counts() -> None:
    network = wide_and_deep()
    pairs = torch.cartesian_prod(torch.arange(1, 4), torch.arange(1, 4))
    buckets = network.wide._bucket(pairs).tolist()
    assert len(set(buckets)) == 9
    assert all(1 <= bucket <= 1000 for bucket in buckets)


def test_an_id_hidden_in_training_is_hidden_from_the_wide_part_too() -> None:
    network = wide_and_deep(hidden_ids=0.999999).train()
    network.wide.weights[0].weight.data[1:] = 1.0
    silenced(*network.layers.parameters())
    torch.manual_seed(1)
    assert network(torch.tensor([[0, 1, 2]]), torch.zeros(1, 1)).tolist() == [0.0]


def test_products_of_pairs_of_three_fields() -> None:
    field_BJD = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    # 1*3 + 2*4, 1*5 + 2*6, 3*5 + 4*6.
    assert products_of_pairs(field_BJD).tolist() == [11.0 + 17.0 + 39.0]


@torch.no_grad()
def test_deepfm_adds_first_order_second_order_and_hidden_layers() -> None:
    network = DeepFm(DeepFmConfig(field_dim=1, **HIDDEN), INPUTS)
    silenced(*network.layers.parameters())
    user, item, category = network.embeddings.tables
    # First-order weight, then embedding.
    user.weight[1], item.weight[1] = torch.tensor([100.0, 2.0]), torch.tensor([1000.0, 3.0])
    silenced(category.weight)
    network.directions_FD[0], network.linear.weight[0, 0], network.linear.bias[0] = 5.0, 10_000.0, 0.5
    logit = network(torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[7.0]]))
    # The number's field is 7 * 5: pairs 2*3, 2*35, 3*35.
    assert logit.tolist() == [1100.5 + 70_000.0 + 6.0 + 70.0 + 105.0]
    network.layers[-1].bias[0] = 1.0
    assert network(torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[7.0]])).tolist() == [float(logit) + 1.0]


@torch.no_grad()
def test_a_full_cross_multiplies_the_inputs_by_a_linear_map_of_the_crosses() -> None:
    cross = FullCross(2)
    cross.linear.weight[:] = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    cross.linear.bias[:] = torch.tensor([10.0, 0.0])
    # The map gives 5 + 2 * 6 + 10 = 27 and 6.
    assert cross(torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0, 6.0]])).tolist() == [[81.0, 24.0]]


@torch.no_grad()
def test_a_low_rank_cross_weighs_its_experts_by_the_gate() -> None:
    cross = LowRankCross(2, rank=1, experts=2)
    silenced(*cross.parameters())
    # The gate is indifferent: half of each. The first expert's output is 8 in both columns where its input is large.
    down, _, within, _, up = cross.experts[0]
    down.weight[:], within.weight[:], up.weight[:] = 100.0, 100.0, 8.0
    actual = cross(torch.tensor([[1.0, 3.0]]), torch.tensor([[5.0, 5.0]]))
    assert actual[0].tolist() == pytest.approx([4.0, 12.0])


@torch.no_grad()
@pytest.mark.parametrize(("structure", "expected"), [("stacked", 12.0), ("parallel", 12.0 + 3.0)])
def test_hidden_layers_stand_after_the_crosses_or_beside_them(structure: str, expected: float) -> None:
    """One number of value 3 and a cross of weight 1: the input is 3, the cross 3 + 3 * 3."""
    config = DcnConfig(
        id_dim=1, category_dim=1, cross_layers=1, rank=0, experts=1, structure=structure,
        hidden=(1,), dropout=0.0, hidden_ids=0.0,
    )  # fmt: skip
    network = Dcn(config, INPUTS)
    silenced(*network.parameters())
    network.crosses[0].linear.weight[3, 3] = 1.0
    network.hidden[0].weight[0, 3] = 1.0
    network.output.weight[:] = 1.0
    assert network(torch.tensor([[-1, -1, -1]]), torch.tensor([[3.0]])).tolist() == [expected]
