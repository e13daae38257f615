"""The end of what Spark keeps in memory for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


@contextmanager
def held(*frames: DataFrame) -> Iterator[None]:
    """In memory meanwhile. Whatever reads the same rows of the same tables takes them from there: each look into a
    Delta table is a Spark job of its own, when a query is planned."""
    for frame in frames:
        frame.persist()
    with releasing(lambda: [frame.unpersist() for frame in frames]):
        yield
