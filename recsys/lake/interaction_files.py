"""Parquet files of who took what before a day, for the training workers; written without the driver seeing a pair.

They lie at `<lake.root>/interaction_files/<run_date>/{train,validation}/<bucket>.parquet`, a user's pairs together.
"""

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.lake.files import Files
from recsys.lake.store import Lake
from recsys.manifest import RowGroup

_BUCKET = "bucket"
_SALT = "interactions-v1"


@dataclass(frozen=True, kw_only=True)
class InteractionFiles:
    """Row groups relative to `folder`, by split."""

    folder: str
    train: tuple[RowGroup, ...]
    validation: tuple[RowGroup, ...]


def write_interaction_files(
    lake: Lake, run_date: date, train: DataFrame, validation: DataFrame, *, row_groups: int
) -> InteractionFiles:
    """Both have user_idx and item_idx, a pair once. Replaces the files of that date.

    The rows of a file and their order follow from the pairs alone.
    """
    folder = f"{lake.root}/interaction_files/{run_date.isoformat()}"
    Files(lake.spark).delete(folder)
    written = (
        _write(lake, f"{folder}/{c.TRAIN}", train, row_groups),
        _write(lake, f"{folder}/{c.VALIDATION}", validation, row_groups),
    )
    return InteractionFiles(folder=folder, train=written[0], validation=written[1])


def delete_interaction_files(lake: Lake, run_date: date) -> None:
    Files(lake.spark).delete(f"{lake.root}/interaction_files/{run_date.isoformat()}")


def _write(lake: Lake, folder: str, pairs: DataFrame, row_groups: int) -> tuple[RowGroup, ...]:
    bucket = F.pmod(F.xxhash64(c.USER_IDX, F.lit(_SALT)), F.lit(row_groups)).cast("int")
    rows = pairs.select(c.USER_IDX, c.ITEM_IDX, bucket.alias(_BUCKET)).repartition(_BUCKET)
    in_order = rows.sortWithinPartitions(_BUCKET, F.xxhash64(c.USER_IDX, F.lit(_SALT)), c.USER_IDX, c.ITEM_IDX)
    unfinished = f"{folder}.writing"
    in_order.write.partitionBy(_BUCKET).option("maxRecordsPerFile", 0).parquet(unfinished)
    files = Files(lake.spark)
    # By the folders' names: a split without pairs has no files, and so no schema to read.
    names = [name for name in files.names(unfinished) if name.startswith(f"{_BUCKET}=")]
    counted = lake.spark.read.parquet(unfinished).groupBy(_BUCKET).count().collect() if names else []
    groups = tuple(
        RowGroup(file=_plain_name(files, unfinished, folder, row[_BUCKET]), rows=row["count"])
        for row in sorted(counted, key=lambda row: int(row[_BUCKET]))
    )
    files.delete(unfinished)
    return groups


def _plain_name(files: Files, unfinished: str, folder: str, number: int) -> str:
    source = f"{unfinished}/{_BUCKET}={number}"
    (part,) = (name for name in files.names(source) if name.startswith("part-"))
    split = folder.rpartition("/")[2]
    files.move(f"{source}/{part}", f"{folder}/{number:05d}.parquet")
    return f"{split}/{number:05d}.parquet"
