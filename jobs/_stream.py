"""A job run for each batch of files that arrive: Structured Streaming says when, the job takes what is new."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

from recsys.stages import Outcome

_FILES = "path string, modificationTime timestamp, length bigint, content binary"
# How often each side looks whether the other has ended.
_POLL_S = 0.2


def run_on_arrival(
    spark: SparkSession, folder: str, checkpoint: str, work: Callable[[], Outcome], every_seconds: int | None
) -> Outcome:
    """The last outcome. Without `every_seconds` the stream ends when all files that are there are taken; else it goes
    on until it is stopped. What `work` raises ends it and is raised here, as is an interrupt.

    The ledger of the job decides which files are taken, not the stream's: neither a batch that is tried again nor a
    file that changed is taken twice or missed. Streams do not see that a file changed: it is taken with the next one
    that is new.
    """
    batches = _Batches()
    # Contents are not read: only paths are asked for.
    reader = spark.readStream.format("binaryFile").schema(_FILES).option("recursiveFileLookup", "true")
    arrivals = reader.load(folder).select("path")
    writer = _triggered(arrivals.writeStream.option("checkpointLocation", checkpoint), every_seconds)
    query = writer.foreachBatch(batches.wait_for_work).start()
    try:
        last = batches.work_off(query, work)
    finally:
        batches.is_stopped.set()
        _stop(query)
    return last or work()


def _stop(query: StreamingQuery) -> None:
    """Twice, where an interrupt came within a call of the JVM: the first one after it finds the connection broken."""
    for _ in range(2):
        with suppress(Py4JError):
            query.stop()
            break


class _Batches:
    """Spark calls for each batch in a thread of its own, which no interrupt reaches: the main thread does the work."""

    def __init__(self) -> None:
        self.is_stopped = threading.Event()
        self._waiting: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()

    def wait_for_work(self, _: DataFrame, __: int) -> None:
        """Fails where the work did, so that the stream does not count the batch as taken."""
        is_done = threading.Event()
        self._waiting.put(is_done)
        while not is_done.wait(_POLL_S):
            if self.is_stopped.is_set():
                raise RuntimeError("the job was stopped while it worked on this batch")

    def work_off(self, query: StreamingQuery, work: Callable[[], Outcome]) -> Outcome | None:
        """The last outcome, once the stream has ended; None where no batch came."""
        last = None
        while query.isActive:
            with suppress(queue.Empty):
                is_done = self._waiting.get(timeout=_POLL_S)
                last = work()
                is_done.set()
        query.awaitTermination()  # raises why it failed
        return last


def _triggered(writer: DataStreamWriter, every_seconds: int | None) -> DataStreamWriter:
    if every_seconds is None:
        return writer.trigger(availableNow=True)
    return writer.trigger(processingTime=f"{every_seconds} seconds")
