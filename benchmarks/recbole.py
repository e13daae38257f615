"""RecBole's side of a training: files for it, a run in its own environment, its vectors ranked by our code."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.processes import run_measured
from benchmarks.splits import POSITION, Pairs, Split
from recsys import columns as c
from recsys.models.factors import FactorScores
from recsys.models.histories import histories_of, newest
from recsys.models.interactions import interaction_matrix
from recsys.models.rank_all import metric_sums
from recsys.training.sequences import split_last, sums_of_ranks, target_ranks

PEER_SCRIPT = "benchmarks/peers/recbole_training.py"
_BLOCK_USERS = 512
_COLUMNS = {c.USER_ID: "user_id:token", c.ITEM_ID: "item_id:token", POSITION: "timestamp:float"}


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """`seconds` of training alone; `ndcg`: on the tuning split, after it."""

    seconds: float
    interactions: int
    ndcg: float


@dataclass(frozen=True, kw_only=True)
class Side:
    """`start_s`: what comes before the first step, beside reading: graph, vectors' first values."""

    start_s: float
    epochs: tuple[Epoch, ...]

    @property
    def interactions_per_s(self) -> float:
        return sum(epoch.interactions for epoch in self.epochs) / sum(epoch.seconds for epoch in self.epochs)

    @property
    def best(self) -> float:
        return max(epoch.ndcg for epoch in self.epochs)

    def seconds_to(self, ndcg: float) -> float:
        """From the start until the end of the first epoch that reaches it; infinite where none does."""
        seconds = self.start_s + np.cumsum([epoch.seconds for epoch in self.epochs])
        reached = [epoch.ndcg >= ndcg for epoch in self.epochs]
        return float(seconds[reached.index(True)]) if any(reached) else float("inf")


def trained_by_recbole(
    model: str, python: str, folder: Path, settings: Mapping[str, Any], ranked: Callable[[FactorScores], float]
) -> Side:
    """`folder`/data holds its files, `settings` are those of PEER_SCRIPT; `ranked`: the NDCG of an epoch's vectors."""
    output, given = folder / "recbole", json.dumps(settings)
    output.mkdir()
    stages = run_measured([PEER_SCRIPT, model, str(folder / "data"), str(output), given], python=python).stages
    return side_of(stages, [ranked(_vectors(output, number)) for number in range(1, len(stages))])


def side_of(stages: list[dict[str, Any]], ndcg: list[float]) -> Side:
    """The first stage is the start, every other one an epoch."""
    start, *epochs = stages
    if start["stage"] != "start" or not epochs or len(epochs) != len(ndcg):
        found = f"{[stage['stage'] for stage in stages]} and {len(ndcg)} figures"
        raise SystemExit(f"a training must tell its start, then one or more epochs with a figure each; found {found}")
    return Side(
        start_s=start["seconds"],
        epochs=tuple(
            Epoch(seconds=epoch["seconds"], interactions=epoch["interactions"], ndcg=value)
            for epoch, value in zip(epochs, ndcg, strict=True)
        ),
    )


def write_pairs(folder: Path, train: Pairs, held_out: Pairs) -> None:
    (folder / "data").mkdir()
    for name, (user, item) in (("train", train), ("valid", held_out)):
        _write(folder / "data" / f"data.{name}.inter", {c.USER_ID: user, c.ITEM_ID: item})


def write_sequences(folder: Path, split: Split) -> None:
    """Whole sequences, oldest first: RecBole holds the last two items of each user out, and learns from what we learn
    from."""
    (folder / "data").mkdir()
    user, item = (np.concatenate(parts) for parts in zip(split.train, split.others[0], strict=True))
    _write(folder / "data" / "data.inter", {c.USER_ID: user, c.ITEM_ID: item, POSITION: np.arange(len(user))})


def _write(file: Path, columns: Mapping[str, Any]) -> None:
    pd.DataFrame(columns).rename(columns=_COLUMNS).to_csv(file, sep="\t", index=False)


def _vectors(output: Path, epoch: int) -> FactorScores:
    user_UD, item_ID = (np.load(output / f"{kind}-{epoch}.npy") for kind in ("users", "items"))
    return FactorScores(user_UD=user_UD, item_ID=item_ID)


def ndcg_of_pairs(vectors: FactorScores, split: Split, *, k: int) -> float:
    """As PairTask's validation: of all items but the user's train items, the mean over users with held-out ones."""
    seen_UI, truth_UI = (
        interaction_matrix(*pairs, users=split.users, items=split.items) for pairs in (split.train, split.others[0])
    )
    users = np.flatnonzero(np.diff(truth_UI.indptr))
    return float(metric_sums(vectors, seen_UI, truth_UI, users, k=k, metrics=["ndcg"])[0]) / len(users)


def ndcg_of_sequences(vectors: FactorScores, split: Split, *, history: int) -> float:
    """As SequenceTask's validation: the rank of each user's last train item among all items not before it."""
    taken = histories_of(*split.train, users=split.users)
    users = np.flatnonzero(np.diff(taken.start_U) > 1)
    rows_US = newest(taken, history + 1)
    ndcg = 0.0
    for first in range(0, len(users), _BLOCK_USERS):
        user_idx_B = users[first : first + _BLOCK_USERS]
        history_BL, target_B = split_last(torch.from_numpy(rows_US[user_idx_B]))
        score_BI = torch.from_numpy(vectors.scores(user_idx_B))
        ndcg += float(sums_of_ranks(target_ranks(score_BI, history_BL, target_B))[1])
    return ndcg / len(users)
