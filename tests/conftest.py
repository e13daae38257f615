import functools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

os.environ["TZ"] = "UTC"
time.tzset()
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
# Small tables: the optimising compiler would spend more time than it saves, and so would Spark's classes made for each
# query and its plans made anew after each stage; without the first the code cache is small. Children inherit it; the
# demo of `.ci/run` is made without.
os.environ.setdefault(
    "JDK_JAVA_OPTIONS",
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=400m -Dspark.sql.adaptive.enabled=false "
    "-Dspark.sql.codegen.wholeStage=false -Dspark.sql.codegen.factoryMode=NO_CODEGEN",
)

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
_FIRST = ("tests/e2e/test_pipeline.py", "trained_lake", "tests/horovod", "tests/e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tier is the folder; what lies outside of any says its own, or needs nothing but Python."""
    for item in items:
        folder = Path(item.path).relative_to(Path(__file__).parent).parts[0]
        for tier, folders in TIERS.items():
            if folder in folders:
                item.add_marker(getattr(pytest.mark, tier))
    items.sort(key=lambda item: _place(_group(item.nodeid)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """A file's tests go to one process, and so do all that read the trained lake, which takes half a minute to make."""

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return GroupScheduling(config, log)


def _group(nodeid: str) -> str:
    path = nodeid.split("::")[0]
    return "trained_lake" if _reads_trained_lake(path) else path


@functools.cache
def _reads_trained_lake(path: str) -> bool:
    return "trained_lake: Lake" in (Path(__file__).parents[1] / path).read_text()


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
