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

TIERS = {
    "spark": ("lake", "frames", "clean", "features", "examples", "evaluation", "scoring", "jobs", "contracts"),
    "torch": ("models", "training", "benchmarks"),
    "horovod": ("horovod",),
    "slow": ("e2e",),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tier is the folder; what lies outside of any says its own, or needs nothing but Python."""
    for item in items:
        folder = Path(item.path).relative_to(Path(__file__).parent).parts[0]
        for tier, folders in TIERS.items():
            if folder in folders:
                item.add_marker(getattr(pytest.mark, tier))


@pytest.fixture(scope="session")
def spark() -> Iterator["object"]:
    from recsys.config import CONF_FOLDER, load_config
    from recsys.lake.session import build_session

    config = load_config([CONF_FOLDER / "local.yaml"], ["spark.shuffle_partitions=2", "spark.driver_memory=2g"])
    session = build_session("recsys-tests", config.spark)
    yield session
    session.stop()
