import pytest

from recsys.frames.caches import releasing


def released_after(raised: BaseException | None) -> list[str]:
    calls: list[str] = []
    try:
        with releasing(lambda: calls.append("released")):
            if raised is not None:
                raise raised
    except type(raised or ValueError()):
        pass
    return calls


@pytest.mark.parametrize("raised", [None, ValueError()])
def test_it_is_released_in_the_end_and_after_an_error(raised: BaseException | None) -> None:
    assert released_after(raised) == ["released"]


def test_an_interrupted_process_leaves_it_alone() -> None:
    assert released_after(KeyboardInterrupt()) == []
