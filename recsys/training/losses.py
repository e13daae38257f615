"""Losses and validation figures from sums, so that workers can add theirs up. Shapes: B batch, H score bins."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Scores are told apart to 1/65536: the area under the curve is exact for scores so rounded.
SCORE_BINS = 65_536


def log_loss_sum(logit_B: Tensor, label_B: Tensor) -> Tensor:
    if logit_B.shape != label_B.shape:
        got = f"{tuple(logit_B.shape)} and {tuple(label_B.shape)}"
        raise ValueError(f"logits and labels must have one shape (B,), got {got}")
    return F.binary_cross_entropy_with_logits(logit_B, label_B, reduction="sum")


class ValidationSums:
    """Log-loss and the histograms of positives' and negatives' scores: what one worker saw, in one vector."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._positives_H = torch.zeros(SCORE_BINS, dtype=torch.float64, device=device)
        self._negatives_H = torch.zeros(SCORE_BINS, dtype=torch.float64, device=device)

    def add(self, logit_B: Tensor, label_B: Tensor) -> None:
        self._loss += log_loss_sum(logit_B, label_B).double()
        bin_B = (torch.sigmoid(logit_B.double()) * SCORE_BINS).long().clamp_max(SCORE_BINS - 1)
        self._positives_H += torch.bincount(bin_B[label_B > 0.5], minlength=SCORE_BINS)
        self._negatives_H += torch.bincount(bin_B[label_B <= 0.5], minlength=SCORE_BINS)

    def vector(self) -> Tensor:
        return torch.cat([self._loss[None], self._positives_H, self._negatives_H])


def validation_figures(sums: Tensor) -> tuple[float, float]:
    """Mean log-loss and area under the ROC curve from all workers' summed vectors; nan without rows of both labels."""
    sums = sums.cpu()  # GPUs add up in no fixed order
    positives_H, negatives_H = sums[1 : SCORE_BINS + 1], sums[SCORE_BINS + 1 :]
    positives, negatives = float(positives_H.sum()), float(negatives_H.sum())
    rows = positives + negatives
    log_loss = float(sums[0]) / rows if rows else float("nan")
    if not positives or not negatives:
        return log_loss, float("nan")
    # A positive beats every negative of a lower bin and half of those of its own.
    beaten_H = negatives_H.cumsum(0) - negatives_H / 2
    return log_loss, float((positives_H * beaten_H).sum()) / positives / negatives
