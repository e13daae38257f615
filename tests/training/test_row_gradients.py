"""Two tables of three and five rows, and the rows that workers looked up in them."""

import torch
from torch import nn

from recsys.training.row_gradients import packed, tables_by_rows, unpack


class Tables(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small = nn.Embedding(3, 1, sparse=True)
        self.large = nn.Embedding(5, 2, sparse=True)
        self.dense = nn.Embedding(9, 2)


def looked_up(small: list[int], large: list[int]) -> list[nn.Parameter]:
    tables = Tables()
    if small or large:
        (
            tables.small(torch.tensor(small, dtype=torch.int64)).sum() + 10 * tables.large(torch.tensor(large)).sum()
        ).backward()
    return [tables.small.weight, tables.large.weight]


def test_only_tables_with_more_rows_than_a_step_go_by_rows() -> None:
    tables = Tables()
    assert tables_by_rows(tables, 3) == [tables.large.weight]
    assert tables_by_rows(tables, 2) == [tables.small.weight, tables.large.weight]


def test_rows_of_all_workers_become_the_sum_of_their_gradients() -> None:
    shares = [packed(looked_up([2, 2], [4])), packed(looked_up([], [])), packed(looked_up([0], [4, 1]))]
    indexes, values = (torch.cat(parts) for parts in zip(*shares, strict=True))
    assert indexes.tolist() == [2, 1, 2, 2, 4, 0, 0, 1, 2, 0, 4, 1]
    tables = looked_up([1], [0])  # what a worker had of its own is part of what came from all
    unpack(tables, indexes, values)
    assert [table.grad.tolist() for table in tables if table.grad is not None] == [
        [[1.0], [0.0], [2.0]],
        [[0.0, 0.0], [10.0, 10.0], [0.0, 0.0], [0.0, 0.0], [20.0, 20.0]],
    ]
