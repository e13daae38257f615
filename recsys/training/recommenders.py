"""A fitted recommender as a folder without pickled code: `arrays.npz` and `recommender.json`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from recsys.errors import InputError, SchemaError
from recsys.models.interaction_registry import recommender_class
from recsys.models.interactions import Recommender

ARRAYS = "arrays.npz"
DESCRIPTION = "recommender.json"
_FORMAT = 1
_PARTS = ("data", "indices", "indptr", "shape")


def save_recommender(folder: Path, name: str, recommender: Recommender) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for field in dataclasses.fields(recommender):  # type: ignore[arg-type]  # every Recommender is a dataclass
        value = getattr(recommender, field.name)
        arrays |= _parts(field.name, value) if sparse.issparse(value) else {field.name: value}
    np.savez(folder / ARRAYS, **arrays)
    description = {"format": _FORMAT, "model": name}
    (folder / DESCRIPTION).write_text(json.dumps(description) + "\n", encoding="utf-8")


def load_recommender(folder: Path) -> Recommender:
    """Raises InputError where there is none, SchemaError where it has another format."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise InputError(f"no recommender in {folder}: {DESCRIPTION} is missing. Cure: save one there first")
    description = json.loads(path.read_text(encoding="utf-8"))
    if description.get("format") != _FORMAT:
        found = description.get("format")
        raise SchemaError(f"{path} has format {found}, expected {_FORMAT}. Cure: fit the model again")
    # allow_pickle stays off: a file that holds anything but numbers is refused instead of run.
    with np.load(folder / ARRAYS) as arrays:
        names = sorted({name.partition(".")[0] for name in arrays})
        fields = {name: _whole(name, arrays) for name in names}
    recommender: Recommender = recommender_class(description["model"])(**fields)
    return recommender


def _parts(name: str, matrix: Any) -> dict[str, Any]:
    return {f"{name}.{part}": np.asarray(getattr(matrix, part)) for part in _PARTS}


def _whole(name: str, arrays: Any) -> Any:
    if name in arrays:
        return arrays[name]
    data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in _PARTS)
    return sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))
