"""One writer a lake: a lock file on the lake's own filesystem, kept alive by a heartbeat.

A run that was killed leaves its file behind; it is taken over once its heartbeat is STALE_AFTER_S old, or at once
when the holder was a process of this machine that is no more.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from pyspark.sql import SparkSession

from recsys.errors import LakeBusyError

logger = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
STALE_AFTER_S = 60.0
_FILE = "_writer.lock"


@contextmanager
def writer_lock(spark: SparkSession, root: str, what: str) -> Iterator[None]:
    """Holds the lake's only write permission. Raises LakeBusyError where another live run has it."""
    file = _LockFile(spark, root)
    _acquire(file, what)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(file, stop), daemon=True)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()
        # Where the JVM is gone, the next run finds that this process is too and takes the lock over.
        with suppress(Exception):
            file.delete()


class _LockFile:
    """The lock file through Hadoop's filesystem interface, so that any lake URI works."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        jvm: Any = spark.sparkContext._jvm
        self._path = jvm.org.apache.hadoop.fs.Path(f"{root}/{_FILE}")
        configuration = spark.sparkContext._jsc.hadoopConfiguration()
        self._fs = self._path.getFileSystem(configuration)

    def create(self, holder: dict[str, Any]) -> bool:
        """False where the file is there already; the filesystem makes creation exclusive."""
        try:
            stream = self._fs.create(self._path, False)
        except Exception as error:
            if "FileAlreadyExists" in str(error) or self._fs.exists(self._path):
                return False
            raise
        stream.write(json.dumps(holder).encode())
        stream.close()
        return True

    def holder(self) -> dict[str, Any]:
        """Empty where the file vanished or is half written."""
        try:
            stream = self._fs.open(self._path)
            text = bytes(stream.readAllBytes()).decode()
            stream.close()
            return dict(json.loads(text))
        except Exception:
            return {}

    def age_s(self) -> float:
        try:
            modified_ms: int = self._fs.getFileStatus(self._path).getModificationTime()
            return time.time() - modified_ms / 1000
        except Exception:
            return 0.0

    def touch(self) -> None:
        self._fs.setTimes(self._path, int(time.time() * 1000), -1)

    def delete(self) -> None:
        self._fs.delete(self._path, False)


def _acquire(file: _LockFile, what: str) -> None:
    process = psutil.Process()
    me = {"host": socket.gethostname(), "pid": process.pid, "born": process.create_time(), "what": what}
    for _ in range(3):
        if file.create(me):
            return
        holder = file.holder()
        if not _is_abandoned(file, holder):
            break
        logger.warning("taking over the lock of a run that died: %s", holder)
        file.delete()
    holder = file.holder()
    raise LakeBusyError(
        f"another run is writing to this lake: {holder.get('what')} (process {holder.get('pid')} on "
        f"{holder.get('host')}). Cure: wait for it to end, or use another lake.root; the lock of a run that died "
        f"is taken over {STALE_AFTER_S:.0f} s after its last sign of life"
    )


def _is_abandoned(file: _LockFile, holder: dict[str, Any]) -> bool:
    if holder.get("host") == socket.gethostname():
        return not _is_running(int(holder["pid"]), float(holder["born"]))
    return file.age_s() > STALE_AFTER_S


def _is_running(pid: int, born: float) -> bool:
    try:
        return bool(abs(psutil.Process(pid).create_time() - born) < 1.0)
    except psutil.NoSuchProcess:
        return False


def _beat(file: _LockFile, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        try:
            file.touch()
        except Exception as error:
            logger.warning("the lock's heartbeat failed: %s", error)
