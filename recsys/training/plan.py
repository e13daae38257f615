"""Who reads what in which order, decided from row counts before the start: as many steps on every worker.

The rows of an epoch are streams of batches, one for each worker that began it. A worker reads pieces of streams: its
own stream as a whole, or, where other workers go on with a broken epoch, its part of what is left.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from recsys.manifest import RowGroup


class Piece(NamedTuple):
    """Batches `first` to before `stop` of a stream."""

    stream: int
    first: int
    stop: int


Shares = tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, kw_only=True)
class EpochPlan:
    """`row_groups[s]`: stream s, in order; `shares[w]`: what worker w reads, in order.

    `step_rows[s]`: rows of all workers' batches in step s.
    """

    row_groups: tuple[tuple[RowGroup, ...], ...]
    shares: Shares
    step_rows: tuple[int, ...]
    batch_size: int
    batches_a_step: int


def plan_epoch(
    row_groups: Sequence[RowGroup], *, epoch: int, seed: int, workers: int, batch_size: int, batches_a_step: int = 1
) -> EpochPlan:
    """Each row group goes to the worker with the fewest rows so far, in an order that seed and epoch shuffle.

    A worker whose rows run out before the others' still takes part in their steps, with no rows.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(row_groups))
    streams: list[list[RowGroup]] = [[] for _ in range(workers)]
    rows = [0] * workers
    for number in order:
        poorest = rows.index(min(rows))
        streams[poorest].append(row_groups[number])
        rows[poorest] += row_groups[number].rows
    plan = EpochPlan(
        row_groups=tuple(map(tuple, streams)),
        shares=(),
        step_rows=(),
        batch_size=batch_size,
        batches_a_step=batches_a_step,
    )
    return shared_out(plan, tuple(_whole(stream, rows[stream], batch_size) for stream in range(workers)))


def shared_out(plan: EpochPlan, shares: Shares) -> EpochPlan:
    """The plan of the same streams with these shares."""
    return replace(plan, shares=shares, step_rows=_step_rows(plan, shares))


def dealt(shares: Shares, *, batches_used: int, workers: int) -> Shares:
    """What is left after the first batches of each share, in `workers` shares of as many batches, give or take one."""
    left = [piece for share in shares for piece in cut(share, batches_used)]
    total = sum(piece.stop - piece.first for piece in left)
    borders = [number * total // workers for number in range(workers + 1)]
    return tuple(cut(left, first, stop) for first, stop in itertools.pairwise(borders))


def cut(pieces: Sequence[Piece], first: int, stop: int | None = None) -> tuple[Piece, ...]:
    """The batches from `first` to before `stop`, counted over all pieces."""
    found: list[Piece] = []
    before = 0
    for piece in pieces:
        size = piece.stop - piece.first
        low, high = max(first - before, 0), size if stop is None else min(stop - before, size)
        if low < high:
            found.append(Piece(piece.stream, piece.first + low, piece.first + high))
        before += size
    return tuple(found)


def step_batches(plan: EpochPlan, worker: int, step: int) -> list[tuple[int, int]]:
    """Stream and number of each batch that the worker uses in the step."""
    first = step * plan.batches_a_step
    pieces = cut(plan.shares[worker], first, first + plan.batches_a_step)
    return [(piece.stream, number) for piece in pieces for number in range(piece.first, piece.stop)]


def _whole(stream: int, rows: int, batch_size: int) -> tuple[Piece, ...]:
    return (Piece(stream, 0, math.ceil(rows / batch_size)),) if rows else ()


def _step_rows(plan: EpochPlan, shares: Shares) -> tuple[int, ...]:
    rows = [sum(group.rows for group in stream) for stream in plan.row_groups]
    batches = [list(_batch_rows(share, rows, plan.batch_size)) for share in shares]
    size = plan.batches_a_step
    steps = math.ceil(max(map(len, batches)) / size)
    return tuple(sum(sum(own[step * size : (step + 1) * size]) for own in batches) for step in range(steps))


def _batch_rows(share: Sequence[Piece], stream_rows: Sequence[int], batch_size: int) -> Iterator[int]:
    """All batches of a stream are full but its last."""
    for stream, first, stop in share:
        for number in range(first, stop):
            yield min(batch_size, stream_rows[stream] - number * batch_size)
