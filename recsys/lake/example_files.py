"""Parquet files of one version of examples.pairs for the training workers: row groups of rows mixed by hash.

They lie at
`<lake.root>/example_files/<run_date>/v<version>-<hash of settings>/{train,validation,ranking}/<bucket>.parquet`;
`manifest.json`, written last, says that a set is whole. They are no part of a Delta table, so that VACUUM takes none of
them from a training; only the next build_examples of the date does, which is refused while a training has the lake.
"""

import hashlib
import json
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import catalog, manifest, tables
from recsys import columns as c
from recsys.errors import InputError
from recsys.lake.files import Files
from recsys.lake.store import Lake
from recsys.manifest import Inputs, Manifest, NumericInput, RankingFiles, RowGroup, SplitFiles, Vocabulary

logger = logging.getLogger(__name__)

_BUCKET = "bucket"
_INPUT_NAMES = tuple(model_input.name for model_input in catalog.MODEL_INPUTS)
# Sums of whole numbers do not depend on their order, sums of floating-point numbers do: values are summed in units
# of 1e-8. Of squares up to 500 (log1p of 5e9) a bucket may hold 180 million rows before 64 bits are full; Spark
# would raise.
_UNITS = 1e8


@dataclass(frozen=True, kw_only=True)
class ExampleFiles:
    """A whole set; the manifest's files are relative to `folder`."""

    folder: str
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """`beside` adds lists of `size` neighbours to examples, see recsys/examples/neighbourhoods.py."""

    size: int
    beside: Callable[[DataFrame], DataFrame]


@dataclass(frozen=True, kw_only=True)
class RankingRows:
    """Rows as those of examples.pairs, with `num_relevant` and a key that a user's rows have in common; see
    RankingFiles."""

    rows: DataFrame
    users: int


def write_example_files(  # noqa: PLR0913  # what a set is made of
    lake: Lake,
    run_date: date,
    version: int,
    *,
    row_groups: int,
    versions: Mapping[str, int],
    taken: Sequence[catalog.Feature] = catalog.NUMERIC_INPUTS,
    neighbours: Neighbours | None = None,
    ranking: RankingRows | None = None,
) -> ExampleFiles:
    """Writes the examples of `run_date` in one version of examples.pairs, and beside them what is to be ranked; older
    sets of that date are deleted.

    Models take the inputs `taken`, the manifest says, and leave out the others, which are constant. The rows of a file
    and their order follow from example_key alone. Raises InputError without train rows.
    """
    files = Files(lake.spark)
    folder = f"{_folder_of(lake, run_date)}/v{version}-{_settings_hash(row_groups, neighbours)}"
    files.delete(folder)
    examples = lake.read(tables.EXAMPLES, version).where(F.col(c.RUN_DATE) == F.lit(run_date))
    if ranking:
        examples = examples.unionByName(ranking.rows, allowMissingColumns=True)
    _write_buckets(neighbours.beside(examples) if neighbours else examples, folder, row_groups)
    written = lake.spark.read.parquet(folder)
    inputs = replace(_inputs(lake, written, run_date, taken), neighbours=neighbours.size if neighbours else 0)
    splits = _splits(files, folder, written)  # moves what is read until here
    contents = Manifest(
        run_date=run_date.isoformat(),
        inputs=inputs,
        versions={**versions, tables.EXAMPLES.name: version},
        train=splits[c.TRAIN],
        validation=splits[c.VALIDATION],
        ranking=RankingFiles(row_groups=splits[c.RANKING].row_groups, users=ranking.users if ranking else 0),
    )
    files.write_text(f"{folder}/{manifest.FILE_NAME}", manifest.to_json(contents))
    _delete_other_sets(files, lake, run_date, keep=folder)
    logger.info("wrote %d row groups to %s", len(contents.train.row_groups), folder)
    return ExampleFiles(folder=folder, manifest=contents)


def newest_example_files(lake: Lake, run_date: date) -> ExampleFiles:
    """The set of the newest version. Raises InputError where there is none."""
    files = Files(lake.spark)
    parent = _folder_of(lake, run_date)
    whole = [name for name in files.names(parent) if files.exists(f"{parent}/{name}/{manifest.FILE_NAME}")]
    if not whole:
        raise InputError(
            f"no example files for {run_date} in {parent}. Cure: run build_examples with the same --lake and --run-date"
        )
    folder = f"{parent}/{max(whole, key=_version_of)}"
    path = f"{folder}/{manifest.FILE_NAME}"
    return ExampleFiles(folder=folder, manifest=manifest.from_json(files.read_text(path), path))


def _folder_of(lake: Lake, run_date: date) -> str:
    return f"{lake.root}/example_files/{run_date.isoformat()}"


def _settings_hash(row_groups: int, neighbours: Neighbours | None) -> str:
    settings = {"row_groups": row_groups, "inputs": _INPUT_NAMES, "format": manifest.FORMAT}
    if neighbours:
        settings["neighbours"] = neighbours.size
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]


def _version_of(name: str) -> int:
    found = re.match(r"v(\d+)-", name)
    return int(found.group(1)) if found else -1


