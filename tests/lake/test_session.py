from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys.lake import session


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "recsys.jsa"
    monkeypatch.setattr(session, "class_archive", lambda: path)
    return path


def test_without_an_archive_the_options_stay(archive: Path) -> None:
    assert not archive.exists()
    assert session.with_class_archive("-Dmine=1") == "-Dmine=1"


def test_an_archive_is_named_once_beside_the_options_given(archive: Path) -> None:
    archive.touch()
    options = session.with_class_archive("-Dmine=1")
    assert f"-XX:SharedArchiveFile={archive} " in options
    assert options.endswith(" -Dmine=1")
    assert session.with_class_archive(options) == options


def test_options_of_java_that_the_user_gave_are_not_added_to(archive: Path) -> None:
    archive.touch()
    assert session.with_class_archive("-XX:SharedArchiveFile=other") == "-XX:SharedArchiveFile=other"


def test_java_runs_on_the_archive_that_the_set_up_made(spark: SparkSession) -> None:
    if not session.class_archive().exists():
        pytest.skip("the set-up could make no archive on this machine")
    beans = spark._jvm.java.lang.management.ManagementFactory  # type: ignore[union-attr]
    arguments = list(beans.getRuntimeMXBean().getInputArguments())
    assert f"-XX:SharedArchiveFile={session.class_archive()}" in arguments


def test_the_text_of_a_large_plan_is_cut(spark: SparkSession) -> None:
    """Adaptive execution makes it anew after every stage: whole, that of a day's ingest has filled three GiB."""
    rows = spark.range(1)
    for _ in range(9):
        rows = rows.unionByName(rows)
    execution: Any = rows._jdf
    text = str(execution.queryExecution().toString())
    assert len(text) < 150_000
