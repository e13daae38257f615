"""Several Spark actions side by side: planning and committing one leave cores idle that another can use."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyspark.sql import SparkSession

T = TypeVar("T")

# Each may hold a plan and some commits on the driver.
_MAX_ACTIONS = 4


def at_once(spark: SparkSession, actions: Sequence[Callable[[], T]]) -> list[T]:
    """Results in the order of `actions`. The first error is raised once the running ones have ended; an interrupt
    cancels them."""
    with ThreadPoolExecutor(max_workers=_MAX_ACTIONS) as pool:
        started = [pool.submit(action) for action in actions]
        try:
            return [action.result() for action in started]
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, Exception):
                spark.sparkContext.cancelAllJobs()
            raise
