"""A trained network of histories as a folder without pickled code, and the ranker that executors load from it.

`weights.pt` (tensors only), `histories.json` and `items.npz`, which says what items the training saw.
Shapes: B users asked, L places of a history, I items, K list length, P pairs.
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recsys import columns as c
from recsys.models.approximate_top import top_by
from recsys.models.evidence import NONE, num_there
from recsys.models.exact_top import BLOCK_USERS, Flags, Score64
from recsys.models.interactions import Indexes, Scores
from recsys.models.registry import Spec, model_spec
from recsys.models.sequences import NO_ITEM, SequenceNetwork
from recsys.search_by import EXACTLY, SearchBy
from recsys.training.description import FORMAT, read_description
from recsys.training.export import WEIGHTS
from recsys.training.in_blocks import in_blocks
from recsys.training.recommenders import cut_or_filled, flag_at

DESCRIPTION = "histories.json"
ITEMS = "items.npz"
_KNOWN = "known_I"


def save_history_model(folder: Path, spec: Spec, state: bytes, known_I: Flags) -> None:
    """`state` comes from state_bytes; `known_I`: items that the training saw, by their index in the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(state)
    np.savez(folder / ITEMS, **{_KNOWN: known_I})
    description = {"format": FORMAT, "model": spec.name, "config": dataclasses.asdict(spec.config)}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class HistoryRanker:
    """Asked with histories, filled up with NO_ITEM at their end; items that training never saw do not count.

    `history`: items that the network looks back.
    """

    network: SequenceNetwork
    known_I: Flags
    history: int
    by: SearchBy = EXACTLY

    block_users = BLOCK_USERS

    def knows(self, asked_BL: Indexes) -> Flags:
        """(B,): the history has an item that the model knows."""
        known_B: Flags = flag_at(self.known_I, asked_BL - 1).any(axis=1)
        return known_B

    def knows_item(self, item_idx_P: Indexes) -> Flags:
        return flag_at(self.known_I, item_idx_P)

    def among(self, allowed_I: Flags) -> Callable[..., tuple[Indexes, Score64]]:
        """See ExactTop.top; asked with histories, of the allowed items that the training saw."""
        ranked = top_by(self.item_vectors, self.known_I & cut_or_filled(allowed_I, len(self.known_I)), self.by)
        return lambda asked_BL, left_out, k: ranked.top(self._states(asked_BL), left_out, k)

    def num_taken(self, asked_BL: Indexes, taken_BH: Indexes) -> Indexes:  # noqa: ARG002  # as other rankers are asked
        return num_there(taken_BH)

    def evidence(self, asked_BL: Indexes, taken_BH: Indexes, item_BK: Indexes) -> tuple[Indexes, NDArray[np.float64]]:
        """By how much each score (B, K) falls where all events of one of the items `taken_BH` are taken out of the
        history, (B, K, H): the network is asked again without them. Without an item left the score is 0."""
        is_there_BK1 = (item_BK != NONE)[:, :, None]
        item_BKD = self.item_vectors[np.where(item_BK != NONE, item_BK, 0)] * is_there_BK1
        state_BD = self._states(asked_BL)
        contribution_BKH = np.zeros((*item_BK.shape, taken_BH.shape[1]))
        for at, taken_B in enumerate(taken_BH.T):
            rest_BL = np.where((asked_BL == taken_B[:, None] + 1) & (taken_B != NONE)[:, None], NO_ITEM, asked_BL)
            rest_BD = self._states(rest_BL) * self.knows(rest_BL)[:, None]
            difference_BD = (state_BD - rest_BD).astype(np.float64) * (taken_B != NONE)[:, None]
            contribution_BKH[:, :, at] = np.einsum("bd,bkd->bk", difference_BD, item_BKD)
        return taken_BH, contribution_BKH

    def score_pairs(self, asked_PL: Indexes, item_idx_P: Indexes) -> NDArray[np.float64]:
        """(P,): nan where the history or the item is not known."""
        score_P = np.full(len(item_idx_P), np.nan)
        known_P = self.knows(asked_PL) & self.knows_item(item_idx_P)
        if known_P.any():
            state_PD, item_PD = self._states(asked_PL[known_P]), self.item_vectors[item_idx_P[known_P]]
            score_P[known_P] = (state_PD * item_PD).sum(axis=1)
        return score_P

    def _states(self, asked_BL: Indexes) -> Scores:
        return in_blocks(_moved_up(np.where(flag_at(self.known_I, asked_BL - 1), asked_BL, NO_ITEM)), self._state_block)

    @torch.no_grad()
    def _state_block(self, history_BL: NDArray[Any]) -> Scores:
        state_BD: Scores = self.network.whole_states(torch.from_numpy(history_BL)).numpy()
        return state_BD

    @property
    def item_vectors(self) -> Scores:
        """(I, D)."""
        vectors: Scores = self.network.item_vectors.weight.detach()[1:].numpy()
        return vectors


def load_ranker(folder: str | Path) -> HistoryRanker:
    """Uses one thread of the CPU. Raises InputError where there is none, SchemaError where it has another format."""
    torch.set_num_threads(1)
    path = Path(folder) / DESCRIPTION
    description = read_description(
        path, what="model of histories", cure="run the train job", cure_of_format="train the model again"
    )
    # allow_pickle and weights_only: files that hold anything but numbers are refused instead of run.
    with np.load(Path(folder) / ITEMS) as arrays:
        known_I = arrays[_KNOWN]
    spec = model_spec(description["model"], description["config"])
    network: SequenceNetwork = spec.build(len(known_I))
    # Mapped: the items' vectors, 4 bytes a number, are in memory once a node.
    weights = torch.load(Path(folder) / WEIGHTS, map_location="cpu", weights_only=True, mmap=True)
    network.load_state_dict(weights, assign=True)
    return HistoryRanker(network=network.eval(), known_I=known_I, history=spec.config.history)


class PyfuncRanker:
    """What MLflow's generic loader expects: predict on a pandas DataFrame of sequence and item_idx.

    A sequence may have any length: item_idx + 1 of what the user took, oldest first.
    """

    def __init__(self, ranker: HistoryRanker) -> None:
        self._ranker = ranker

    def predict(self, model_input: Any, params: Any = None) -> NDArray[np.float64]:  # noqa: ARG002  # MLflow's signature
        asked_PL = np.zeros((len(model_input), self._ranker.history), dtype=np.int64)
        for row, sequence in enumerate(model_input[c.SEQUENCE]):
            newest = np.asarray(sequence)[-self._ranker.history :]
            asked_PL[row, : len(newest)] = newest
        return self._ranker.score_pairs(asked_PL, model_input[c.ITEM_IDX].to_numpy())


def _load_pyfunc(data_path: str) -> PyfuncRanker:
    return PyfuncRanker(load_ranker(data_path))


def _moved_up(history_BL: Indexes) -> Indexes:
    """Items in their order, without NO_ITEM between them."""
    moved: Indexes = np.take_along_axis(history_BL, np.argsort(history_BL == NO_ITEM, axis=1, kind="stable"), axis=1)
    return moved
