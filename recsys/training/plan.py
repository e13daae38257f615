"""Who reads what in which order, decided from row counts before the start: as many steps on every worker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.manifest import RowGroup


@dataclass(frozen=True, kw_only=True)
class EpochPlan:
    """`row_groups[w]`: what worker w reads, in order; `step_rows[s]`: rows of all workers' batches in step s."""

    row_groups: tuple[tuple[RowGroup, ...], ...]
    step_rows: tuple[int, ...]


def plan_epoch(row_groups: Sequence[RowGroup], *, epoch: int, seed: int, workers: int, batch_size: int) -> EpochPlan:
    """Each row group goes to the worker with the fewest rows so far, in an order that seed and epoch shuffle.

    A worker whose rows run out before the others' still takes part in their steps, with no rows.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(row_groups))
    shares: list[list[RowGroup]] = [[] for _ in range(workers)]
    rows = [0] * workers
    for number in order:
        poorest = rows.index(min(rows))
        shares[poorest].append(row_groups[number])
        rows[poorest] += row_groups[number].rows
    return EpochPlan(row_groups=tuple(map(tuple, shares)), step_rows=_step_rows(rows, batch_size))


def _step_rows(rows: Sequence[int], batch_size: int) -> tuple[int, ...]:
    steps = math.ceil(max(rows) / batch_size)
    return tuple(sum(min(batch_size, max(0, own - step * batch_size)) for own in rows) for step in range(steps))
