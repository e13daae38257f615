"""BSARec (Shin et al. 2024): beside attention, a filter that weighs the slow and the fast part of a history.

The paper filters the whole history by a Fourier transform, so that a place sees later ones, and so trains on each
prefix apart. Here each place keeps what the paper's low-pass gives at the end of the history up to it: a fixed sum over
the items before it, so that all places train at once. Shapes: B rows, L places, D width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.models.transformer import Attention, Residual, Transformer, TransformerConfig, feed_forward


@dataclass(frozen=True, kw_only=True)
class BsaRecConfig(TransformerConfig):
    """See conf/models/bsarec.yaml for the meaning of each key."""

    filter_share: float
    low_frequencies: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.filter_share <= 1:
            raise ConfigError(f"filter_share must be from 0 (sasrec) to 1, got {self.filter_share}")
        most = self.history // 2 + 1
        if not 1 <= self.low_frequencies <= most:
            raise ConfigError(f"low_frequencies must be from 1 to history / 2 + 1 = {most}, got {self.low_frequencies}")


class FrequencyFilter(nn.Module):
    """The low-passed states, and the rest of the states by a learnt weight for each dimension."""

    low_pass_LL: Tensor

    def __init__(self, config: BsaRecConfig) -> None:
        super().__init__()
        self.root_of_rest_D = nn.Parameter(torch.randn(config.dim))
        self.register_buffer("low_pass_LL", low_pass(config.history, config.low_frequencies), persistent=False)

    def forward(self, state_BLD: Tensor) -> Tensor:
        places = state_BLD.shape[1]
        low_BLD = self.low_pass_LL[:places, :places] @ state_BLD
        return low_BLD + self.root_of_rest_D.square() * (state_BLD - low_BLD)


def low_pass(places: int, frequencies: int) -> Tensor:
    """(places, places): row l is the ideal low-pass at the end of a history of `places` whose last item is l."""
    age_L = torch.arange(places)
    wave_FL = torch.cos(2 * math.pi * torch.arange(frequencies)[:, None] * age_L / places)
    # All but the constant wave, and the fastest of an even length, stand for two frequencies.
    count_F = torch.full((frequencies,), 2.0)
    count_F[0] = 1.0
    if 2 * (frequencies - 1) == places:
        count_F[-1] = 1.0
    kernel_L = count_F @ wave_FL / places
    age_LL = age_L[:, None] - age_L
    return torch.where(age_LL >= 0, kernel_L[age_LL.clamp_min(0)], 0.0)


class FilterAndAttention(nn.Module):
    def __init__(self, config: BsaRecConfig) -> None:
        super().__init__()
        self.filter_share = config.filter_share
        self.filtered = Residual(config, FrequencyFilter(config))
        self.attended = Residual(config, Attention(config))

    def forward(self, state_BLD: Tensor) -> Tensor:
        mixed_BLD: Tensor = torch.lerp(self.attended(state_BLD), self.filtered(state_BLD), self.filter_share)
        return mixed_BLD


class BsaRec(Transformer):
    def __init__(self, config: BsaRecConfig, items: int) -> None:
        super().__init__(config, items)

    def block(self, config: BsaRecConfig) -> nn.Module:
        return nn.Sequential(FilterAndAttention(config), Residual(config, feed_forward(config)))
