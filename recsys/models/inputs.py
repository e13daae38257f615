"""How every network takes in ids and numbers. Shapes: B batch, I id inputs, F numeric inputs, D embedding."""

import torch
from torch import Tensor, nn

from recsys.manifest import Inputs


class IdEmbeddings(nn.Module):
    """One embedding an id input; an index outside the vocabulary is unknown and embeds as zeros.

    In training a share `hidden` of the ids is taken for unknown: the network then learns to do without them, and ids
    are not learned by heart.
    """

    sizes_I: Tensor

    def __init__(self, inputs: Inputs, dims: tuple[int, ...], *, hidden: float, initial_std: float = 0.01) -> None:
        super().__init__()
        self.hidden = hidden
        # Small, so that an id that training never saw says next to nothing.
        self.tables = nn.ModuleList(
            padded_embedding(vocabulary.size, dim, std=initial_std)
            for vocabulary, dim in zip(inputs.ids, dims, strict=True)
        )
        self.register_buffer("sizes_I", torch.tensor([vocabulary.size for vocabulary in inputs.ids]))

    def forward(self, ids_BI: Tensor) -> list[Tensor]:
        return self.embed(self.rows(ids_BI))

    def rows(self, ids_BI: Tensor) -> Tensor:
        """The tables' rows of the ids; 0 for unknown and hidden ones."""
        return self._rows(ids_BI, self.sizes_I)

    def of(self, place: int, idx_BK: Tensor) -> Tensor:
        """(B, K, D) of more ids of the input at the place."""
        embedded_BKD: Tensor = self.tables[place](self._rows(idx_BK, self.sizes_I[place]))
        return embedded_BKD

    def _rows(self, ids: Tensor, sizes: Tensor) -> Tensor:
        is_known = (ids >= 0) & (ids < sizes)
        if self.training and self.hidden > 0:
            is_known &= torch.rand(ids.shape, device=ids.device) >= self.hidden
        return torch.where(is_known, ids + 1, torch.zeros_like(ids))

    def embed(self, row_BI: Tensor) -> list[Tensor]:
        return [table(row_BI[:, i]) for i, table in enumerate(self.tables)]


def padded_embedding(size: int, dim: int, *, std: float) -> nn.Embedding:
    """Row 0, zeros, is the unknown id; row 1 the index 0."""
    table = nn.Embedding(size + 1, dim, padding_idx=0)
    nn.init.normal_(table.weight, std=std)
    table.weight.data[0] = 0
    return table


class NormalizedNumbers(nn.Module):
    """Transforms as the catalogue says, then centres and scales by the train rows' statistics."""

    is_log1p_F: Tensor
    mean_F: Tensor
    scale_F: Tensor

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        numeric = inputs.numeric
        self.register_buffer("is_log1p_F", torch.tensor([n.transform == "log1p" for n in numeric]))
        self.register_buffer("mean_F", torch.tensor([n.mean for n in numeric], dtype=torch.float32))
        # A constant input has no spread: it becomes 0.
        spread = [1 / n.std if n.std > 1e-6 else 0.0 for n in numeric]
        self.register_buffer("scale_F", torch.tensor(spread, dtype=torch.float32))

    def forward(self, numeric_BF: Tensor) -> Tensor:
        return self.of(slice(None), numeric_BF)

    def of(self, places: slice, numeric_BK: Tensor) -> Tensor:
        """(B, K) of the inputs at these places alone."""
        transformed_BK = torch.where(self.is_log1p_F[places], torch.log1p(numeric_BK.clamp_min(0)), numeric_BK)
        return (transformed_BK - self.mean_F[places]) * self.scale_F[places]
