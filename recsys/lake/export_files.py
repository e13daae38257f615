"""Files of an export: `<folder>/<number>/<format>/`, and `manifest.json`, which is written last: without it the export
is not whole."""

import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import JSON_LINES, KEY_VALUE, PARQUET
from recsys.lake.files import Files
from recsys.lake.store import Lake
from recsys.tables import EXPORTS

MANIFEST = "manifest.json"


def write_export(folder: str, records: DataFrame, pairs: DataFrame, formats: tuple[str, ...]) -> None:
    """`pairs`: key, value and shard. Key-value files are lines of key and value parted by a tab, in the order of the
    keys, in a folder a shard; a line without a value takes the key away."""
    if PARQUET in formats:
        records.write.mode("overwrite").parquet(f"{folder}/{PARQUET}")
    if JSON_LINES in formats:
        records.write.mode("overwrite").json(f"{folder}/{JSON_LINES}")
    if KEY_VALUE in formats:
        sorted_pairs = pairs.repartition(c.SHARD).sortWithinPartitions(c.SHARD, c.KEY)
        lines = sorted_pairs.select(c.SHARD, F.concat_ws("\t", c.KEY, c.VALUE).alias("line"))
        lines.write.mode("overwrite").partitionBy(c.SHARD).text(f"{folder}/{KEY_VALUE}")


def write_manifest(lake: Lake, folder: str, told: Mapping[str, Any]) -> None:
    Files(lake.spark).write_text(f"{folder}/{MANIFEST}", json.dumps(told, indent=1) + "\n")


def clear(lake: Lake, folder: str) -> None:
    """Of what an export that broke off has left."""
    Files(lake.spark).delete(folder)


def last_export(lake: Lake) -> Row | None:
    """Of ops.exports; None before the first."""
    return lake.read(EXPORTS).orderBy(F.desc(c.EXPORT_NUMBER)).first() if lake.exists(EXPORTS) else None
