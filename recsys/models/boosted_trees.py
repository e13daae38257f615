"""Gradient-boosted trees (Friedman 2001) as flat arrays: what Spark's end as.

A node's children are 2 n + 1 and 2 n + 2; a branch that ends early goes on to the left, to a leaf of the last level.
Shapes: B batch, I id inputs, F numeric inputs, T trees, N nodes of a tree.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from recsys.manifest import Inputs


@dataclass(frozen=True, kw_only=True)
class BoostedTreesConfig:
    """See conf/models/gradient_boosted_trees.yaml for the meaning of each key."""

    trees: int
    depth: int
    step: float
    row_share: float
    bins: int
    leaf_rows: int

    def __post_init__(self) -> None:
        if not (self.trees >= 1 and 1 <= self.depth <= 12 and self.bins >= 2 and self.leaf_rows >= 1):
            raise ConfigError(
                "gradient_boosted_trees: trees and leaf_rows must be at least 1, bins at least 2 and depth from 1 to "
                f"12, got {self}"
            )
        if not (0 < self.step <= 1 and 0 < self.row_share <= 1):
            got = f"{self.step} and {self.row_share}"
            raise ConfigError(f"gradient_boosted_trees: step and row_share must be above 0 and up to 1, got {got}")


class BoostedTrees(nn.Module):
    """Fitted elsewhere: its trees are buffers, 0 until loaded. Takes the numbers as they are; ids say nothing to it."""

    feature_TN: Tensor
    threshold_TN: Tensor
    value_TN: Tensor

    def __init__(self, config: BoostedTreesConfig, inputs: Inputs) -> None:  # noqa: ARG002  # as every network of features
        super().__init__()
        self.depth = config.depth
        shape = (config.trees, nodes_of(config.depth))
        self.register_buffer("feature_TN", torch.zeros(shape, dtype=torch.int64))
        # In 64 bits, as they were found: a rounded border may lie on its other side's numbers.
        self.register_buffer("threshold_TN", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("value_TN", torch.zeros(shape, dtype=torch.float64))

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:  # noqa: ARG002  # as every network of features
        tree_T = torch.arange(len(self.feature_TN), device=numeric_BF.device)
        node_BT = torch.zeros(len(numeric_BF), len(tree_T), dtype=torch.int64, device=numeric_BF.device)
        for _ in range(self.depth):
            number_BT = numeric_BF.gather(1, self.feature_TN[tree_T, node_BT]).double()
            node_BT = 2 * node_BT + 1 + (number_BT > self.threshold_TN[tree_T, node_BT])
        return self.value_TN[tree_T, node_BT].sum(dim=1).float()


def nodes_of(depth: int) -> int:
    """Of a tree with all of its levels full."""
    nodes: int = 2 ** (depth + 1) - 1
    return nodes
