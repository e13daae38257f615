"""What the networks with hidden layers share. Shapes: B batch, D width."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from recsys.errors import ConfigError


def hidden_layers(width: int, hidden: Sequence[int], dropout: float) -> list[nn.Module]:
    """From `width` inputs to the last of `hidden`."""
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
        width = units
    return layers


def logit_layers(width: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    """Hidden layers and one output."""
    return nn.Sequential(*hidden_layers(width, hidden, dropout), nn.Linear(hidden[-1], 1))


def column(logit_B1: Tensor) -> Tensor:
    """Of one output a row; a batch of one row keeps its dimension."""
    return logit_B1[:, 0]


def require_sizes(name: str, config: Any, *dims: int) -> None:
    """Raises ConfigError unless hidden layers are given and all sizes are positive."""
    if not config.hidden or min(*dims, *config.hidden) < 1:
        raise ConfigError(f"{name}: dimensions must be at least 1 and hidden must not be empty, got {config}")


def require_shares(name: str, config: Any) -> None:
    """Raises ConfigError unless dropout and hidden_ids leave something over."""
    for key in ("dropout", "hidden_ids"):
        if not 0 <= getattr(config, key) < 1:
            raise ConfigError(f"{name}.{key} must be from 0 to below 1, got {getattr(config, key)}")
