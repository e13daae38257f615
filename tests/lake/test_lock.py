import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from recsys.errors import LakeBusyError
from recsys.lake import lock
from recsys.lake.lock import STALE_AFTER_S, writer_lock

FILE = "_writer.lock"


def left_behind(root: Path, *, host: str, pid: int, born: float, age_s: float = 0.0) -> None:
    """The lock file of another run, last touched `age_s` seconds ago."""
    holder = {"host": host, "pid": pid, "born": born, "what": "score for 2017-12-18"}
    (root / FILE).write_text(json.dumps(holder), encoding="utf-8")
    touched = time.time() - age_s
    os.utime(root / FILE, (touched, touched))


def dead_process() -> int:
    """The id of a process that is no more."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_the_lock_is_there_inside_and_gone_after_also_after_an_error(spark: SparkSession, tmp_path: Path) -> None:
    with writer_lock(spark, str(tmp_path), "train for 2017-12-18"):
        holder = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
        assert (holder["pid"], holder["what"]) == (os.getpid(), "train for 2017-12-18")
    assert not (tmp_path / FILE).exists()
    with pytest.raises(ZeroDivisionError), writer_lock(spark, str(tmp_path), "train"):
        _ = 1 / 0
    assert not (tmp_path / FILE).exists()


def test_a_second_writer_is_refused_and_leaves_the_first_ones_lock(spark: SparkSession, tmp_path: Path) -> None:
    message = rf"another run is writing to this lake: train for today \(process {os.getpid()} on .*Cure: wait for it"
    with writer_lock(spark, str(tmp_path), "train for today"):
        with pytest.raises(LakeBusyError, match=message), writer_lock(spark, str(tmp_path), "score"):
            pass
        assert (tmp_path / FILE).exists()


def test_the_lock_of_a_dead_process_of_this_machine_is_taken_over_at_once(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left_behind(tmp_path, host=socket.gethostname(), pid=dead_process(), born=time.time())
    with caplog.at_level(logging.WARNING), writer_lock(spark, str(tmp_path), "train"):
        assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["pid"] == os.getpid()
    assert "taking over the lock of a run that died" in caplog.text


def test_a_process_id_that_was_given_again_is_another_process(spark: SparkSession, tmp_path: Path) -> None:
    born = psutil.Process().create_time()
    left_behind(tmp_path, host=socket.gethostname(), pid=os.getpid(), born=born - 3600)
    with writer_lock(spark, str(tmp_path), "train"):
        pass


def test_a_live_process_of_this_machine_keeps_its_lock_however_old(spark: SparkSession, tmp_path: Path) -> None:
    born = psutil.Process().create_time()
    left_behind(tmp_path, host=socket.gethostname(), pid=os.getpid(), born=born, age_s=10 * STALE_AFTER_S)
    with pytest.raises(LakeBusyError, match=r"score for 2017-12-18"), writer_lock(spark, str(tmp_path), "train"):
        pass


def test_the_lock_of_another_machine_stands_until_its_heartbeat_is_old(spark: SparkSession, tmp_path: Path) -> None:
    left_behind(tmp_path, host="far-away", pid=1, born=0.0, age_s=STALE_AFTER_S - 20)
    with pytest.raises(LakeBusyError, match=r"process 1 on far-away"), writer_lock(spark, str(tmp_path), "train"):
        pass
    left_behind(tmp_path, host="far-away", pid=1, born=0.0, age_s=STALE_AFTER_S + 5)
    with writer_lock(spark, str(tmp_path), "train"):
        pass


def test_the_heartbeat_keeps_the_lock_young(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.05)
    with writer_lock(spark, str(tmp_path), "train"):
        os.utime(tmp_path / FILE, (0, 0))
        deadline = time.monotonic() + 10
        while (tmp_path / FILE).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert time.time() - (tmp_path / FILE).stat().st_mtime < STALE_AFTER_S
