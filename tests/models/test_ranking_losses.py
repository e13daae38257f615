import math

import pytest
import torch

from recsys.errors import ConfigError
from recsys.models.ranking_losses import LOSSES, RankingLoss

POSITIVE_B = torch.tensor([0.5, -0.25])
NEGATIVE_VN = torch.tensor([[0.0, 0.5], [0.25, 1.0]])
ROW_B = torch.tensor([0, 1])


def loss_of(name: str, **changes: object) -> RankingLoss:
    settings = {"is_cosine": True, "temperature": 0.5, "margin": 0.3, "negative_weight": 2.0}
    return RankingLoss(name=name, **{**settings, **changes})  # type: ignore[arg-type]


def test_bpr_is_the_mean_over_negatives_of_the_log_odds_of_the_lead() -> None:
    lead = [[0.5, 0.0], [-0.5, -1.25]]
    expected = [sum(math.log(1 + math.exp(-value / 0.5)) for value in row) / 2 for row in lead]
    assert loss_of("bpr").of_pairs(POSITIVE_B, NEGATIVE_VN, ROW_B).tolist() == pytest.approx(expected)


def test_binary_cross_entropy_takes_the_positive_and_refuses_the_mean_of_the_negatives() -> None:
    refused = [sum(math.log(1 + math.exp(value / 0.5)) for value in row) / 2 for row in NEGATIVE_VN.tolist()]
    expected = [math.log(1 + math.exp(-1)) + 2 * refused[0], math.log(1 + math.exp(0.5)) + 2 * refused[1]]
    actual = loss_of("binary_cross_entropy").of_pairs(POSITIVE_B, NEGATIVE_VN, ROW_B)
    assert actual.tolist() == pytest.approx(expected)


def test_cosine_contrastive_counts_negatives_beyond_the_margin_alone() -> None:
    # The first row's second negative passes the margin by 0.2, the second row's by 0.7.
    actual = loss_of("cosine_contrastive").of_pairs(POSITIVE_B, NEGATIVE_VN, ROW_B)
    assert actual.tolist() == pytest.approx([0.7, 1.95])


def test_sampled_softmax_is_the_log_share_of_the_positive() -> None:
    first = -math.log(math.exp(1) / (math.exp(1) + math.exp(0) + math.exp(1)))
    second = -math.log(math.exp(-0.5) / (math.exp(-0.5) + math.exp(0.5) + math.exp(2)))
    actual = loss_of("sampled_softmax").of_pairs(POSITIVE_B, NEGATIVE_VN, ROW_B)
    assert actual.tolist() == pytest.approx([first, second])


def test_softmax_is_the_log_share_of_the_positive_among_all_items_of_which_it_is_one() -> None:
    item_VI = torch.tensor([[0.5, 0.0, 1.0], [0.25, -0.25, 0.75]])
    first = -math.log(math.exp(1) / (math.exp(1) + math.exp(0) + math.exp(2)))
    second = -math.log(math.exp(-0.5) / (math.exp(0.5) + math.exp(-0.5) + math.exp(1.5)))
    assert loss_of("softmax").of_pairs(POSITIVE_B, item_VI, ROW_B).tolist() == pytest.approx([first, second])
    assert loss_of("softmax").meets_all_items
    assert not loss_of("sampled_softmax").meets_all_items


def test_squared_error_draws_the_positive_to_1_and_negatives_to_0() -> None:
    # The first row's negatives have a mean square of .125, the second's of .53125; they weigh 2.
    actual = loss_of("squared_error").of_pairs(POSITIVE_B, NEGATIVE_VN, ROW_B)
    assert actual.tolist() == pytest.approx([0.25 + 0.25, 1.5625 + 1.0625])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_pair_loses_the_same_alone_and_beside_others_of_its_user(name: str) -> None:
    positive_B, row_B = torch.tensor([0.5, -0.25, 1.0]), torch.tensor([0, 1, 1])
    together = loss_of(name).of_pairs(positive_B, NEGATIVE_VN, row_B)
    for pair, row in enumerate(row_B.tolist()):
        alone = loss_of(name).of_pairs(positive_B[pair : pair + 1], NEGATIVE_VN[row : row + 1], torch.tensor([0]))
        torch.testing.assert_close(alone, together[pair : pair + 1])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have shapes \(B,\), \(V, N\) and \(B,\), got \(2,\), \(2, 2\), \(1,\)"):
        loss_of("bpr").of_pairs(POSITIVE_B, NEGATIVE_VN, ROW_B[:1])


def test_an_unknown_loss_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown loss 'hinge'; known losses: \['binary_cross_entropy', 'bpr'"):
        loss_of("hinge")


def test_a_temperature_must_be_above_0() -> None:
    with pytest.raises(ConfigError, match=r"loss.temperature must be above 0, got 0"):
        loss_of("bpr", temperature=0)


def test_cosine_contrastive_without_cosines_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cosine_contrastive needs loss.is_cosine: true"):
        loss_of("cosine_contrastive", is_cosine=False)
