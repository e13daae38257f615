"""Files that Spark has written, read whole by the processes on the executors."""

from collections.abc import Sequence

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq


def read_files(files: Sequence[str]) -> pa.Table:
    return pa.concat_tables([_read(file) for file in files])


def _read(file: str) -> pa.Table:
    with fsspec.open(file, "rb") as opened:
        return pq.read_table(opened)
