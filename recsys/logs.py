"""Log set-up for jobs and progress for anything that takes longer than a few seconds."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_NOISY = ("py4j", "mlflow", "alembic", "petastorm", "urllib3", "matplotlib")
PROGRESS_EVERY_S = 5.0


def configure_logging(level: int = logging.INFO) -> None:
    """Logs go to standard error: standard output is for the summary and its JSON line."""
    logging.basicConfig(level=level, format=_FORMAT, datefmt="%H:%M:%S", stream=sys.stderr, force=True)
    logging.captureWarnings(capture=True)
    for handler in logging.getLogger().handlers:
        # py4j tells the root logger, with a traceback, whenever it replaces a closed connection.
        handler.addFilter(lambda record: record.module != "java_gateway" or record.levelno > logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)


@contextmanager
def timed(logger: logging.Logger, what: str) -> Iterator[None]:
    """One line when `what` starts and one with its seconds when it ends without an error."""
    logger.info("%s …", what)
    started = time.monotonic()
    yield
    logger.info("%s: done in %.1f s", what, time.monotonic() - started)
