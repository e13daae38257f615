import pytest

from recsys.clean.netting import CANCELLATION, CANCELLED_PURCHASE, UNMATCHED_CANCELLATION, Netted, net

DONE = (CANCELLATION, 0.0, 0)
UNMATCHED = (UNMATCHED_CANCELLATION, 0.0, 0)


@pytest.mark.parametrize(
    ("quantities", "expected"),
    [
        ([2.0, 3.0], {}),
        ([2.0, -2.0], {0: (CANCELLED_PURCHASE, 2.0, 200), 1: DONE}),
        ([2.0, -1.0], {0: (None, 1.0, 100), 1: DONE}),
        ([2.0, 3.0, -1.0], {1: (None, 1.0, 100), 2: DONE}),  # the latest before it
        ([2.0, 3.0, -4.0], {0: (None, 1.0, 100), 1: (CANCELLED_PURCHASE, 3.0, 300), 2: DONE}),
        ([2.0, -3.0], {1: UNMATCHED}),  # not in parts
        ([-1.0, 2.0], {0: UNMATCHED}),  # a purchase after it
        ([2.0, -2.0, -1.0], {0: (CANCELLED_PURCHASE, 2.0, 200), 1: DONE, 2: UNMATCHED}),
        ([0.3, -0.1, -0.2], {0: (CANCELLED_PURCHASE, 0.3, 30), 1: DONE, 2: DONE}),  # 0.1 + 0.2 is not 0.3 in binary
    ],
)
def test_cancellations_take_units_of_the_latest_purchases_before_them(
    quantities: list[float], expected: dict[int, tuple[str | None, float, int]]
) -> None:
    found = net(quantities, [round(100 * quantity) for quantity in quantities])
    assert {entry.line: (entry.reason, entry.cancelled_quantity, entry.cancelled_cents) for entry in found} == expected


def test_what_is_left_of_an_amount_is_rounded_and_nothing_is_lost() -> None:
    assert net([3.0, -1.0], [100, -33])[1] == Netted(0, None, 1.0, 33)  # 66.67 of 100 are left
    assert net([3.0, -1.0], [None, None])[1] == Netted(0, None, 1.0, None)
