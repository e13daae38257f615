"""The model that CONTRIBUTING.md shows is small and passes the contract of its family."""

import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from recsys.models import registry
from tests.models import test_contract, test_every_model

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAME = "taste"
CONTRACT = [
    test
    for contract in (test_contract, test_every_model)
    for test in vars(contract).values()
    if inspect.isfunction(test) and any(mark.args[0] == "name" for mark in getattr(test, "pytestmark", []))
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, the line and the YAML as they are shown."""
    code, line = blocks("python")
    (settings,) = blocks("yaml")
    made = imported(tmp_path / f"{NAME}.py", code)
    monkeypatch.setattr(registry, "MODELS", registry.MODELS | eval(f"{{{line}}}", {**vars(registry), **vars(made)}))
    monkeypatch.setattr(test_contract, "TINY", test_contract.TINY | {NAME: yaml.safe_load(settings)})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{NAME}.yaml").write_text(settings, encoding="utf-8")
    monkeypatch.setattr(test_contract, "CONF_FOLDER", tmp_path)


def imported(file: Path, code: str) -> ModuleType:
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(NAME, file)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_shown_model_passes_the_contract(promise: Callable[..., None], tmp_path: Path) -> None:
    given: dict[str, Any] = {"name": NAME, "tmp_path": tmp_path / "run", "request": None}
    given["tmp_path"].mkdir()
    promise(**{name: given[name] for name in inspect.signature(promise).parameters})


def test_it_has_thirty_lines_at_most() -> None:
    assert len(blocks("python")[0].splitlines()) <= 30
    assert len(CONTRACT) >= 7
