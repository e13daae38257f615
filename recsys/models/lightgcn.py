"""LightGCN (He et al. 2020): vectors are means over layers of the graph's smoothing. Shapes: see factors.py."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from recsys.errors import ConfigError
from recsys.models.factors import RankedConfig
from recsys.models.interactions import Matrix, normalized
from recsys.models.mf import RankedNetwork


@dataclass(frozen=True, kw_only=True)
class LightGcnConfig(RankedConfig):
    """See conf/models/lightgcn.yaml for the meaning of each key."""

    layers: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 1:
            raise ConfigError(f"lightgcn.layers must be at least 1 (mf has none), got {self.layers}")


class Edges(nn.Module):
    """The normalised adjacency of users and items, constant."""

    edges_UI: Tensor
    edges_IU: Tensor

    def __init__(self, matrix_UI: Matrix) -> None:
        super().__init__()
        normalized_UI = normalized(matrix_UI)
        # Both directions stand ready: a transposed product of a sparse matrix is slow.
        self.register_buffer("edges_UI", _sparse(normalized_UI), persistent=False)
        self.register_buffer("edges_IU", _sparse(normalized_UI.T.tocsr()), persistent=False)

    def to_users(self, item_ID: Tensor) -> Tensor:
        """(U, D): of each user, the weighted sum of its items' vectors."""
        return _product(self.edges_UI, self.edges_IU, item_ID)

    def to_items(self, user_UD: Tensor) -> Tensor:
        return _product(self.edges_IU, self.edges_UI, user_UD)


class LightGcn(RankedNetwork):
    def __init__(self, config: LightGcnConfig, matrix_UI: Matrix) -> None:
        super().__init__(config, matrix_UI)
        self.layers = config.layers
        self.edges = Edges(matrix_UI)

    def unscaled(self) -> tuple[Tensor, Tensor]:
        user_UD: Tensor = self.user_UD
        item_ID: Tensor = self.item_ID
        user_sum_UD, item_sum_ID = user_UD, item_ID
        for _ in range(self.layers):
            user_UD, item_ID = self.edges.to_users(item_ID), self.edges.to_items(user_UD)
            user_sum_UD, item_sum_ID = user_sum_UD + user_UD, item_sum_ID + item_ID
        return user_sum_UD / (self.layers + 1), item_sum_ID / (self.layers + 1)


class _Product(torch.autograd.Function):
    """A constant sparse matrix by a dense one, with the transposed matrix given for the way back."""

    @staticmethod
    def forward(ctx: FunctionCtx, matrix: Tensor, transposed: Tensor, dense: Tensor) -> Tensor:
        ctx.transposed = transposed  # type: ignore[attr-defined]  # save_for_backward refuses no sparse tensor, but copies
        return matrix @ dense

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transposed @ gradients[0]  # type: ignore[attr-defined]


def _product(matrix: Tensor, transposed: Tensor, dense: Tensor) -> Tensor:
    # In 32-bit numbers whatever the precision: sparse products have no others everywhere.
    with torch.autocast(dense.device.type, enabled=False):
        result: Tensor = _Product.apply(matrix, transposed, dense.float())  # type: ignore[no-untyped-call]  # torch leaves it so
    return result


def _sparse(matrix: Matrix) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its sparse rows a beta
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr),
            torch.from_numpy(matrix.indices),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=True,
        )
