"""A multi-layer perceptron on id embeddings and normalised numbers. Shapes: see recsys/models/inputs.py."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from recsys.manifest import Inputs
from recsys.models.halves import first_layer, half_of_first, logits_with_product, with_product
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers
from recsys.models.layers import column, logit_layers, require_shares, require_sizes


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """See conf/models/mlp.yaml for the meaning of each key."""

    id_dim: int
    category_dim: int
    hidden: tuple[int, ...]
    dropout: float
    hidden_ids: float

    def __post_init__(self) -> None:
        require_sizes("mlp", self, self.id_dim, self.category_dim)
        require_shares("mlp", self)


class Mlp(nn.Module):
    """Logit of "the user buys the item in the label window".

    The product of user and item embedding stands beside the two: taste in common is then one layer away.
    """

    def __init__(self, config: MlpConfig, inputs: Inputs) -> None:
        super().__init__()
        dims = (config.id_dim, config.id_dim, config.category_dim)
        self.embeddings = IdEmbeddings(inputs, dims, hidden=config.hidden_ids)
        self.numbers = NormalizedNumbers(inputs)
        self.id_dim, self.first_number = config.id_dim, config.id_dim + sum(dims)
        self.half_width = config.hidden[0] + config.id_dim
        self.layers = logit_layers(self.first_number + len(inputs.numeric), config.hidden, config.dropout)

    def forward(self, ids_BI: Tensor, numeric_BF: Tensor) -> Tensor:
        return column(self.layers(with_product(*self.embeddings(ids_BI), self.numbers(numeric_BF))))

    def half_of(self, ids_XI: Tensor, number_XF: Tensor, *, of_users: bool) -> Tensor:
        embedded = self.embeddings(ids_XI)
        return half_of_first(
            first_layer(self.layers), with_product(*embedded, number_XF), embedded[0 if of_users else 1]
        )

    def logits_of_halves(self, user_BW: Tensor, item_BW: Tensor, number_BK: Tensor, places_K: Sequence[int]) -> Tensor:
        places = [self.first_number + place for place in places_K]
        return logits_with_product(self.layers, user_BW, item_BW, number_BK, places)
