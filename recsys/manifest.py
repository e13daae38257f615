"""What a set of example files holds, for those who train: row groups, inputs, statistics, versions. No framework."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from recsys import catalog
from recsys.config import build_section
from recsys.errors import ConfigError, SchemaError

FILE_NAME = "manifest.json"
FORMAT = 2
_REBUILD = "Cure: run build_examples again for this run date"


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """One file of the set, its path relative to the manifest."""

    file: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class RowGroups:
    """In the order of their hash bucket."""

    row_groups: tuple[RowGroup, ...] = ()

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.row_groups)


@dataclass(frozen=True, kw_only=True)
class SplitFiles(RowGroups):
    """`positives` of their rows have label 1."""

    positives: int


@dataclass(frozen=True, kw_only=True)
class RankingFiles(RowGroups):
    """All candidates of users who bought something in the validation window; those of a user lie in one row group, side
    by side, in the order of the items' ids.

    `users`: how many they are, those too who have no candidates.
    """

    users: int = 0


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """An id input: its indexes run from 0 to `size` - 1; anything else is unknown."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class NumericInput:
    """A numeric input: mean and standard deviation of the train rows, after the transform."""

    name: str
    transform: str
    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All a network must know of its inputs, in the order of the tensors' columns.

    `left_out`: inputs of the catalogue that need what the log does not tell (recsys.catalog.numeric_inputs).
    `neighbours`: length of the lists catalog.NEIGHBOUR_INPUTS that stand beside them; 0: there are none.
    """

    ids: tuple[Vocabulary, ...]
    numeric: tuple[NumericInput, ...]
    left_out: tuple[str, ...] = ()
    neighbours: int = 0

    @property
    def numeric_names(self) -> tuple[str, ...]:
        return tuple(numeric.name for numeric in self.numeric)

    @property
    def columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of a batch's ids and of its numbers, in their order; a list has as many columns as it is long."""
        ids, weights = (catalog.NEIGHBOUR_IDS, catalog.NEIGHBOUR_WEIGHTS) if self.neighbours else ((), ())
        return (*(i.name for i in self.ids), *ids), (*self.numeric_names, *weights)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`versions`: the Delta version of each table that the examples came from, examples.pairs among them."""

    run_date: str
    inputs: Inputs
    train: SplitFiles
    validation: SplitFiles
    versions: dict[str, int]
    ranking: RankingFiles = RankingFiles()

    @property
    def hash(self) -> str:
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_json(manifest: Manifest) -> str:
    return json.dumps({"format": FORMAT, "hash": manifest.hash, **dataclasses.asdict(manifest)}, indent=1) + "\n"


def from_json(text: str, where: str) -> Manifest:
    """Raises SchemaError where the text is not a whole manifest of this format and of today's catalogue."""
    data = _parsed(text, where)
    found_format, found_hash = data.pop("format", None), data.pop("hash", None)
    if found_format != FORMAT:
        raise SchemaError(f"{where} has format {found_format}, expected {FORMAT}. {_REBUILD}")
    try:
        manifest = build_section(Manifest, data, where)
    except ConfigError as error:
        raise SchemaError(f"{where} is not a manifest: {error}. {_REBUILD}") from error
    if manifest.hash != found_hash:
        raise SchemaError(
            f"{where} was changed: it says hash {found_hash}, its content has {manifest.hash}. {_REBUILD}"
        )
    require_catalog(manifest.inputs, where, cure=_REBUILD)
    return manifest


def inputs_from(data: dict[str, Any], where: str) -> Inputs:
    return build_section(Inputs, data, where)


def require_catalog(inputs: Inputs, where: str, cure: str) -> None:
    """Raises SchemaError unless inputs and those left out are the catalogue's, with its transforms, in its order."""
    left_out = [(name, "left out") for name in inputs.left_out]
    found = [*((i.name, "id") for i in inputs.ids), *((n.name, n.transform) for n in inputs.numeric), *left_out]
    may_lack = [f for f in catalog.NUMERIC_INPUTS if f.needs and f.name in inputs.left_out]
    expected = [
        *((i.name, "id") for i in catalog.ID_INPUTS),
        *((f.name, f.transform) for f in catalog.NUMERIC_INPUTS if f not in may_lack),
        *((f.name, "left out") for f in may_lack),
    ]
    if found == expected:
        return
    lacks = [entry for entry in expected if entry not in found]
    extra = [entry for entry in found if entry not in expected]
    difference = f"it lacks {lacks} and has {extra} too many" if lacks or extra else "their order differs"
    raise SchemaError(f"{where} has other model inputs than recsys/catalog.py: {difference}. {cure}")


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise SchemaError(f"{where} is not JSON: {error}. {_REBUILD}") from error
    if not isinstance(data, dict):
        raise SchemaError(f"{where} must hold an object, found {type(data).__name__}. {_REBUILD}")
    return data
