"""A weight for each number: what Spark's logistic and linear regression and linear SVM end as.

Shapes: B batch, I id inputs, F numeric inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.manifest import Inputs
from recsys.models.inputs import NormalizedNumbers


@dataclass(frozen=True, kw_only=True)
class LinearSvmConfig:
    """See conf/models/linear_svm.yaml for the meaning of each key."""

    iterations: int
    penalty: float

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.penalty < 0:
            got = f"{self.iterations} and {self.penalty}"
            raise ConfigError(f"iterations must be at least 1 and penalty at least 0, got {got}")


@dataclass(frozen=True, kw_only=True)
class RegressionConfig(LinearSvmConfig):
    """See conf/models/logistic_regression.yaml for the meaning of each key."""

    l1_share: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.l1_share <= 1:
            raise ConfigError(f"l1_share must be from 0 to 1, got {self.l1_share}")


class Linear(nn.Module):
    """Fitted elsewhere: its weights are buffers, 0 until loaded. Ids say nothing to it."""

    weight_F: Tensor
    bias: Tensor

    def __init__(self, config: LinearSvmConfig, inputs: Inputs) -> None:  # noqa: ARG002  # the fit's settings alone
        super().__init__()
        self.numbers = NormalizedNumbers(inputs)
        self.register_buffer("weight_F", torch.zeros(len(inputs.numeric)))
        self.register_buffer("bias", torch.zeros(()))
        self.half_width = 1

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:  # noqa: ARG002  # as every network of features
        number_BF: Tensor = self.numbers(numeric_BF)
        return (number_BF * self.weight_F).sum(dim=1) + self.bias

    def half_of(self, ids_XI: Tensor, number_XF: Tensor, *, of_users: bool) -> Tensor:  # noqa: ARG002  # both alike
        """See recsys/models/halves.py: what a half adds to the logit."""
        return ((number_XF * self.weight_F).sum(dim=1) + self.bias / 2)[:, None]

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        of_halves_B = (user_BW + item_BW)[:, 0]
        return of_halves_B + (number_BK * self.weight_F[list(places_K)]).sum(dim=1)
