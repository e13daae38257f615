"""Two tables of three and five rows, and the rows that workers looked up in them."""

import torch
from torch import Tensor, nn

from recsys.models.inputs import IdEmbeddings
from recsys.training.row_gradients import packed, tables_by_rows, unpack
from tests.example_sets import inputs_of


class Tables(nn.Module):
    """Row 0 of each stands for unknown ids; the third is none of ids."""

    def __init__(self) -> None:
        super().__init__()
        self.ids = IdEmbeddings(inputs_of(2, 4, 0), (1, 2, 1), hidden=0.0)
        self.others = nn.Embedding(9, 2)


def looked_up(users: list[int], items: list[int]) -> list[Tensor]:
    model = Tables()
    tables = tables_by_rows(model, 2)
    if users or items:
        user, item = (model.ids.tables[place](torch.tensor(rows)) for place, rows in enumerate((users, items)))
        (user.sum() + 10 * item.sum()).backward()
    return tables


def test_only_tables_with_more_rows_than_a_step_go_by_rows() -> None:
    model = Tables()
    users, items, _ = (table for table in model.ids.tables if isinstance(table, nn.Embedding))
    assert [id(table) for table in tables_by_rows(model, 3)] == [id(items.weight)]
    assert (users.sparse, items.sparse) == (False, True)
    assert [id(table) for table in tables_by_rows(model, 2)] == [id(users.weight), id(items.weight)]


def test_rows_of_all_workers_become_the_sum_of_their_gradients() -> None:
    shares = [packed(looked_up([2, 2], [4])), packed(looked_up([], [])), packed(looked_up([1], [4, 1]))]
    indexes, values = (torch.cat(parts) for parts in zip(*shares, strict=True))
    assert indexes.tolist() == [2, 1, 2, 2, 4, 0, 0, 1, 2, 1, 4, 1]
    tables = looked_up([1], [2])  # what a worker had of its own is part of what came from all
    unpack(tables, indexes, values)
    assert [table.grad.tolist() for table in tables if table.grad is not None] == [
        [[0.0], [1.0], [2.0]],
        [[0.0, 0.0], [10.0, 10.0], [0.0, 0.0], [0.0, 0.0], [20.0, 20.0]],
    ]
