"""Parquet files of who took what before a day, for the training workers; written without the driver seeing a row.

They lie at `<lake.root>/interaction_files/<run_date>/{train,validation}/<bucket>.parquet`, a user's rows together.
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
_ITEMS = "items"
_VECTORS = "vector_files"
_FACTS = "fact_files"
_INPUTS = "input_files"


@dataclass(frozen=True, kw_only=True)
class InteractionFiles:
    """Row groups relative to `folder`, by split."""

    folder: str
    train: tuple[RowGroup, ...]
    validation: tuple[RowGroup, ...]


def write_interaction_files(
    lake: Lake, run_date: date, train: DataFrame, validation: DataFrame, *, row_groups: int
) -> InteractionFiles:
    """Both have user_idx and what else a row holds: a pair's item_idx, or a sequence. Replaces the files of that date.

    The rows of a file and their order follow from the rows alone.
    """
    folder = _folder_of(lake, run_date)
    Files(lake.spark).delete(folder)
    written = (
        _write(lake, f"{folder}/{c.TRAIN}", train, row_groups),
        _write(lake, f"{folder}/{c.VALIDATION}", validation, row_groups),
    )
    return InteractionFiles(folder=folder, train=written[0], validation=written[1])


def write_item_files(
    lake: Lake, run_date: date, items: DataFrame, *, row_groups: int
) -> tuple[str, tuple[RowGroup, ...]]:
    """A folder and its row groups of `items`, which has item_idx; beside the other files of that date."""
    folder = _folder_of(lake, run_date)
    Files(lake.spark).delete(f"{folder}/{_ITEMS}")
    return folder, _write(lake, f"{folder}/{_ITEMS}", items, row_groups, key=c.ITEM_IDX)


def write_node_files(
    lake: Lake, run_date: date, kind: str, nodes: DataFrame, *, row_groups: int
) -> tuple[RowGroup, ...]:
    """Row groups of `nodes`, which has `idx`, in the folder of write_interaction_files, beside its files."""
    return _write(lake, f"{_folder_of(lake, run_date)}/{kind}", nodes, row_groups, key=c.IDX)


def write_start_files(lake: Lake, folder: str, items: DataFrame) -> tuple[str, ...]:
    """The files of item_idx, category_idx and item_words in the folder."""
    return _parquet(lake, items.select(c.ITEM_IDX, c.CATEGORY_IDX, c.ITEM_WORDS), folder)


def write_vector_files(lake: Lake, as_of: date, vectors: DataFrame) -> tuple[str, ...]:
    """The files of item_idx and `vector`, for the executors that rank; replaces those of the day."""
    return _parquet(lake, vectors, f"{lake.root}/{_VECTORS}/{as_of.isoformat()}")


def write_factor_files(lake: Lake, run_date: date, key: str, vectors: DataFrame) -> tuple[str, ...]:
    """The files of `key` and `vector` that a training of that date gave; beside its other files."""
    return _parquet(lake, vectors.select(key, c.VECTOR), f"{_folder_of(lake, run_date)}/{key}")


def keep_checkpoints(lake: Lake, run_date: date) -> None:
    """Spark's own, of fits that go on for many iterations: beside the other files of that date."""
    lake.spark.sparkContext.setCheckpointDir(f"{_folder_of(lake, run_date)}/checkpoints")


def write_fact_files(lake: Lake, as_of: date, facts: DataFrame) -> tuple[str, ...]:
    """The files of recsys/scoring/item_facts.py, for the executors; replaces those of the day."""
    return _parquet(lake, facts, f"{lake.root}/{_FACTS}/{as_of.isoformat()}")


def write_input_files(lake: Lake, as_of: date, kind: str, rows: DataFrame) -> tuple[str, ...]:
    """The files of what networks take of items, for the executors; replaces those of the day and kind."""
    return _parquet(lake, rows, f"{lake.root}/{_INPUTS}/{as_of.isoformat()}/{kind}")


def delete_vector_files(lake: Lake) -> None:
    """And those of facts and of inputs."""
    for folder in (_VECTORS, _FACTS, _INPUTS):
        Files(lake.spark).delete(f"{lake.root}/{folder}")


def delete_interaction_files(lake: Lake, run_date: date) -> None:
    Files(lake.spark).delete(_folder_of(lake, run_date))


def _folder_of(lake: Lake, run_date: date) -> str:
    return f"{lake.root}/interaction_files/{run_date.isoformat()}"


def _parquet(lake: Lake, rows: DataFrame, folder: str) -> tuple[str, ...]:
    files = Files(lake.spark)
    rows.write.mode("overwrite").parquet(folder)
    return tuple(f"{folder}/{name}" for name in files.names(folder) if name.endswith(".parquet"))


def _write(lake: Lake, folder: str, rows: DataFrame, row_groups: int, *, key: str = c.USER_IDX) -> tuple[RowGroup, ...]:
    hashed = F.xxhash64(key, F.lit(_SALT))
    bucketed = rows.withColumn(_BUCKET, F.pmod(hashed, F.lit(row_groups)).cast("int")).repartition(_BUCKET)
    in_order = bucketed.sortWithinPartitions(_BUCKET, hashed, key, *rows.drop(key).columns)
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
