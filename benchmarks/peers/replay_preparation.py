"""K-core, leave one out and sequences as RePlay makes them: run by benchmarks/preparation.py in RePlay's environment.

Usage: python replay_preparation.py {spark,polars} INPUT OUTPUT CORE [MEMORY]

INPUT: Parquet files with user_id, item_id and timestamp. The last line of output is JSON with seconds.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from replay.data.nn.utils import groupby_sequences
from replay.preprocessing.filters import InteractionEntriesFilter
from replay.splitters import LastNSplitter

COLUMNS = ["user_id", "item_id", "timestamp"]


def prepared(interactions: Any, core: int) -> tuple[Any, Any]:
    """The last event of each user of the core, and the sequences of the others."""
    kept = InteractionEntriesFilter(min_inter_per_user=core, min_inter_per_item=core).transform(interactions)
    train, test = LastNSplitter(N=1, divide_column="user_id", query_column="user_id").split(kept)
    return test, groupby_sequences(train, groupby_col="user_id", sort_col="timestamp")


def in_spark(source: str, output: Path, core: int, memory: str) -> dict[str, float]:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", memory)
    quiet = builder.config("spark.sql.shuffle.partitions", "8").config("spark.ui.enabled", "false")
    spark = quiet.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    started = time.monotonic()
    parts = dict(zip(("test", "sequences"), prepared(spark.read.parquet(source).select(*COLUMNS), core), strict=True))
    for name, rows in parts.items():
        rows.write.parquet(str(output / name))
    return {"seconds": time.monotonic() - started}


def in_polars(source: str, output: Path, core: int) -> dict[str, float]:
    import polars as pl

    for name in ("test", "sequences"):
        (output / name).mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    test, sequences = prepared(pl.read_parquet(f"{source}/*.parquet", columns=COLUMNS), core)
    test.write_parquet(output / "test" / "0.parquet")
    sequences.write_parquet(output / "sequences" / "0.parquet")
    return {"seconds": time.monotonic() - started}


if __name__ == "__main__":
    engine, source_folder, output_folder, least = sys.argv[1:5]
    if engine == "spark":
        found = in_spark(source_folder, Path(output_folder), int(least), sys.argv[5])
    else:
        found = in_polars(source_folder, Path(output_folder), int(least))
    sys.stdout.write(json.dumps({"stages": [{"stage": engine, **found}]}) + "\n")