def _write_buckets(examples: DataFrame, folder: str, row_groups: int) -> None:
    """One file, and so one row group, a split and bucket: all its rows pass through one task, sorted."""
    bucket = F.pmod(c.EXAMPLE_KEY, F.lit(row_groups)).cast("int")
    beside = [name for name in (c.NUM_RELEVANT, *catalog.NEIGHBOUR_INPUTS) if name in examples.columns]
    rows = examples.withColumn(_BUCKET, bucket).repartition(c.SPLIT, _BUCKET)
    in_order = rows.sortWithinPartitions(c.SPLIT, _BUCKET, c.EXAMPLE_KEY, c.USER_ID, c.ITEM_ID)
    kept = in_order.select(c.SPLIT, _BUCKET, c.EXAMPLE_KEY, c.LABEL, c.LOG_PROBABILITY, *_INPUT_NAMES, *beside)
    kept.write.partitionBy(c.SPLIT, _BUCKET).option("maxRecordsPerFile", 0).parquet(folder)


def _splits(files: Files, folder: str, written: DataFrame) -> dict[str, SplitFiles]:
    """Counts what was written and gives the files plain names."""
    counted = (
        written.groupBy(c.SPLIT, _BUCKET)
        .agg(F.count("*").alias(c.ROWS), F.count_if(F.col(c.LABEL) > 0).alias(c.LABEL))
        .collect()
    )
    found: dict[str, SplitFiles] = {}
    for split in (c.TRAIN, c.VALIDATION, c.RANKING):
        of_split = sorted((row for row in counted if row[c.SPLIT] == split), key=lambda row: row[_BUCKET])
        groups = tuple(
            RowGroup(file=_plain_name(files, folder, split, row[_BUCKET]), rows=row[c.ROWS]) for row in of_split
        )
        found[split] = SplitFiles(row_groups=groups, positives=sum(row[c.LABEL] for row in of_split))
        files.delete(f"{folder}/{c.SPLIT}={split}")
    return found


def _plain_name(files: Files, folder: str, split: str, bucket: int) -> str:
    source = f"{folder}/{c.SPLIT}={split}/{_BUCKET}={bucket}"
    (part,) = (name for name in files.names(source) if name.startswith("part-"))
    target = f"{split}/{bucket:05d}.parquet"
    files.move(f"{source}/{part}", f"{folder}/{target}")
    return target


def _delete_other_sets(files: Files, lake: Lake, run_date: date, keep: str) -> None:
    parent = _folder_of(lake, run_date)
    for name in files.names(parent):
        if f"{parent}/{name}" != keep:
            files.delete(f"{parent}/{name}")


def _inputs(lake: Lake, written: DataFrame, run_date: date, taken: Sequence[catalog.Feature]) -> Inputs:
    train_rows = written.where(F.col(c.SPLIT) == c.TRAIN)
    return Inputs(
        ids=_vocabularies(lake),
        numeric=_statistics(train_rows, run_date, taken),
        left_out=tuple(f.name for f in catalog.NUMERIC_INPUTS if f not in taken),
    )


def _vocabularies(lake: Lake) -> tuple[Vocabulary, ...]:
    id_tables = {c.USER_IDX: tables.USER_IDS, c.ITEM_IDX: tables.ITEM_IDS, c.CATEGORY_IDX: tables.CATEGORY_IDS}
    sizes = []
    for id_input in catalog.ID_INPUTS:
        largest = lake.read(id_tables[id_input.name]).agg(F.max(id_input.name).alias("largest")).first()
        known = largest is not None and largest["largest"] is not None
        sizes.append(Vocabulary(name=id_input.name, size=largest["largest"] + 1 if known and largest else 0))
    return tuple(sizes)


def _statistics(train_rows: DataFrame, run_date: date, features: Sequence[catalog.Feature]) -> tuple[NumericInput, ...]:
    """Mean and standard deviation after the transform, to the same bit under any partitioning."""
    sums = [_units(_transformed(f.name, f.transform)).alias(f"{f.name}_sum") for f in features]
    squares = [_units(_transformed(f.name, f.transform) ** 2).alias(f"{f.name}_squares") for f in features]
    per_bucket = train_rows.groupBy(_BUCKET).agg(F.count("*").alias(c.ROWS), *sums, *squares).collect()
    rows = sum(row[c.ROWS] for row in per_bucket)
    if rows == 0:
        raise InputError(
            f"no train examples for {run_date}: no candidate was bought in a train label window. Cure: a run date "
            "with more events before it, more examples.train_windows, a longer examples.label_days or larger candidates"
        )
    return tuple(_statistics_of(f, per_bucket, rows) for f in features)


def _statistics_of(feature: catalog.Feature, per_bucket: list[Any], rows: int) -> NumericInput:
    mean = sum(row[f"{feature.name}_sum"] for row in per_bucket) / rows / _UNITS
    mean_square = sum(row[f"{feature.name}_squares"] for row in per_bucket) / rows / _UNITS
    return NumericInput(
        name=feature.name,
        transform=feature.transform,
        mean=mean,
        std=math.sqrt(max(mean_square - mean**2, 0.0)),
    )


def _transformed(name: str, transform: str) -> Column:
    """As recsys/models/inputs.py does it for tensors."""
    value = F.col(name).cast("double")
    return F.log1p(F.greatest(value, F.lit(0.0))) if transform == "log1p" else value


def _units(value: Column) -> Column:
    return F.sum(F.rint(value * _UNITS).cast("bigint"))
