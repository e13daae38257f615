from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.errors import InputError
from recsys.training.checkpoint import (
    Checkpoints,
    Folder,
    random_state,
    seed_random_state,
    set_random_state,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("prefix", ["", "file:", "file://"])
def test_the_newest_is_kept_alone_and_loads_as_it_was_saved(tmp_path: Path, prefix: str) -> None:
    checkpoints = Checkpoints(f"{prefix}{tmp_path}/at/depth")
    assert checkpoints.newest() == 0
    for number in (9, 10):
        checkpoints.save(number, {"weights": torch.tensor([number, 2]), "name": "mlp", "curve": [{"loss": 0.5}]})
    assert checkpoints.newest() == 10
    loaded = checkpoints.load(10)
    assert loaded["weights"].tolist() == [10, 2]
    assert (loaded["name"], loaded["curve"]) == ("mlp", [{"loss": 0.5}])
    assert [path.name for path in (tmp_path / "at/depth").iterdir()] == ["step-0000000010.pt"]


def test_checkpoints_lie_on_any_filesystem() -> None:
    checkpoints = Checkpoints("memory://lake/checkpoints")
    checkpoints.save(3, {"step": 3})
    checkpoints.save(4, {"step": 4})
    assert Checkpoints("memory://lake/checkpoints").load(checkpoints.newest()) == {"step": 4}


def test_a_write_that_breaks_off_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.save(1, {"step": 1})
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(2, {"step": 2})
    assert "step-0000000002.pt.writing" in Folder(str(tmp_path)).names()
    assert checkpoints.newest() == 1
    assert checkpoints.load(1) == {"step": 1}


@pytest.mark.parametrize("content", [b"half", b""])
def test_a_file_that_is_no_checkpoint_is_named_with_the_cure(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "step-0000000005.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"step-0000000005.pt cannot be read: .*Cure: delete that folder"):
        Checkpoints(str(tmp_path)).load(5)


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("code ran",))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Evil()}, tmp_path / "step-0000000005.pt")
    with pytest.raises(InputError, match="cannot be read"):
        Checkpoints(str(tmp_path)).load(5)
    assert "code ran" not in capsys.readouterr().out


def test_random_numbers_go_on_where_they_were_for_any_worker() -> None:
    states, expected = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(random_state(CPU))
        expected.append(torch.rand(3))
    of_all_workers = torch.stack(states)
    for worker in (1, 0):
        set_random_state(of_all_workers[worker], CPU)
        assert torch.equal(torch.rand(3), expected[worker])


def test_random_numbers_of_other_workers_differ() -> None:
    drawn = []
    for seed in ((7, 3, 0), (7, 3, 1), (7, 3, 0)):
        seed_random_state(seed)
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[2] != drawn[1]
