import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys.frames.caches import releasing, settled


def released_after(raised: BaseException | None) -> list[str]:
    calls: list[str] = []
    try:
        with releasing(lambda: calls.append("released")):
            if raised is not None:
                raise raised
    except type(raised or ValueError()):
        pass
    return calls


@pytest.mark.parametrize("raised", [None, ValueError()])
def test_it_is_released_in_the_end_and_after_an_error(raised: BaseException | None) -> None:
    assert released_after(raised) == ["released"]


def test_an_interrupted_process_leaves_it_alone() -> None:
    assert released_after(KeyboardInterrupt()) == []


def test_settled_rows_are_made_once_and_forget_how(spark: SparkSession) -> None:
    drawn = spark.range(1000).select(F.rand().alias("drawn"))
    rows = settled(drawn)
    sums = [rows.agg(F.sum("drawn")).collect() for _ in range(2)]
    assert sums[0] == sums[1]
    plan = rows._jdf.queryExecution().logical().toString()  # type: ignore[operator]
    assert "rand" not in plan
    assert "Range" not in plan
    assert not drawn.storageLevel.useMemory
