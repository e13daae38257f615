import math

import pytest
import torch
import torch.nn.functional as F

from recsys.models.bsarec import low_pass
from recsys.models.sequences import by_length, next_item_loss_sum

NONE = torch.empty(0, dtype=torch.int64)


def test_parts_hold_rows_of_like_length_and_end_with_their_longest() -> None:
    lengths = [2, 20, 9, 0, 8, 16]
    rows = torch.tensor([[7] * length + [0] * (20 - length) for length in lengths])
    parts = [(part > 0).sum(dim=1).tolist() for part in by_length(rows)]
    assert parts == [[2, 8], [9, 16], [20]]
    assert [part.shape[1] for part in by_length(rows)] == [8, 16, 20]


def test_the_full_loss_is_the_cross_entropy_over_all_items() -> None:
    vector_ID = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])  # row 0 is no item
    loss = next_item_loss_sum(torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([2, 3]), vector_ID, NONE)
    of_first = math.log(math.e + 2 * math.e**2) - 2
    assert float(loss) == pytest.approx(of_first + math.log(3), rel=1e-6)


def test_all_other_items_once_as_negatives_give_the_full_loss() -> None:
    torch.manual_seed(1)
    state_TD, vector_ID = torch.randn(1, 4), torch.randn(6, 4)
    sampled = next_item_loss_sum(state_TD, torch.tensor([2]), vector_ID, torch.tensor([1, 3, 4, 5]))
    torch.testing.assert_close(sampled, next_item_loss_sum(state_TD, torch.tensor([2]), vector_ID, NONE))


def test_few_negatives_count_for_all_other_items_and_the_target_is_none() -> None:
    vector_ID = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]])
    loss = next_item_loss_sum(torch.tensor([[1.0]]), torch.tensor([3]), vector_ID, torch.tensor([1, 3]))
    assert float(loss) == pytest.approx(math.log(math.e**3 + 3 / 2 * math.e) - 3, rel=1e-6)


@pytest.mark.parametrize(("places", "frequencies"), [(6, 2), (6, 4), (7, 3)])
def test_the_low_pass_is_that_of_the_fourier_transform_at_the_end(places: int, frequencies: int) -> None:
    torch.manual_seed(1)
    signal_L = torch.randn(places)
    wave_F = torch.fft.rfft(signal_L)
    wave_F[frequencies:] = 0
    whole = torch.fft.irfft(wave_F, n=places)
    passed_L = low_pass(places, frequencies) @ signal_L
    torch.testing.assert_close(passed_L[-1], whole[-1], rtol=1e-4, atol=1e-5)
    # An earlier place: nothing came before the first item.
    shorter = F.pad(signal_L[:4], (places - 4, 0))
    torch.testing.assert_close(passed_L[3], low_pass(places, frequencies)[-1] @ shorter, rtol=1e-4, atol=1e-5)
