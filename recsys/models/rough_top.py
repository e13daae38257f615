"""Items of high product with each user's vector, by 16-bit numbers, which some processors multiply many times as fast.

The best of groups of items are found first, then the best groups' items: item `p * G + g` of a tile is the one at place
`p` of group `g`. Shapes: B users of a block, T items of a tile and zeros after them, G groups, S found, D embedding.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.models.interactions import Indexes, Scores

# Scores of so many users and a tile of 65,536 items are 16 MiB.
_BLOCK_USERS = 128
# Items of a group, and groups of a group of these.
_GROUP = 8
# Of rounding to a number of 8 binary digits.
_ROUNDED = 2.0**-8

Score64 = NDArray[np.float64]


def is_fast() -> bool:
    """Does this processor multiply matrices of such numbers in one instruction?"""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


@dataclass(frozen=True, kw_only=True)
class RoughTile:
    """`error`: longest difference of an item's rounded vector from its own; `length`: of the longest rounded one."""

    item_TD: Tensor
    num_items: int
    error: float
    length: float

    def nearest(self, user_BD: Scores, found: int, scratch: Tensor) -> tuple[Indexes, Scores]:
        """(B, S) places in the tile and rough scores, the highest first; no other item has a higher rough one.

        `scratch`: of scratch_for, which is written over."""
        rounded_BD = torch.from_numpy(user_BD).bfloat16()
        starts = range(0, len(user_BD), _BLOCK_USERS)
        parts = [self._nearest(rounded_BD[first : first + _BLOCK_USERS], found, scratch) for first in starts]
        return (
            torch.cat([place for place, _ in parts]).numpy(),
            torch.cat([score for _, score in parts]).numpy(),
        )

    def _nearest(self, user_BD: Tensor, found: int, scratch: Tensor) -> tuple[Tensor, Tensor]:
        score_BT = scratch[: len(user_BD) * len(self.item_TD)].view(len(user_BD), -1)
        torch.mm(user_BD, self.item_TD.T, out=score_BT)
        score_BT[:, self.num_items :] = -torch.inf
        # As whole numbers, which are compared several times as fast, positive ones are in the same order and above all
        # negative ones; where some of these may be among the best, their order counts.
        of_groups, group_BS, best_BS = _best_groups(score_BT.view(torch.int16), found)
        if best_BS.shape[1] < found or best_BS.min() <= 0:
            of_groups, group_BS, _ = _best_groups(score_BT, found)
        group_BS, _ = _members(of_groups, group_BS, found)
        return _members(score_BT.view(len(user_BD), _GROUP, -1), group_BS, found)


def scratch_for(items: int) -> Tensor:
    """For tiles of at most so many: memory that is asked for anew costs as much as the product in it."""
    return torch.empty(_BLOCK_USERS * (items + -items % _GROUP**2), dtype=torch.bfloat16)


def rough_tile(item_TD: Scores) -> RoughTile:
    exact = torch.from_numpy(item_TD)
    rounded = exact.bfloat16()
    filled = -len(item_TD) % _GROUP**2
    return RoughTile(
        item_TD=torch.nn.functional.pad(rounded, (0, 0, 0, filled)),
        num_items=len(item_TD),
        error=_longest(exact.double() - rounded.double()),
        length=_longest(rounded.double()),
    )


def rough_error(user_BD: Scores, last_B: Score64, error: float, length: float) -> Score64:
    """(B,): how much higher the true score of an item may be than `last_B`, where its rough one is not above that.

    `error` and `length`: see RoughTile. By the Cauchy-Schwarz inequality; the sum itself is made in 32-bit numbers,
    whose errors are the caller's.
    """
    exact = torch.from_numpy(user_BD).double()
    difference = torch.linalg.norm(exact - exact.bfloat16().double(), dim=1).numpy()
    lengths = torch.linalg.norm(exact, dim=1).numpy()
    of_result = np.where(np.isfinite(last_B), np.abs(last_B), 0.0) * (_ROUNDED * 1.01)
    found: Score64 = lengths * error + difference * length + of_result
    return found


def _best_groups(score_BT: Tensor, found: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, P, G) best scores of groups, in 16-bit numbers; (B, S) the best of the groups of these, and their scores."""
    users = len(score_BT)
    of_groups = score_BT.view(users, _GROUP, -1).amax(dim=1).view(users, _GROUP, -1)
    of_all = of_groups.amax(dim=1).view(torch.bfloat16).float()
    best = of_all.topk(min(found, of_all.shape[1]))
    return of_groups.view(torch.bfloat16), best.indices, best.values


def _members(score: Tensor, group_BS: Tensor, found: int) -> tuple[Tensor, Tensor]:
    """The best of (B, P, G) scores in these groups: places `p * G + g` and scores."""
    of_groups = score.gather(2, group_BS[:, None].expand(-1, score.shape[1], -1)).flatten(1).float()
    best = of_groups.topk(min(found, of_groups.shape[1]))
    size = group_BS.shape[1]
    place_BS = (best.indices // size) * score.shape[2] + group_BS.gather(1, best.indices % size)
    return place_BS, best.values


def _longest(vectors: Tensor) -> float:
    return float(torch.linalg.norm(vectors, dim=1).max())
