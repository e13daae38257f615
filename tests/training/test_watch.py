import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.training.watch import ALLREDUCE, HUNG_EXIT_CODE, Clock, Watchdog, percentages

TIMEOUT_S = 10.0


def watchdog(clock: Clock, ended: list[int], *, index: int = 0, folder: Path | None = None) -> Watchdog:
    where = str(folder) if folder else None
    return Watchdog(clock, index=index, count=3, timeout_s=TIMEOUT_S, folder=where, end=ended.append)


@pytest.fixture
def ago(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock on by so many seconds."""
    real, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    return pass_by


def test_seconds_are_counted_by_phase(ago: Callable[[float], None]) -> None:
    clock = Clock()
    for phase, seconds in (("reading", 1.0), ("forward", 3.0), ("reading", 2.0), ("end", 0.0)):
        clock.enter(phase)
        ago(seconds)
    assert clock.seconds["reading"] == pytest.approx(3.0, abs=0.5)
    assert clock.seconds["forward"] == pytest.approx(3.0, abs=0.5)


def test_a_phase_ends_when_its_work_does(ago: Callable[[float], None]) -> None:
    clock = Clock(before_change=lambda: ago(5.0))
    clock.enter("forward")
    clock.enter("backward")
    assert clock.seconds["forward"] == pytest.approx(5.0, abs=0.5)


def test_percentages_name_the_longest_first() -> None:
    assert percentages({"forward": 1.0, "reading": 3.0}) == "reading 75 %, forward 25 %"
    assert percentages({}) == ""


def test_a_worker_that_is_stuck_in_a_phase_names_itself(
    ago: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    clock, ended = Clock(), list[int]()
    clock.place = "epoch 1, step 3 of 9"
    dog = watchdog(clock, ended, index=1)
    clock.enter("reading")
    ago(TIMEOUT_S - 1)
    dog.look()
    assert ended == []
    ago(2)
    with caplog.at_level(logging.ERROR):
        dog.look()
    assert ended == [HUNG_EXIT_CODE]
    expected = "training worker 1 of 3 hangs: it is in reading of epoch 1, step 3 of 9 (no progress for 10 s)"
    assert caplog.messages == [expected]


def test_a_worker_that_waits_names_the_one_without_a_sign_of_life(
    ago: Callable[[float], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[int] = []
    clocks = [Clock() for _ in range(3)]
    dogs = [watchdog(clock, ended, index=index, folder=tmp_path) for index, clock in enumerate(clocks)]
    for dog in dogs:
        dog.look()
    clocks[0].enter(ALLREDUCE)
    for _ in range(3):
        assert ended == []
        ago(TIMEOUT_S * 0.4)
        # Worker 1 is alive and works on, worker 2 is stopped.
        clocks[1].enter("validation")
        dogs[1].look()
        with caplog.at_level(logging.ERROR):
            dogs[0].look()
    assert ended == [HUNG_EXIT_CODE]
    assert caplog.messages[0].startswith("training worker 2 of 3 hangs: it gives no sign of life; the others wait")


def test_a_worker_waits_as_long_as_the_others_live(ago: Callable[[float], None], tmp_path: Path) -> None:
    ended: list[int] = []
    clocks = [Clock() for _ in range(3)]
    dogs = [watchdog(clock, ended, index=index, folder=tmp_path) for index, clock in enumerate(clocks)]
    clocks[0].enter(ALLREDUCE)
    for _ in range(10):
        ago(TIMEOUT_S / 2)
        for clock, dog in zip(clocks[1:], dogs[1:], strict=True):
            clock.enter("validation")
            dog.look()
        dogs[0].look()
    assert ended == []


def test_the_thread_looks_and_ends_with_the_training(tmp_path: Path) -> None:
    ended: list[int] = []
    dog = Watchdog(Clock(), index=0, count=2, timeout_s=0.2, folder=str(tmp_path), end=ended.append)
    with dog:
        deadline = time.monotonic() + 20
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
    assert ended
    assert (tmp_path / "worker-00000.beat").exists()


def test_a_folder_that_cannot_be_written_does_not_end_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    ended: list[int] = []
    dog = Watchdog(Clock(), index=0, count=2, timeout_s=1.0, folder=str(tmp_path / "file" / "in"), end=ended.append)
    with dog:
        deadline = time.monotonic() + 20
        while caplog.text.count("could not look after the others") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert caplog.text.count("worker 0 could not look after the others") >= 2
