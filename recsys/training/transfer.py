"""Starts a network from an earlier version of the same model: ids that it knew keep their vectors.

Indexes of ids are dense and only ever appended, so a row means what it meant before. Vectors of newer items begin at
those of known items with the most similar words, where none has a word in common as the mean of the known ones of their
category, all other new vectors as the mean of all known ones.
Shapes: X rows of a table, D embedding, I items, W words of an item, N new items.
"""

import functools
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from recsys import columns as c
from recsys.errors import ConfigError, InputError
from recsys.families import FACTORS, HISTORIES
from recsys.manifest import Inputs, inputs_from
from recsys.models.interactions import Indexes, interaction_matrix
from recsys.models.nodes import NO_CATEGORY, edges_alone
from recsys.models.registry import Spec
from recsys.training.checkpoint import Folder
from recsys.training.description import read_description
from recsys.training.export import DESCRIPTION, WEIGHTS
from recsys.training.history_ranker import DESCRIPTION as HISTORIES_OF
from recsys.training.recommenders import DESCRIPTION as RECOMMENDER
from recsys.training.text_neighbours import shares_of_known

logger = logging.getLogger(__name__)

_NOTHING = np.empty(0, dtype=np.int64)
_CURE = "Cure: train.start_from of a version that was trained with these settings, or train.start_from=null"


class Table(NamedTuple):
    """A parameter with a row for each id, behind `before` rows that stand for none."""

    vocabulary: str
    before: int


@dataclass(frozen=True, kw_only=True)
class Start:
    """`folder` holds the earlier weights, for every worker; `items`: files of item_idx, category_idx and item_words."""

    folder: str
    items: tuple[str, ...]


class Items(NamedTuple):
    """By item index: -1 for no category, 0 for no word; items beyond either have none."""

    category_I: Indexes
    words_IW: Indexes


# As recsys/models/inputs.py, factors.py, sequences.py and their users name them.
_TABLES = (
    (re.compile(r"(embeddings\.tables|wide\.weights)\.0\.weight$"), Table(c.USER_IDX, 1)),
    (re.compile(r"(embeddings\.tables|wide\.weights)\.1\.weight$"), Table(c.ITEM_IDX, 1)),
    (re.compile(r"(embeddings\.tables|wide\.weights)\.2\.weight$"), Table(c.CATEGORY_IDX, 1)),
    (re.compile(r"(^|_)user_UD$"), Table(c.USER_IDX, 0)),
    (re.compile(r"(^|_)item_ID$"), Table(c.ITEM_IDX, 0)),
    (re.compile(r"^of_category\.weight$"), Table(c.CATEGORY_IDX, 1)),
    (re.compile(r"^item_vectors\.weight$"), Table(c.ITEM_IDX, 1)),
)


def table_of(parameter: str) -> Table | None:
    """None for a parameter that has no rows of ids."""
    return next((table for pattern, table in _TABLES if pattern.search(parameter)), None)


def require_startable(folder: Path, spec: Spec, sizes: Mapping[str, int], inputs: Inputs | None = None) -> None:
    """Raises ConfigError or InputError unless the exported model fits; reads names and shapes alone.

    `sizes`: of today's vocabularies; `inputs`: of a model of features.
    """
    description = _description(folder)
    if description["model"] != spec.name:
        raise ConfigError(f"train.start_from names a model {description['model']}, expected {spec.name}. {_CURE}")
    if inputs is not None:
        _require_columns(inputs_from(description["inputs"], str(folder)), inputs)
    saved = _read(folder / WEIGHTS)
    _require_shapes({name: tuple(tensor.shape) for name, tensor in saved.items()}, _outline(spec, inputs), sizes)


def copy_weights(folder: Path, target: str) -> None:
    """From an exported model into a folder that workers reach."""
    copies = Folder(target)
    if WEIGHTS in copies.names():  # of a training that broke
        copies.delete(WEIGHTS)
    with (folder / WEIGHTS).open("rb") as source:
        copies.write(WEIGHTS, lambda file: shutil.copyfileobj(source, file))


def started(start: Start | None, network: nn.Module) -> nn.Module:
    """The network, its parameters taken from the earlier one; buffers, such as statistics of inputs, are today's."""
    if start is None:
        return network
    with Folder(start.folder).open(WEIGHTS) as file:
        saved = torch.load(file, map_location="cpu", weights_only=True)
    take_over(network, saved, _items(start.items))
    return network


@torch.no_grad()
def take_over(network: nn.Module, saved: Mapping[str, Tensor], items: Items) -> None:
    """In place; `items`: today's."""
    shares_of = functools.cache(functools.partial(_shares, items))
    for name, parameter in network.named_parameters():
        table, known_XD = table_of(name), saved[name]
        if known_XD.shape == parameter.shape:
            parameter.copy_(known_XD)
        elif table is None or table.vocabulary != c.ITEM_IDX:
            parameter.copy_(grown(known_XD, len(parameter), _NOTHING, table.before if table is not None else 0))
        else:
            shares = shares_of(len(known_XD) - table.before)
            parameter.copy_(grown(known_XD, len(parameter), items.category_I, table.before, shares))


def _shares(items: Items, known: int) -> Any:
    shares_NX = shares_of_known(items.words_IW, known)
    by_words = int((np.diff(shares_NX.indptr) > 0).sum())
    logger.info("items that the earlier version did not know: %d, of which %d begin by their words, the others by "
                "their category or as the mean of all", max(len(items.category_I) - known, 0), by_words)  # fmt: skip
    return shares_NX


