"""Every bash block of the README is run as it stands; the two make commands are what continuous integration calls."""

import os
import re
import subprocess
from pathlib import Path

from tests.e2e.conftest import ROOT

MY_SHOP = ROOT / "conf" / "sources" / "my_shop.yaml"


def test_every_bash_block_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    environment = {
        **os.environ,
        "MASTER": "local[2]",
        "LAKE": str(tmp_path / "lake"),
        "SOURCE": "my_shop",
        "INPUT": str(ROOT / "build" / "my_shop"),
    }
    try:
        for block in blocks:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "rows_quarantined: 1" in done.stdout
    finally:
        MY_SHOP.unlink(missing_ok=True)


def test_the_two_commands_are_those_of_continuous_integration() -> None:
    steps = (ROOT / ".ci" / "run").read_text()
    for command in ("make demo", "make test"):
        assert command in (ROOT / "README.md").read_text()
        assert command in steps
