"""Every bash block of the README is run as it stands, and then the command that goes on with the reader's own log; the
two make commands are what continuous integration calls."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.e2e.conftest import ROOT


def test_every_bash_block_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    shop = ROOT / "build" / "my_shop"
    for leftover in (shop, ROOT / "build" / "my_lake"):  # of a run that was broken off
        shutil.rmtree(leftover, ignore_errors=True)
    environment = {
        **os.environ, "MASTER": "local[2]", "LAKE": str(tmp_path / "lake"), "SOURCE": "my_shop", "INPUT": str(shop),
        "CONF": str(shop / "conf"),
    }  # fmt: skip
    for block in blocks:
        if (shop / "conf").is_dir():
            _without_a_cluster(shop / "conf" / "cluster.yaml")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rows_quarantined: 1" in done.stdout
    _the_whole_chain_wants_months(environment)


def _the_whole_chain_wants_months(environment: dict[str, str]) -> None:
    """The README says so, and the four lines of its log are refused where they no longer suffice."""
    (command,) = re.findall(r"`(make demo CONFIG=[^`]*)`", (ROOT / "README.md").read_text().replace("\n", " "))
    done = subprocess.run(
        ["bash", "-c", command.replace("<folder>", "build/my_shop")],
        cwd=ROOT, env={**environment, "LAKE": str(ROOT / "build" / "my_lake")},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "clean_logs: nothing changed" in done.stderr
    assert "no purchase from" in done.stderr


def _without_a_cluster(settings: Path) -> None:
    """Two cores take minutes for the partitions of a cluster."""
    text = settings.read_text()
    assert "shuffle_partitions: 200" in text
    settings.write_text(text.replace("shuffle_partitions: 200", "shuffle_partitions: 2"))


def test_the_two_commands_are_those_of_continuous_integration() -> None:
    steps = (ROOT / ".ci" / "run").read_text()
    for command in ("make demo", "make test"):
        assert command in (ROOT / "README.md").read_text()
        assert command in steps
