import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["TZ"] = "UTC"
time.tzset()
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
# Small tables: the optimising compiler would spend more time than it saves; without it the code cache is small.
# Children inherit it.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=400m")

TIERS = {
    "spark": (
        "lake",
        "frames",
        "clean",
        "features",
        "examples",
        "evaluation",
        "scoring",
        "jobs",
        "contracts",
        "spark_training",
    ),
    "torch": ("models", "training", "benchmarks"),
    "horovod": ("horovod",),
    "slow": ("e2e",),
}


LONGEST_FIRST = ("slow", "horovod")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tier is the folder; what lies outside of any says its own, or needs nothing but Python.

    Long files come first, so that no process is left alone with one at the end.
    """
    for item in items:
        folder = Path(item.path).relative_to(Path(__file__).parent).parts[0]
        for tier, folders in TIERS.items():
            if folder in folders:
                item.add_marker(getattr(pytest.mark, tier))
    items.sort(key=lambda item: min(map(_place, item.iter_markers()), default=len(LONGEST_FIRST)))


def _place(mark: pytest.Mark) -> int:
    return LONGEST_FIRST.index(mark.name) if mark.name in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.fixture(scope="session")
def spark() -> Iterator["object"]:
    from recsys.config import CONF_FOLDER, load_config
    from recsys.lake.session import build_session

    config = load_config([CONF_FOLDER / "local.yaml"], ["spark.shuffle_partitions=2", "spark.driver_memory=2g"])
    session = build_session("recsys-tests", config.spark)
    yield session
    session.stop()
