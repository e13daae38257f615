"""From the gradient to the update: optimizer, learning rate, penalties, clipping, precision."""

import logging
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from recsys.config import TrainConfig

logger = logging.getLogger(__name__)


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig, *, workers: int) -> torch.optim.Optimizer:
    # Fused: on a CPU ten times as fast, which shows on large embeddings.
    return _OPTIMIZERS[config.optimizer](parameters, config, config.learning_rate * workers)


_OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], TrainConfig, float], torch.optim.Optimizer]] = {
    "adamw": lambda parameters, config, rate: torch.optim.AdamW(
        parameters, lr=rate, weight_decay=config.weight_decay, fused=True
    ),
    "adam": lambda parameters, config, rate: torch.optim.Adam(
        parameters, lr=rate, weight_decay=config.weight_decay, fused=True
    ),
    "sgd": lambda parameters, config, rate: torch.optim.SGD(
        parameters, lr=rate, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
    ),
}
# Tensors as large as the parameter that its update keeps beside it.
OPTIMIZER_COPIES = {"adamw": 2, "adam": 2, "sgd": 1}


def learning_rate_at(share: float, config: TrainConfig, *, workers: int) -> float:
    """`share`: of all rows of all epochs, used so far; so the rate does not depend on how many workers use them."""
    rate = config.learning_rate * workers
    if share < config.warmup_share:
        return rate * share / config.warmup_share
    return rate * _DECAYS[config.decay]((share - config.warmup_share) / (1 - config.warmup_share))


_DECAYS: dict[str, Callable[[float], float]] = {
    "none": lambda _: 1.0,
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
}


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def refine_gradient(parameters: Iterable[nn.Parameter], config: TrainConfig) -> None:
    """Adds the L1 penalty's part, then scales the whole down to the norm allowed."""
    of_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    if config.l1 > 0:
        for parameter in of_gradient:
            assert parameter.grad is not None
            parameter.grad.add_(parameter.detach().sign(), alpha=config.l1)
    if config.clip_norm > 0:
        nn.utils.clip_grad_norm_(of_gradient, config.clip_norm)


def largest_gradient(model: nn.Module) -> str:
    """The value with the largest amount, and whose it is; one that is not finite counts as the largest."""
    values = [(name, p.grad.abs().max()) for name, p in model.named_parameters() if p.grad is not None and p.numel()]
    if not values:
        return "none"
    name, value = max(values, key=lambda entry: _amount(entry[1]))
    return f"{float(value):g} in {name}"


def _amount(value: Tensor) -> float:
    return float(value) if math.isfinite(float(value)) else math.inf


def smoothed(label_B: Tensor, share: float) -> Tensor:
    return label_B if share == 0 else label_B * (1 - share) + share / 2


def precision_for(setting: str, device: torch.device) -> torch.dtype:
    """float32 or bfloat16; a device that only emulates bfloat16 is warned of, since that is slow."""
    if setting == "float32":
        return torch.float32
    if _has_bfloat16(device):
        return torch.bfloat16
    if setting == "auto":
        return torch.float32
    logger.warning("train.precision is bfloat16, which this %s only emulates: expect it to be slow", device.type)
    return torch.bfloat16


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def mixed_precision(precision: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=precision)
