"""The batches of one worker's share of an epoch, and the files that a step's rows came from."""

import itertools
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

from recsys.config import TrainConfig
from recsys.training.batches import Batch, shuffled_batches
from recsys.training.objective import FilesOf, Read
from recsys.training.plan import EpochPlan, cut, step_batches
from recsys.training.position import Position


def share_batches(
    folder: str, plan: EpochPlan, config: TrainConfig, position: Position, *, worker: int
) -> Generator[Batch, None, None]:
    """Of feature rows; see batches_left."""
    return batches_left(partial(shuffled_batches, folder), plan, config, position, worker=worker)


def batches_left(
    read: Read, plan: EpochPlan, config: TrainConfig, position: Position, *, worker: int
) -> Generator[Any, None, None]:
    """What is left of the worker's share of the epoch's rows. Batches used before are read and dropped."""
    for piece in cut(plan.shares[worker], position.steps * plan.batches_a_step):
        whole = read(
            plan.row_groups[piece.stream],
            batch_size=config.batch_size,
            buffer_rows=config.shuffle_buffer_rows,
            seed=(config.seed, position.epoch, piece.stream),
        )
        with closing(whole):
            yield from itertools.islice(whole, piece.first, piece.stop)


def files_of_step(
    files_of: FilesOf, plan: EpochPlan, config: TrainConfig, position: Position, *, worker: int
) -> list[str]:
    """Of the rows that the worker uses in the step after those taken."""
    return [
        file
        for stream, number in step_batches(plan, worker, position.steps)
        for file in files_of(
            plan.row_groups[stream],
            number,
            batch_size=config.batch_size,
            buffer_rows=config.shuffle_buffer_rows,
            seed=(config.seed, position.epoch, stream),
        )
    ]
