"""The end of what Spark keeps in memory for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
