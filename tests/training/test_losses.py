import math

import pytest
import torch

from recsys.training.losses import ValidationSums, log_loss_sum, validation_figures


def logits(*probabilities: float) -> torch.Tensor:
    return torch.logit(torch.tensor(probabilities))


def sums_of(logit_B: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
    sums = ValidationSums(torch.device("cpu"))
    sums.add(logit_B, label_B)
    return sums.vector()


def test_log_loss_is_summed_not_averaged() -> None:
    loss = log_loss_sum(logits(0.5, 0.8), torch.tensor([1.0, 0.0]))
    assert float(loss) == pytest.approx(-math.log(0.5) - math.log(0.2))


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(B,\), got \(4, 1\) and \(4,\)"):
        log_loss_sum(torch.zeros(4, 1), torch.zeros(4))


def test_auc_is_the_share_of_pairs_in_the_right_order_and_a_tie_is_half_a_pair() -> None:
    # Positives 0.9 and 0.4; negatives 0.4, 0.3: of four pairs three are right and one is a tie.
    logit_B, label_B = logits(0.9, 0.4, 0.4, 0.3), torch.tensor([1.0, 1.0, 0.0, 0.0])
    log_loss, auc = validation_figures(sums_of(logit_B, label_B))
    assert auc == pytest.approx(3.5 / 4)
    assert log_loss == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.6) + math.log(0.7)) / 4, rel=1e-6)


def test_workers_sums_add_up_to_the_figures_of_all_rows() -> None:
    logit_B, label_B = logits(0.9, 0.2, 0.6, 0.7, 0.1), torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    parts = sums_of(logit_B[:2], label_B[:2]) + sums_of(logit_B[2:], label_B[2:])
    assert validation_figures(parts) == pytest.approx(validation_figures(sums_of(logit_B, label_B)))


def test_extreme_scores_fall_into_the_outer_bins() -> None:
    _, auc = validation_figures(sums_of(torch.tensor([100.0, -100.0]), torch.tensor([1.0, 0.0])))
    assert auc == 1.0


@pytest.mark.parametrize(("labels", "log_loss_is_nan"), [([], True), ([1.0], False), ([0.0], False)])
def test_one_label_only_has_no_auc(labels: list[float], log_loss_is_nan: bool) -> None:
    log_loss, auc = validation_figures(sums_of(torch.zeros(len(labels)), torch.tensor(labels)))
    assert math.isnan(auc)
    assert math.isnan(log_loss) == log_loss_is_nan
