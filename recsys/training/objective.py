"""What the loop trains on: where rows come from, what is lowered, by what an epoch is judged."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.families import FACTORS, FEATURES, HISTORIES, TOWERS
from recsys.manifest import RowGroup
from recsys.training.batches import files_of_batch

if TYPE_CHECKING:
    from recsys.training.loop import Fit

VALIDATION_LOSS, VALIDATION_AUC = "validation_loss", "validation_auc"
VALIDATION_HIT_RATE, VALIDATION_NDCG = "validation_hit_rate", "validation_ndcg"
VALIDATION_RECALL = "validation_recall"
FIGURES_OF_ROWS = (VALIDATION_LOSS, VALIDATION_AUC, VALIDATION_NDCG, VALIDATION_RECALL)
# By what an epoch is judged, by family; the others have no epochs.
FIGURES = {
    FEATURES: FIGURES_OF_ROWS,
    TOWERS: FIGURES_OF_ROWS,
    HISTORIES: (VALIDATION_HIT_RATE, VALIDATION_NDCG),
    FACTORS: (VALIDATION_RECALL, VALIDATION_NDCG),
}
# The epoch with the least is the best; of all others, that with the most.
_LOWER_IS_BETTER = (VALIDATION_LOSS,)


class Read(Protocol):
    """Batches of the row groups' rows, each row once, in an order that follows from the arguments alone."""

    def __call__(
        self, row_groups: Sequence[RowGroup], *, batch_size: int, buffer_rows: int, seed: Sequence[int]
    ) -> Generator[Any, None, None]: ...


class FilesOf(Protocol):
    """Whose rows are in that batch of a Read with the same arguments."""

    def __call__(
        self, row_groups: Sequence[RowGroup], number: int, *, batch_size: int, buffer_rows: int, seed: Sequence[int]
    ) -> list[str]: ...


# The sum over a batch's rows; the number of the step is the same on all workers, for what they must draw alike.
LossSum = Callable[[nn.Module, Any, TrainConfig, int], Tensor]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """`validate`: a collective, each of the family's figures by its name over all workers' rows; nan without such rows.

    `values_from`: the table whose numbers the rows hold, where they hold some.
    """

    family: str
    row_groups: tuple[RowGroup, ...]
    read: Read
    loss_sum: LossSum
    validate: Callable[["Fit"], dict[str, float]]
    files_of: FilesOf = files_of_batch
    values_from: str | None = None

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.row_groups)


def require_objective(family: str, config: TrainConfig) -> None:
    """Raises ConfigError for settings that this kind of model would pass over without a word."""
    known = FIGURES.get(family)
    if known is not None and config.best_by not in known:
        raise ConfigError(
            f"train.best_by is {config.best_by}, which this kind of model is not judged by. Cure: one of {list(known)}"
        )
    if known is not None and family != FEATURES and config.label_smoothing > 0:
        raise ConfigError(
            f"train.label_smoothing is {config.label_smoothing:g}, but only models of features learn from labels that "
            "can be smoothed. Cure: leave it at 0"
        )


def require_users_to_rank(family: str, best_by: str, ranked_users: int) -> None:
    """Raises ConfigError where the example files hold nobody by whose lists a network of features could be judged."""
    if family in (FEATURES, TOWERS) and best_by in (VALIDATION_NDCG, VALIDATION_RECALL) and not ranked_users:
        raise ConfigError(
            f"train.best_by is {best_by}, but examples.ranked_users is 0, and the example files then hold nothing to "
            "rank. Cure: examples.ranked_users of some hundreds, such as 500, and build_examples again, or "
            f"train.best_by={VALIDATION_LOSS}"
        )


def badness(validation: dict[str, float], best_by: str) -> float:
    """What the best epoch has least of."""
    value = validation[best_by]
    return value if best_by in _LOWER_IS_BETTER else -value