def grown(known_XD: Tensor, size: int, group_I: Indexes, before: int, shares_NX: Any = None) -> Tensor:
    """`size` rows: the known ones, then for each new id the mean of known ids by its shares, where it has some, else
    that of the known ids of its group, else of all.

    `before`: rows that stand for no id; `shares_NX`: see shares_of_known. Means are taken in 64-bit numbers.
    """
    ids_XD = known_XD[before:].double()
    group_X = torch.full((size - before,), NO_CATEGORY)
    given = torch.from_numpy(group_I[: size - before])
    group_X[: len(given)] = given
    old_X, new_X = group_X[: len(ids_XD)], group_X[len(ids_XD) :]
    mean_D = ids_XD.mean(dim=0) if len(ids_XD) else torch.zeros(known_XD.shape[1], dtype=torch.float64)
    # Group 0 is that of the ids without one.
    groups = int(group_X.max()) + 2 if len(group_X) else 1
    sums_GD = torch.zeros(groups, known_XD.shape[1], dtype=torch.float64).index_add_(0, old_X + 1, ids_XD)
    counts_G = torch.bincount(old_X + 1, minlength=groups)
    means_GD = torch.where(counts_G[:, None] > 0, sums_GD / counts_G.clamp_min(1)[:, None], mean_D)
    means_GD[0] = mean_D
    start_ND = means_GD[new_X + 1]
    if shares_NX is not None:
        with_words = np.flatnonzero(np.diff(shares_NX.indptr[: len(start_ND) + 1]))
        start_ND[with_words] = torch.from_numpy(shares_NX[with_words] @ ids_XD.numpy())
    return torch.cat([known_XD, start_ND.to(known_XD.dtype)])


def _description(folder: Path) -> dict[str, Any]:
    name = next((name for name in (DESCRIPTION, RECOMMENDER, HISTORIES_OF) if (folder / name).is_file()), DESCRIPTION)
    cure = "train.start_from of a version of a network of features, of interactions or of histories"
    description = read_description(folder / name, what="exported network", cure=cure, cure_of_format=cure)
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"train.start_from names a version without {WEIGHTS}. Cure: train that version again, or {cure}"
        )
    return description


def _require_columns(found: Inputs, expected: Inputs) -> None:
    found_names, expected_names = (
        [*(name for names in inputs.columns for name in names), f"{inputs.neighbours} neighbours"]
        for inputs in (found, expected)
    )
    if found_names != expected_names:
        lacks = [name for name in expected_names if name not in found_names]
        extra = [name for name in found_names if name not in expected_names]
        difference = f"it lacks {lacks} and has {extra} too many" if lacks or extra else "their order differs"
        raise ConfigError(
            f"train.start_from names a version with other columns than the example files: {difference}. {_CURE}"
        )


def _require_shapes(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], sizes: Mapping[str, int]
) -> None:
    for name, shape in expected.items():
        table = table_of(name)
        if name not in found or found[name][table is not None :] != shape[table is not None :]:
            what = "the width of its vectors" if table is not None else "its shape"
            raise ConfigError(
                f"train.start_from names a version whose {name} is {found.get(name)}, expected {shape}, where {what} "
                f"counts. {_CURE}"
            )
        if table is not None:
            _require_grown(found[name][0] - table.before, table.vocabulary, sizes)


def _require_grown(known: int, vocabulary: str, sizes: Mapping[str, int]) -> None:
    if known > sizes[vocabulary]:
        raise InputError(
            f"train.start_from names a version that knows {known} values of {vocabulary}, expected at most the "
            f"{sizes[vocabulary]} of this lake: indexes are only ever appended, so it comes from another lake. {_CURE}"
        )


def shapes_of_factors(spec: Spec, sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Of the parameters of a model of interactions with such vocabularies, without making them."""
    shapes = ((table_of(name), shape) for name, shape in _outline(spec, None).items())
    return [
        shape if table is None else (sizes.get(table.vocabulary, 0) + table.before, *shape[1:])
        for table, shape in shapes
    ]


def _outline(spec: Spec, inputs: Inputs | None) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters of the smallest network of these settings."""
    changes: dict[str, Any] = {"initial": "random"} if spec.family == FACTORS else {}
    if getattr(spec.config, "teacher", None) is not None:
        changes["teacher"] = None
    network: nn.Module = replace(spec, config=replace(spec.config, **changes)).build(_smallest(spec, inputs))
    return {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}


def _smallest(spec: Spec, inputs: Inputs | None) -> Any:
    """What a model of its kind is built from: see Kind."""
    if inputs is not None:
        return replace(inputs, ids=tuple(replace(vocabulary, size=1) for vocabulary in inputs.ids))
    if spec.family == HISTORIES:
        return 1
    both = np.arange(2)
    matrix = interaction_matrix(both, both, users=2, items=2)
    return edges_alone(matrix) if spec.reads_nodes else matrix


def _read(file: Path) -> dict[str, Tensor]:
    """Names and shapes; what they hold stays on the disk. Anything but tensors is refused instead of run."""
    saved: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return saved


def _items(urls: Sequence[str]) -> Items:
    whole = pa.concat_tables([_table(url) for url in urls])
    idx, words = whole.column(c.ITEM_IDX).to_numpy(), whole.column(c.ITEM_WORDS).combine_chunks()
    size, num_words = int(idx.max(initial=-1)) + 1, len(words.flatten()) // max(len(words), 1)
    category_I, words_IW = np.full(size, NO_CATEGORY), np.zeros((size, num_words), dtype=np.int64)
    category_I[idx] = whole.column(c.CATEGORY_IDX).to_numpy()
    words_IW[idx] = words.flatten().to_numpy().reshape(len(words), num_words)
    return Items(category_I, words_IW)


def _table(url: str) -> "pq.Table":
    with fsspec.open(url, "rb") as file:
        return pq.read_table(file)
