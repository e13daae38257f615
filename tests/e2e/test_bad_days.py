"""What goes wrong outside the code ends with exit code 2, a message with the cure, and the tables as they were."""

import gzip
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Finished, command

Job = Callable[..., Finished]


def test_unknown_config_key(job: Job, tmp_path: Path) -> None:
    done = job("clean_logs", tmp_path / "lake", "train.batchsize=5")
    assert done.code == 2
    assert "unknown keys in 'train': ['batchsize']; known keys:" in done.err


def test_value_out_of_range(job: Job, tmp_path: Path) -> None:
    done = job("clean_logs", tmp_path / "lake", "train.workers=0")
    assert done.code == 2
    assert "train.workers must be between 1 and 4096, got 0" in done.err


def test_no_java(job: Job, tmp_path: Path) -> None:
    done = job("clean_logs", tmp_path / "lake", environment={"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)})
    assert done.code == 2
    assert "Spark needs Java 17. Cure: `make setup`" in done.err


def test_port_in_use(job: Job, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        settings = f"spark.settings={{spark.driver.port: '{port}', spark.port.maxRetries: '0'}}"
        done = job("clean_logs", tmp_path / "lake", settings)
    assert done.code == 2
    assert "a port that Spark was told to use is taken" in done.err


def test_missing_input_folder_leaves_the_lake_alone(job: Job, tmp_path: Path) -> None:
    done = job("run_pipeline", tmp_path / "lake", f"source.input={tmp_path / 'nothing'}")
    assert done.code == 2
    assert "nothing" in done.err
    assert not (tmp_path / "lake" / "clean").exists()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not there to make a small disk")
def test_disk_full(tmp_path: Path) -> None:
    log, disk = tmp_path / "log", tmp_path / "disk"
    log.mkdir()
    disk.mkdir()
    with gzip.open(log / "2010-12-01.csv.gz", "wt") as file:
        file.write("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n")
        file.write("536365,85123,LAMP,6,2010-12-01 08:26:00,2.55,17850,France\n")
    arguments = command("clean_logs", disk / "lake", "source.name=online_retail", f"source.input={log}")
    script = f'mount -t tmpfs -o size=80k none {disk} && exec "$@"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *arguments],
        cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip("this kernel lets no user mount a small disk")
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stderr


def test_jobs_readme_lists_every_job() -> None:
    text = (ROOT / "jobs" / "README.md").read_text()
    jobs = [path.stem for path in (ROOT / "jobs").glob("*.py") if not path.stem.startswith("_")]
    assert len(jobs) >= 8
    assert [name for name in jobs if f"`{name}`" not in text] == []
