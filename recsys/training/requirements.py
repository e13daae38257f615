"""What is looked at before any worker starts: does the network fit into memory, do the files hold what is planned."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import fsspec
import psutil
import pyarrow.parquet as pq
import torch

from recsys import columns as c
from recsys.config import TrainConfig
from recsys.errors import ConfigError, InputError, SchemaError
from recsys.families import FACTORS
from recsys.manifest import Inputs, Manifest, RowGroup, Vocabulary
from recsys.models.registry import Spec
from recsys.training.batches import file_urls
from recsys.training.optimization import OPTIMIZER_COPIES
from recsys.training.transfer import shapes_of_factors

_MB = 1 << 20
_READERS = 8
_REBUILD = "Cure: run build_examples again for this run date"


def require_memory(
    spec: Spec, learned_from: Any, vocabularies: Mapping[str, int], config: TrainConfig, tables_mb: float = 0
) -> None:
    """Raises ConfigError where weights, gradients, optimizer and the best epoch's copy are more than is allowed.

    `learned_from`: see Kind; of a model of interactions the vocabularies suffice. `tables_mb`: of tables that a network
    only reads, such as vectors of texts.
    """
    weights_mb = (
        _weights_mb_of_factors(spec, vocabularies) if spec.family == FACTORS else _weights_mb(spec, learned_from)
    )
    needed_mb = weights_mb * (3 + OPTIMIZER_COPIES[config.optimizer]) + tables_mb
    free_mb = psutil.virtual_memory().available // _MB // config.workers
    allowed_mb = config.worker_memory_mb or free_mb
    if needed_mb <= allowed_mb:
        return
    rows = ", ".join(f"{name} {size:,}" for name, size in vocabularies.items())
    of_text = f"; {tables_mb:,.0f} MiB of it are for text vectors (none: text_vectors: false)" if tables_mb else ""
    whose = "train.worker_memory_mb" if config.worker_memory_mb else "its share of this machine's free memory"
    raise ConfigError(
        f"the parameters of {spec.name} take {weights_mb:,.0f} MiB (vocabularies: {rows}), and a worker needs "
        f"{needed_mb:,.0f} MiB for them, their gradients, {config.optimizer}'s state and the best epoch{of_text}; "
        f"it may need {allowed_mb:,} MiB ({whose}). Cure: smaller dimensions in conf/models/{spec.name}.yaml, fewer "
        "train.workers on a machine, train.optimizer=sgd, or more train.worker_memory_mb where the workers' "
        "machines have it"
    )


def _weights_mb(spec: Spec, learned_from: Any) -> float:
    with torch.device("meta"):  # shapes without memory
        network: torch.nn.Module = spec.build(learned_from)
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters()) / _MB


def _weights_mb_of_factors(spec: Spec, vocabularies: Mapping[str, int]) -> float:
    """Building the network would fit its start and its teacher."""
    return sum(math.prod(shape) for shape in shapes_of_factors(spec, vocabularies)) * torch.float32.itemsize / _MB


@dataclass(frozen=True, kw_only=True)
class _Footer:
    """What a Parquet file says of itself; `largest` by id column, None where the writer left it out."""

    rows: int
    columns: set[str]
    largest: dict[str, int | None]


def require_files(folder: str, manifest: Manifest) -> None:
    """From the files' footers. Raises InputError or SchemaError for a file that does not hold what is planned."""
    to_rank = manifest.ranking.row_groups
    groups = [*manifest.train.row_groups, *manifest.validation.row_groups, *to_rank]
    names = [vocabulary.name for vocabulary in manifest.inputs.ids]
    with ThreadPoolExecutor(_READERS) as pool:
        footers = pool.map(lambda url: _footer(url, names), file_urls(folder, groups))
        for group, footer in zip(groups, footers, strict=True):
            _require_columns(folder, group, footer, manifest.inputs, (c.NUM_RELEVANT,) if group in to_rank else ())
            _require_rows(folder, group, footer)
            _require_known_ids(folder, group, footer, manifest.inputs.ids)


def _footer(url: str, id_names: Sequence[str]) -> _Footer:
    try:
        with fsspec.open(url, "rb") as file:
            metadata = pq.read_metadata(file)
    except OSError as error:
        raise InputError(f"the example file {url} cannot be read: {error}. {_REBUILD}") from error
    columns = metadata.schema.names
    found = {name: _largest(metadata, columns.index(name)) for name in id_names if name in columns}
    # By the whole schema: the leaf of a list is named otherwise.
    return _Footer(rows=metadata.num_rows, columns=set(metadata.schema.to_arrow_schema().names), largest=found)


def _largest(metadata: pq.FileMetaData, position: int) -> int | None:
    columns = [metadata.row_group(number).column(position) for number in range(metadata.num_row_groups)]
    values = [column.statistics.max for column in columns if column.statistics and column.statistics.has_min_max]
    return max(values, default=None)


def _require_columns(folder: str, group: RowGroup, footer: _Footer, inputs: Inputs, beside: Sequence[str] = ()) -> None:
    ids, numbers = inputs.columns
    needed = [*ids, *numbers, c.LABEL, *beside]
    missing = [name for name in needed if name not in footer.columns]
    if missing:
        raise SchemaError(f"{folder}/{group.file} lacks {missing}; it has {sorted(footer.columns)}. {_REBUILD}")


def _require_rows(folder: str, group: RowGroup, footer: _Footer) -> None:
    if footer.rows != group.rows:
        raise InputError(
            f"{folder}/{group.file} has {footer.rows} rows where the manifest plans {group.rows}. {_REBUILD}"
        )


def _require_known_ids(folder: str, group: RowGroup, footer: _Footer, vocabularies: Sequence[Vocabulary]) -> None:
    for vocabulary in vocabularies:
        largest = footer.largest[vocabulary.name]
        if largest is not None and largest >= vocabulary.size:
            raise InputError(
                f"{folder}/{group.file} has {vocabulary.name} up to {largest}, outside the vocabulary of "
                f"{vocabulary.size} (0 to {vocabulary.size - 1}; -1 for unknown). {_REBUILD}"
            )
