import logging
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recsys.config import TrainConfig, load_config
from recsys.training.optimization import (
    build_optimizer,
    largest_gradient,
    learning_rate_at,
    mixed_precision,
    precision_for,
    refine_gradient,
    set_learning_rate,
    smoothed,
)

CPU = torch.device("cpu")


def config(**changes: Any) -> TrainConfig:
    return replace(load_config([]).train, **changes)


def parameter(*values: float, gradient: tuple[float, ...]) -> nn.Parameter:
    made = nn.Parameter(torch.tensor(values))
    made.grad = torch.tensor(gradient)
    return made


def updated(steps: int = 1, **changes: Any) -> float:
    """A weight of 2 whose gradient is 0.5 in each step, with two workers."""
    weight = parameter(2.0, gradient=(0.5,))
    optimizer = build_optimizer([weight], config(learning_rate=0.05, **changes), workers=2)
    for _ in range(steps):
        optimizer.step()
    return weight.item()


@pytest.mark.parametrize(
    ("changes", "steps", "expected"),
    [
        # The rate is 0.05 for one worker, so 0.1; the velocity of the second step is 0.9 * 0.5 + 0.5.
        ({"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.0}, 2, 2 - 0.1 * 0.5 - 0.1 * 0.95),
        # L2 adds 0.2 * 2 to the gradient.
        ({"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.2}, 1, 2 - 0.1 * (0.5 + 0.4)),
        # Adam's first step is the rate, whatever the gradient, with L2 in it or not.
        ({"optimizer": "adam", "weight_decay": 0.2}, 1, 2 - 0.1),
        # AdamW shrinks the weight beside that step.
        ({"optimizer": "adamw", "weight_decay": 0.2}, 1, 2 * (1 - 0.1 * 0.2) - 0.1),
    ],
)
def test_optimizers_step_by_the_scaled_rate(changes: dict[str, Any], steps: int, expected: float) -> None:
    assert updated(steps, **changes) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("share", "decay", "expected"),
    [
        (0.0, "none", 0.0),
        (0.05, "none", 0.1),  # half of the warm-up
        (0.1, "none", 0.2),
        (1.0, "none", 0.2),
        (0.55, "linear", 0.1),  # half of what follows the warm-up
        (1.0, "linear", 0.0),
        (0.1, "cosine", 0.2),
        (0.4, "cosine", 0.2 * (1 + math.cos(math.pi / 3)) / 2),
        (1.0, "cosine", 0.0),
    ],
)
def test_the_rate_rises_over_a_tenth_and_then_decays(share: float, decay: str, expected: float) -> None:
    settings = config(learning_rate=0.1, warmup_share=0.1, decay=decay)
    assert learning_rate_at(share, settings, workers=2) == pytest.approx(expected)


def test_without_warm_up_and_decay_the_rate_stays() -> None:
    rates = {learning_rate_at(share, config(learning_rate=0.1), workers=3) for share in (0.0, 0.5, 1.0)}
    assert rates == {0.1 * 3}


def test_the_rate_reaches_the_optimizer() -> None:
    weight = parameter(2.0, gradient=(0.5,))
    optimizer = build_optimizer([weight], config(optimizer="sgd", momentum=0.0, weight_decay=0.0), workers=1)
    set_learning_rate(optimizer, 0.4)
    optimizer.step()
    assert weight.item() == pytest.approx(2 - 0.4 * 0.5)


def gradients_after(**changes: Any) -> list[list[float]]:
    first, second = parameter(2.0, -3.0, gradient=(3.0, 0.0)), parameter(0.0, gradient=(4.0,))
    refine_gradient([first, second], config(**changes))
    return [tensor.tolist() for tensor in (first.grad, second.grad) if tensor is not None]


def test_by_default_the_gradient_stays_as_it_is() -> None:
    assert gradients_after() == [[3.0, 0.0], [4.0]]


def test_l1_adds_the_sign_of_each_parameter() -> None:
    assert gradients_after(l1=0.5) == [[3.5, -0.5], [4.0]]


def test_the_whole_gradient_is_clipped_to_one_norm() -> None:
    # 3 and 4 have the norm 5.
    assert gradients_after(clip_norm=1.0) == [pytest.approx([0.6, 0.0], rel=1e-4), pytest.approx([0.8], rel=1e-4)]
    assert gradients_after(clip_norm=6.0) == [[3.0, 0.0], [4.0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [((1.0, -7.0), "7 in weight"), ((float("nan"), -7.0), "nan in weight"), ((0.0, 2.0), "3 in bias")],
)
def test_the_largest_gradient_is_named_and_one_that_is_no_number_first(
    values: tuple[float, float], expected: str
) -> None:
    layer = nn.Linear(2, 1)
    layer.weight.grad, layer.bias.grad = torch.tensor([values]), torch.tensor([-3.0])
    assert largest_gradient(layer) == expected


def test_labels_move_towards_one_half() -> None:
    label_B = torch.tensor([0.0, 1.0])
    assert smoothed(label_B, 0.2).tolist() == pytest.approx([0.1, 0.9])
    assert smoothed(label_B, 0.0) is label_B


@pytest.mark.parametrize(
    ("setting", "has_bfloat16", "expected"),
    [
        ("float32", True, torch.float32),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("bfloat16", True, torch.bfloat16),
        ("bfloat16", False, torch.bfloat16),
    ],
)
def test_auto_takes_bfloat16_only_where_the_device_has_it(
    setting: str,
    has_bfloat16: bool,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bfloat16})
    with caplog.at_level(logging.WARNING):
        assert precision_for(setting, CPU) == expected
    is_emulated = setting == "bfloat16" and not has_bfloat16
    assert ("only emulates" in caplog.text) == is_emulated


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_mixed_precision_is_that_of_the_products(precision: torch.dtype) -> None:
    with mixed_precision(precision, CPU):
        product: Tensor = nn.Linear(2, 2)(torch.ones(1, 2))
    assert product.dtype == precision
