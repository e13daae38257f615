"""What the loop trains on: where rows come from, what is lowered, by what an epoch is judged."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.manifest import RowGroup

if TYPE_CHECKING:
    from recsys.training.loop import Fit

VALIDATION_LOSS, VALIDATION_AUC = "validation_loss", "validation_auc"
VALIDATION_HIT_RATE, VALIDATION_NDCG = "validation_hit_rate", "validation_ndcg"
# The epoch with the least is the best; of all others, that with the most.
_LOWER_IS_BETTER = (VALIDATION_LOSS,)


class Read(Protocol):
    """Batches of the row groups' rows, each row once, in an order that follows from the arguments alone."""

    def __call__(
        self, row_groups: Sequence[RowGroup], *, batch_size: int, buffer_rows: int, seed: Sequence[int]
    ) -> Generator[Any, None, None]: ...


# The sum over a batch's rows; the number of the step is the same on all workers, for what they must draw alike.
LossSum = Callable[[nn.Module, Any, TrainConfig, int], Tensor]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """`validate`: a collective, each of `figures` by its name over all workers' rows; nan without such rows."""

    row_groups: tuple[RowGroup, ...]
    read: Read
    loss_sum: LossSum
    validate: Callable[["Fit"], dict[str, float]]
    figures: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.row_groups)


def require_figure(objective: Objective, config: TrainConfig) -> None:
    if config.best_by not in objective.figures:
        raise ConfigError(
            f"train.best_by is {config.best_by}, which this kind of model is not judged by. Cure: one of "
            f"{list(objective.figures)}"
        )


def badness(validation: dict[str, float], best_by: str) -> float:
    """What the best epoch has least of."""
    value = validation[best_by]
    return value if best_by in _LOWER_IS_BETTER else -value
