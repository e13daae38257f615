"""Gradients of embedding tables as the rows that a step looked up: all that workers must tell each other of them.

A step looks up a row or two of a table for each of its rows; a whole table's gradient is zeros but for these.
Shapes: T tables, R rows looked up, D width of a table, W workers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recsys.models.inputs import IdEmbeddings


def tables_by_rows(model: nn.Module, step_rows: int) -> list[Tensor]:
    """Tables of ids with more rows than a step of so many; from now on their gradients come as the rows looked up.

    The same on all workers.
    """
    of_ids = (module for module in model.modules() if isinstance(module, IdEmbeddings))
    tables = (table for module in of_ids for table in module.tables if isinstance(table, nn.Embedding))
    large = [table for table in tables if table.num_embeddings > step_rows]
    for table in large:
        table.sparse = True
    return [table.weight for table in large]


def packed(tables: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """This worker's share in two tensors: how many rows of each table and their indexes; and their values.

    A table that no row of this worker was looked up in counts 0.
    """
    rows = [_rows_of(table) for table in tables]
    counts = [torch.tensor([len(idx_R) for idx_R, _ in rows], device=tables[0].device)]
    return torch.cat([*counts, *(idx_R for idx_R, _ in rows)]), torch.cat([value_RD.flatten() for _, value_RD in rows])


def unpack(tables: Sequence[Tensor], indexes: Tensor, values: Tensor) -> None:
    """Gives each table the dense sum of what `packed` made on all workers; added up in the order of the workers."""
    for table in tables:
        table.grad = torch.zeros_like(table)
    at, first = 0, 0
    while at < len(indexes):
        counts = indexes[at : at + len(tables)].tolist()
        at += len(tables)
        for table, count in zip(tables, counts, strict=True):
            width = table.shape[1]
            assert table.grad is not None
            value_RD = values[first : first + count * width].view(count, width)
            table.grad.index_add_(0, indexes[at : at + count], value_RD)
            at, first = at + count, first + count * width


def _rows_of(table: Tensor) -> tuple[Tensor, Tensor]:
    if table.grad is None:
        return torch.empty(0, dtype=torch.int64, device=table.device), table.detach()[:0]
    # Rows that were looked up more than once come as often: adding them up is left to who puts all together.
    return table.grad._indices()[0], table.grad._values()
