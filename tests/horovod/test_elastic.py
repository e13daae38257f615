"""A worker that dies in elastic training: the other one goes on alone, and it comes back at a checkpoint."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ConfigError
from recsys.training.run import require_retries
from tests.e2e.conftest import ROOT
from tests.horovod.test_three_workers import ROWS
from tests.training.test_loop import train_config


@pytest.mark.long
def test_the_other_worker_goes_on_and_each_row_counts_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.horovod.elastic_training", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "died").exists()
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert curve[1]["train_loss"] < curve[0]["train_loss"]
    steps = [json.loads(line) for file in tmp_path.glob("steps-*.jsonl") for line in file.read_text().splitlines()]
    by_generation = {step["generation"]: step["count"] for step in sorted(steps, key=lambda s: s["generation"])}
    assert list(by_generation.values()) == [2, 1, 2], "both, one alone, both again"
    used = Counter(user for step in steps if _counts(step, steps) for user in step["users"])
    assert used == Counter(list(range(ROWS)) * 2)


def _counts(step: dict[str, Any], steps: list[dict[str, Any]]) -> bool:
    """Of a step that was taken again from a checkpoint, only the last time."""
    again = [other["generation"] for other in steps if other["step"] == step["step"]]
    return bool(step["generation"] == max(again))


def test_elastic_training_where_no_task_is_tried_again_is_refused() -> None:
    config = train_config(workers=2, elastic=True)
    with pytest.raises(ConfigError, match=r"train.elastic is true.*at failure 1 of a task.*spark.master=local\[2,8\]"):
        require_retries(config, failures=1)
    require_retries(config, failures=8)
    require_retries(train_config(workers=2), failures=1)


def test_more_workers_needed_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train.min_workers must be between 1 and 2, got 3"):
        train_config(workers=2, elastic=True, min_workers=3)
