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


# Groups of tests that begin first, so that no process is left alone with a long one at the end. The lake of the whole
# pipeline is made by the first; the others that read it wait for it.
_FIRST = ("e2e/test_pipeline.py", "trained_lake", "horovod", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tier is the folder; what lies outside of any says its own, or needs nothing but Python.

    A file's tests go to one process, and so do all that read the trained lake, which takes half a minute to make.
    """
    for item in items:
        path = Path(item.path).relative_to(Path(__file__).parent)
        for tier, folders in TIERS.items():
            if path.parts[0] in folders:
                item.add_marker(getattr(pytest.mark, tier))
        item.add_marker(pytest.mark.xdist_group(_group(item, path)))
    items.sort(key=lambda item: _place(next(item.iter_markers("xdist_group")).args[0]))


def _group(item: pytest.Item, path: Path) -> str:
    return "trained_lake" if "trained_lake" in getattr(item, "fixturenames", ()) else str(path)


def _place(group: str) -> int:
    return next((place for place, first in enumerate(_FIRST) if group.startswith(first)), len(_FIRST))


@pytest.fixture(scope="session")
def spark() -> Iterator["object"]:
    from recsys.config import CONF_FOLDER, load_config
    from recsys.lake.session import build_session

    config = load_config([CONF_FOLDER / "local.yaml"], ["spark.shuffle_partitions=2", "spark.driver_memory=2g"])
    session = build_session("recsys-tests", config.spark)
    yield session
    session.stop()
