import errno
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from recsys import app, arguments
from recsys.app import explained, run_program, summary
from recsys.errors import ConfigError, EnvironmentProblem, WorkerFailedError
from recsys.lake.session import require_java
from recsys.lake.store import Lake
from recsys.stages import Outcome, Run

ROOT = Path(__file__).parents[1]
RUN_DATE = date(2017, 12, 18)


def no_work(_: Run) -> list[Outcome]:
    raise AssertionError("refused before any work")


def refused(*arguments: str) -> int:
    return run_program("job", None, no_work, arguments=arguments)


@pytest.fixture
def error_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """`configure_logging` would take pytest's handlers away, and a job's signal handler is not for tests."""
    monkeypatch.setattr(app, "configure_logging", lambda: None)
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    return caplog


def test_an_unknown_config_key_is_code_2(error_log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    assert refused("--lake", str(tmp_path), "--set", "train.batchsize=5") == 2
    assert "job stopped: unknown keys in 'train': ['batchsize']; known keys: ['batch_size'" in error_log.text


def test_a_missing_config_file_is_code_2(error_log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    assert refused("--config", str(tmp_path / "none.yaml")) == 2
    assert "cannot read the configuration file" in error_log.text
    assert "none.yaml: No such file or directory; give an existing YAML file" in error_log.text


def test_a_bad_run_date_is_code_2(error_log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    assert refused("--lake", str(tmp_path), "--run-date", "2017-13-01") == 2
    assert "--run-date must be a day like 2017-12-18, got '2017-13-01'" in error_log.text


def test_a_lake_root_below_a_file_is_code_2(error_log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert refused("--lake", str(tmp_path / "file" / "lake")) == 2
    assert "cannot be made: Not a directory; give a folder you may write" in error_log.text


def test_a_lake_root_that_may_not_be_written_is_code_2(
    error_log: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.os, "access", lambda *_: False)  # the superuser may write anywhere
    assert refused("--lake", str(tmp_path)) == 2
    assert f"lake.root {tmp_path} cannot be written by this user; give a folder you may write" in error_log.text


def test_no_java_is_code_2(
    error_log: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert refused("--lake", str(tmp_path / "lake")) == 2
    assert "no Java: 'java' does not exist; Spark needs Java 17. Cure: `make setup`" in error_log.text
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=rf"no Java: '{tmp_path}/bin/java' does not exist"):
        require_java()


@pytest.mark.parametrize(
    ("banner", "message"),
    [('openjdk version "11.0.2" 2019-01-15', r'says \'openjdk version "11.0.2"'), ("", r"says 'no answer'")],
)
def test_an_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str, message: str) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\nprintf '%s' '{banner}' >&2\n", encoding="utf-8")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=rf"Java 17 or newer is needed, .*{message}.*Cure: set JAVA_HOME"):
        require_java()


def test_a_full_disk_is_told_from_the_text_anywhere_in_the_chain() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for error in (full, _raised_from(RuntimeError("Job aborted"), full)):
        known = explained(error)
        assert isinstance(known, EnvironmentProblem)
        assert "the disk is full" in str(known)
        assert "Cure: free space" in str(known)


def test_whatever_fails_on_the_way_out_of_an_interrupt_it_was_an_interrupt(
    error_log: pytest.LogCaptureFixture,
) -> None:
    failed = ConnectionError("the JVM is gone")
    failed.__context__ = KeyboardInterrupt()
    for error in (KeyboardInterrupt(), failed):
        error_log.clear()
        assert app._report("clean_logs", error) == 1
        assert "clean_logs was interrupted; tables are as the last finished stage left them" in error_log.text


def test_an_error_whose_text_died_with_the_jvm_is_still_an_error() -> None:
    class Py4JLike(Exception):
        def __str__(self) -> str:
            raise ConnectionError("the JVM is gone")

    assert explained(Py4JLike()) is None


def _raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_own_errors_keep_their_exit_code_and_others_are_unknown() -> None:
    own = ConfigError("x")
    assert explained(own) is own
    assert (own.exit_code, WorkerFailedError("x").exit_code) == (2, 1)
    assert explained(RuntimeError("Job aborted")) is None


def test_relative_lake_roots_become_absolute_and_uris_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert arguments.absolute_uri("lake") == str(tmp_path / "lake")
    assert arguments.absolute_uri("s3a://bucket/lake") == "s3a://bucket/lake"
    parsed = arguments.parse_arguments(None, ["--lake", "lake", "--set", "lake.root=other", "--run-date", "2017-12-18"])
    assert parsed.config.lake.root == str(tmp_path / "lake")
    assert parsed.run_date == RUN_DATE


def test_the_summary_is_for_people(tmp_path: Path) -> None:
    run = Run(spark=None, lake=Lake(None, str(tmp_path)), config=None, conf_folder=tmp_path, run_date=None)  # type: ignore[arg-type]  # it only names the lake
    outcomes = [
        Outcome("score", 1.25, is_skipped=False, figures={"rows": 12_345, "auc": 0.123456, "day": "x"}),
        Outcome("train", 0.0, is_skipped=True),
    ]
    assert summary(run, outcomes).splitlines() == [
        f"lake {tmp_path}",
        "  score            1.2 s",
        "    rows: 12,345",
        "    auc: 0.1235",
        "    day: x",
        "  train            skipped, nothing changed",
    ]


PROGRAM = """
import sys
from recsys import app
from recsys.stages import Stage, run_stage

def work(run):
    if "break" in sys.argv: raise KeyError("a bug")
    return {"rows": 3, "note": "it went well"}

stage = Stage(name="tiny", reads=(), writes=(), settings=(), run=work, is_dated=False)
arguments = ["--lake", sys.argv[1], "--set", "spark.driver_memory=1g"]
sys.exit(app.run_program("tiny", None, lambda run: [run_stage(stage, run)], arguments=arguments))
"""


def run_tiny(lake: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, str(lake), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.spark
def test_a_job_ends_with_a_summary_one_json_line_and_code_0_and_gives_the_lock_back(tmp_path: Path) -> None:
    done = run_tiny(tmp_path)
    assert done.returncode == 0, done.stderr
    *for_people, last = done.stdout.strip().splitlines()
    assert "    note: it went well" in for_people
    figures = json.loads(last)
    assert (figures["job"], figures["lake"]) == ("tiny", str(tmp_path))
    assert [(s["stage"], s["rows"], s["skipped"]) for s in figures["stages"]] == [("tiny", 3, False)]
    assert not (tmp_path / "_writer.lock").exists()


@pytest.mark.spark
def test_a_job_ends_with_code_1_and_a_traceback_where_it_has_a_bug(tmp_path: Path) -> None:
    done = run_tiny(tmp_path, "break")
    assert done.returncode == 1
    assert "tiny failed" in done.stderr
    assert "KeyError: 'a bug'" in done.stderr
    assert done.stdout.strip() == ""
