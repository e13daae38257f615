"""Ranks items by the product of their vectors with the users', both made before. Shapes: B users, I items, X either,
D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from recsys import columns as c
from recsys.models.approximate_top import top_by
from recsys.models.evidence import by_vectors
from recsys.models.exact_top import BLOCK_USERS, Flags, Score64
from recsys.models.interactions import Indexes, Scores
from recsys.search_by import EXACTLY, SearchBy
from recsys.training.recommenders import cut_or_filled, flag_at


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

    def evidence(self, asked_BD: Scores, taken_BH: Indexes, item_BK: Indexes) -> tuple[Indexes, NDArray[np.float64]]:
        """See by_vectors."""
        return taken_BH, by_vectors(asked_BD, self.item_ID, taken_BH, item_BK)

    def among(self, allowed_I: Flags) -> Callable[..., tuple[Indexes, Score64]]:
        """See ExactTop.top; of the allowed items that have a vector."""
        return top_by(self.item_ID, self.known_I & cut_or_filled(allowed_I, len(self.known_I)), self.by).top


def load_ranker(urls: Sequence[str]) -> VectorRanker:
    """From Parquet files of item_idx and `vector`, lists of one length. Uses one thread of the CPU."""
    torch.set_num_threads(1)
    item_ID, known_I = read_vectors(urls, c.ITEM_IDX)
    return VectorRanker(item_ID=item_ID, known_I=known_I)


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
