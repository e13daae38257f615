"""A fitted recommender as a folder without pickled code, `arrays/` and `recommender.json`; and how it is asked.

Each array is a file that is mapped into memory, so that all processes of a node share what they read of it. Of vectors
of D numbers a user and an item take 4 D + 1 bytes there each, of a history 8 bytes a user and each item in it.
Shapes: U users, I items, B users asked, K list length, P pairs.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from recsys import columns as c
from recsys.errors import ConfigError
from recsys.models.approximate_top import top_by
from recsys.models.ease import Ease
from recsys.models.evidence import NONE, by_vectors, num_there, rows_of
from recsys.models.exact_top import BLOCK_USERS, Flags
from recsys.models.factors import FactorScores
from recsys.models.graph_filter import GraphFilter
from recsys.models.interactions import Indexes, Known, Recommender, Scores
from recsys.models.neighbours import ItemKnn
from recsys.models.rank_all import top_items
from recsys.models.registry import MODELS
from recsys.search_by import EXACTLY, SearchBy
from recsys.training.description import FORMAT, read_description
from recsys.training.export import WEIGHTS

ARRAYS = "arrays"
_NPY = ".npy"
_OLD_ARRAYS = "arrays.npz"  # of models that were saved until November 2026: each process reads all of it
DESCRIPTION = "recommender.json"
# How its training is recorded for MLflow.
RANKER_RECORD = {"loader": __name__, "inputs": {c.USER_IDX: "long", c.ITEM_IDX: "long"}}
_PARTS = ("data", "indices", "indptr", "shape")
_KNOWN_USERS = "known_user_U"
_KNOWN_ITEMS = "known_item_I"
# Of these a score is the sum of what items of the user's history add.
_ADDING_UP = (Ease, ItemKnn, GraphFilter)
# A block of users by all items in 32-bit numbers: 128 MiB.
_BLOCK_SCORES = 1 << 25


def save_recommender(folder: Path, name: str, recommender: Recommender, known: Known, state: bytes = b"") -> None:
    """`state`: that of the network which made it, from state_bytes, for a training that starts from it."""
    (folder / ARRAYS).mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {_KNOWN_USERS: known.user_U, _KNOWN_ITEMS: known.item_I}
    for field in dataclasses.fields(recommender):  # type: ignore[arg-type]  # every Recommender is a dataclass
        value = getattr(recommender, field.name)
        arrays |= _parts(field.name, value) if sparse.issparse(value) else {field.name: value}
    for array_name, array in arrays.items():
        np.save(folder / ARRAYS / f"{array_name}{_NPY}", array, allow_pickle=False)
    if state:
        (folder / WEIGHTS).write_bytes(state)
    description = {"format": FORMAT, "model": name}
    (folder / DESCRIPTION).write_text(json.dumps(description) + "\n", encoding="utf-8")


def load_recommender(folder: Path) -> tuple[Recommender, Known]:
    """Raises InputError where there is none, SchemaError where it has another format."""
    path = folder / DESCRIPTION
    description = read_description(
        path, what="recommender", cure="save one there first", cure_of_format="fit the model again"
    )
    arrays = _arrays_in(folder)
    names = {name.partition(".")[0] for name in arrays} - {_KNOWN_USERS, _KNOWN_ITEMS}
    fields = {name: _whole(name, arrays) for name in sorted(names)}
    known = Known(user_U=arrays[_KNOWN_USERS], item_I=arrays[_KNOWN_ITEMS])
    recommender: Recommender = MODELS[description["model"]].fitted(**fields)
    return recommender, known


def _arrays_in(folder: Path) -> dict[str, NDArray[Any]]:
    # allow_pickle: a file that holds anything but numbers is refused instead of run.
    if (folder / _OLD_ARRAYS).is_file():
        with np.load(folder / _OLD_ARRAYS, allow_pickle=False) as arrays:
            return dict(arrays)
    files = sorted((folder / ARRAYS).glob(f"*{_NPY}"))
    return {file.name.removesuffix(_NPY): mapped(file) for file in files}


def mapped(file: Path) -> NDArray[Any]:
    """An array that stays in the file, whose pages all processes of the node share. Who writes to it has an own copy of
    the page: torch warns of arrays that cannot be written to."""
    array: NDArray[Any] = np.load(file, mmap_mode="c", allow_pickle=False)
    return array


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """A recommender that ranks all items, as executors ask it: with indexes of users."""

    recommender: Recommender
    known: Known
    by: SearchBy = EXACTLY

    @property
    def block_users(self) -> int:
        if isinstance(self.recommender, FactorScores):
            return BLOCK_USERS
        return max(_BLOCK_SCORES // max(len(self.known.item_I), 1), 1)

    def knows(self, user_idx_B: Indexes) -> Flags:
        """(B,): false also for indexes beyond those that it was trained with."""
        return flag_at(self.known.user_U, user_idx_B)

    def knows_item(self, item_idx_P: Indexes) -> Flags:
        return flag_at(self.known.item_I, item_idx_P)

    def among(self, allowed_I: Flags) -> Callable[..., tuple[Indexes, NDArray[np.floating[Any]]]]:
        """Of the allowed items that the model knows: by their vectors where it has some, else by all its scores."""
        known_I = self.known.item_I & cut_or_filled(allowed_I, len(self.known.item_I))
        if not isinstance(self.recommender, FactorScores):
            return functools.partial(self._of_all_scores, known_I)
        vectors, ranked = self.recommender, top_by(self.recommender.item_ID, known_I, self.by)
        return lambda user_idx_B, left_out, k: ranked.top(vectors.user_UD[user_idx_B], left_out, k)

    def _of_all_scores(
        self, known_I: Flags, user_idx_B: Indexes, left_out: tuple[Indexes, Indexes], k: int
    ) -> tuple[Indexes, Scores]:
        scores_BI = self.recommender.scores(user_idx_B)
        scores_BI[:, ~known_I] = -np.inf
        row, item_idx = left_out
        is_there = item_idx < len(known_I)
        scores_BI[row[is_there], item_idx[is_there]] = -np.inf
        top_BK = top_items(scores_BI, k)
        return top_BK, np.take_along_axis(scores_BI, top_BK, axis=1)

    def num_taken(self, user_idx_B: Indexes, taken_BH: Indexes) -> Indexes:
        """(B,): how many items `evidence` tells of, at most."""
        if isinstance(self.recommender, FactorScores):
            return num_there(taken_BH)
        if not isinstance(self.recommender, _ADDING_UP):
            return np.zeros(len(user_idx_B), dtype=np.int64)
        count_B: Indexes = np.diff(self.recommender.history_UI.indptr)[user_idx_B].astype(np.int64)
        return count_B

    def evidence(self, user_idx_B: Indexes, taken_BH: Indexes, item_BK: Indexes) -> tuple[Indexes, NDArray[np.float64]]:
        """What each score owes to what the user took: items (B, H) and contributions (B, K, H); NONE fills rows up.

        Of a model that adds up the items it learned of the user, exactly what each adds; there `taken_BH` does not
        count. Of vectors see by_vectors. Other models tell nothing: H is 0.
        """
        if isinstance(self.recommender, FactorScores):
            vectors = self.recommender
            taken_BH = np.where(self.knows_item(taken_BH), taken_BH, NONE)
            return taken_BH, by_vectors(vectors.user_UD[user_idx_B], vectors.item_ID, taken_BH, item_BK)
        if not isinstance(self.recommender, _ADDING_UP):
            return taken_BH[:, :0], np.zeros((*item_BK.shape, 0))
        history_UI = self.recommender.history_UI
        own_BH = rows_of(history_UI.indptr, history_UI.indices, user_idx_B)
        row_P, place_P, at_P = np.nonzero((item_BK != NONE)[:, :, None] & (own_BH != NONE)[:, None, :])
        contribution_BKH = np.zeros((*item_BK.shape, own_BH.shape[1]))
        weight_P = self.recommender.weights(own_BH[row_P, at_P], item_BK[row_P, place_P])
        contribution_BKH[row_P, place_P, at_P] = weight_P
        return own_BH, contribution_BKH

    @property
    def item_vectors(self) -> Scores:
        """(I, D). Raises ConfigError for a model whose scores are no products of vectors."""
        if not isinstance(self.recommender, FactorScores):
            raise ConfigError(
                f"{type(self.recommender).__name__} has no vectors of items; set score.diversity_by to category"
            )
        return self.recommender.item_ID

    def score_pairs(self, user_idx_P: Indexes, item_idx_P: Indexes) -> NDArray[np.float64]:
        """(P,): nan where the user or the item is not known."""
        score_P = np.full(len(user_idx_P), np.nan)
        known_P = self.knows(user_idx_P) & self.knows_item(item_idx_P)
        for user in np.unique(user_idx_P[known_P]):
            own_P = known_P & (user_idx_P == user)
            score_P[own_P] = self.recommender.scores(np.array([user]))[0, item_idx_P[own_P]]
        return score_P


def load_ranker(folder: str | Path) -> Ranker:
    """Uses one thread of the CPU."""
    torch.set_num_threads(1)
    recommender, known = load_recommender(Path(folder))
    return Ranker(recommender=recommender, known=known)


class PyfuncRanker:
    """What MLflow's generic loader expects: predict on a pandas DataFrame of user_idx and item_idx."""

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker

    def predict(self, model_input: Any, params: Any = None) -> NDArray[np.float64]:  # noqa: ARG002  # MLflow's signature
        columns: Mapping[str, Any] = model_input
        return self._ranker.score_pairs(columns[c.USER_IDX].to_numpy(), columns[c.ITEM_IDX].to_numpy())


def _load_pyfunc(data_path: str) -> PyfuncRanker:
    return PyfuncRanker(load_ranker(data_path))


def flag_at(flags: Flags, idx: Indexes) -> Flags:
    is_inside = (idx >= 0) & (idx < len(flags))
    found: Flags = is_inside & flags[np.where(is_inside, idx, 0)]
    return found


def cut_or_filled(flags: Flags, length: int) -> Flags:
    """With False for what came after the model was trained."""
    return np.pad(flags[:length], (0, max(length - len(flags), 0)))


def _parts(name: str, matrix: Any) -> dict[str, Any]:
    return {f"{name}.{part}": np.asarray(getattr(matrix, part)) for part in _PARTS}


def _whole(name: str, arrays: Any) -> Any:
    if name in arrays:
        return arrays[name]
    data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in _PARTS)
    return sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))
