"""What Spark keeps in memory for a while, and the end of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.sql import DataFrame


@contextmanager
def releasing(release: Callable[[], object]) -> Iterator[None]:
    """Calls `release` in the end, after an error too, but not where the process is interrupted.

    Spark may then be filling a cache yet, whose lock it holds while it waits for that of all caches; clearing them
    takes the two locks the other way round, and both would wait for good.
    """
    try:
        yield
    except Exception:
        release()
        raise
    release()


def in_memory(rows: DataFrame) -> DataFrame:
    """Kept once something reads them all, on disk where memory ends. Spark moves no filter below it, which it would
    work columns out again for."""
    return rows.persist(StorageLevel.MEMORY_AND_DISK)


def counted(few: DataFrame) -> DataFrame:
    """Cached, and counted, so that Spark knows how few they are and broadcasts them."""
    kept = in_memory(few)
    kept.count()
    return kept


def settled(few: DataFrame) -> DataFrame:
    """As `counted`, and how they were made is forgotten: for rows of a day that many later steps read.

    Spark plans each step from the files on, however much of it is cached: one that reads such rows ten times over is
    planned longer than it runs. They lie on the executors alone: a run that loses one fails, and is to be started
    again.
    """
    kept = counted(few)
    made = kept.localCheckpoint()
    kept.unpersist()
    return made


@contextmanager
def held(*frames: DataFrame) -> Iterator[None]:
    """In memory meanwhile. Whatever reads the same rows of the same tables takes them from there: each look into a
    Delta table is a Spark job of its own, when a query is planned."""
    for frame in frames:
        frame.persist()
    with releasing(lambda: [frame.unpersist() for frame in frames]):
        yield
