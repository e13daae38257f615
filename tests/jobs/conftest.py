import pytest
from pyspark.sql import SparkSession

from recsys.lake.store import Lake
from tests.trained_lake import write_trained_lake


@pytest.fixture(scope="session")
def trained_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Takes many writes: built once, copied by each module that writes to it."""
    return write_trained_lake(spark, str(tmp_path_factory.mktemp("trained") / "lake"))
