"""Ranks items by the product of their vectors with the users', both made before. Shapes: B users, I items, X either,
D width.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from recsys import columns as c
from recsys.models.approximate_top import top_by
from recsys.models.evidence import by_vectors, num_there
from recsys.models.exact_top import BLOCK_USERS, Flags, Score64
from recsys.models.interactions import Indexes, Scores
from recsys.search_by import EXACTLY, SearchBy
from recsys.training.recommenders import cut_or_filled, flag_at, mapped


@dataclass(frozen=True, kw_only=True)
class VectorRanker:
    """Asked with vectors of users. `known_I`: items that have a vector."""

    item_ID: Scores
    known_I: Flags
    by: SearchBy = EXACTLY

    block_users = BLOCK_USERS

    def knows(self, asked_BD: Scores) -> Flags:
        return np.ones(len(asked_BD), dtype=np.bool_)

    def knows_item(self, item_idx_P: Indexes) -> Flags:
        return flag_at(self.known_I, item_idx_P)

    @property
    def item_vectors(self) -> Scores:
        return self.item_ID

    def num_taken(self, asked_BD: Scores, taken_BH: Indexes) -> Indexes:  # noqa: ARG002  # as other rankers are asked
        return num_there(taken_BH)

    def evidence(self, asked_BD: Scores, taken_BH: Indexes, item_BK: Indexes) -> tuple[Indexes, NDArray[np.float64]]:
        """See by_vectors."""
        return taken_BH, by_vectors(asked_BD, self.item_ID, taken_BH, item_BK)

    def among(self, allowed_I: Flags) -> Callable[..., tuple[Indexes, Score64]]:
        """See ExactTop.top; of the allowed items that have a vector."""
        return top_by(self.item_ID, self.known_I & cut_or_filled(allowed_I, len(self.known_I)), self.by).top


def load_ranker(urls: Sequence[str], folder: Path) -> VectorRanker:
    """From Parquet files of item_idx and `vector`, lists of one length. Uses one thread of the CPU.

    The vectors, 4 bytes a number, and a flag an item are mapped from files in `folder`, which the processes of a node
    have in common: the first of them writes these. A URL names the same rows for good.
    """
    torch.set_num_threads(1)
    of_urls = hashlib.sha256("\n".join(urls).encode()).hexdigest()[:32]
    vectors, known = folder / f"{of_urls}-vectors.npy", folder / f"{of_urls}-known.npy"
    if not known.is_file():
        item_ID, known_I = read_vectors(urls, c.ITEM_IDX)
        _write(vectors, item_ID)
        _write(known, known_I)
    return VectorRanker(item_ID=mapped(vectors), known_I=mapped(known))


def _write(file: Path, array: NDArray[Any]) -> None:
    """Whole or not at all: another process may write the same at the same time."""
    own = file.with_name(f"{os.getpid()}-{file.name}")
    np.save(own, array, allow_pickle=False)
    own.replace(file)


def read_vectors(urls: Sequence[str], key: str) -> tuple[Scores, Flags]:
    """By the index `key` of Parquet files with it and `vector`: the vectors, zeros where there is none; who has one."""
    tables = [_read(url) for url in urls]
    idx = np.concatenate([table.column(key).to_numpy() for table in tables])
    vectors = np.concatenate([column.values.to_numpy() for table in tables for column in table.column(c.VECTOR).chunks])
    size = int(idx.max()) + 1
    vector_XD = np.zeros((size, len(vectors) // len(idx)), dtype=np.float32)
    vector_XD[idx] = vectors.reshape(len(idx), -1)
    known_X = np.zeros(size, dtype=np.bool_)
    known_X[idx] = True
    return vector_XD, known_X


def _read(url: str) -> "pq.Table":
    with fsspec.open(url, "rb") as file:
        return pq.read_table(file)
