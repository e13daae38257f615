"""How far a training has come: all that a checkpoint holds beside weights, optimizer and random states."""

from dataclasses import asdict, dataclass, field
from typing import Any

from recsys.config import TrainConfig
from recsys.training.objective import VALIDATION_AUC, VALIDATION_LOSS
from recsys.training.plan import EpochPlan, Piece, Shares, dealt, shared_out


@dataclass(frozen=True, kw_only=True)
class EpochFigures:
    """Mean loss a row; what the epoch is judged by, by its name; nan without validation rows.

    `system`: see SystemFigures; of the worker whose curve this is.
    """

    epoch: int
    train_loss: float
    validation: dict[str, float]
    rows_per_s: float
    system: dict[str, float] = field(default_factory=dict)

    @property
    def validation_loss(self) -> float:
        return self.validation[VALIDATION_LOSS]

    @property
    def validation_auc(self) -> float:
        return self.validation[VALIDATION_AUC]


@dataclass(kw_only=True)
class Position:
    """`steps` are those of `epoch` since its rows were last shared out, into `shares` of `streams` streams.

    `taken`: steps of all epochs. The best epoch is the one with the lowest `best_value`; 0 before the first.
    """

    streams: int
    epoch: int = 1
    steps: int = 0
    taken: int = 0
    shares: Shares | None = None
    rows: int = 0
    loss_sum: float = 0.0
    curve: list[EpochFigures] = field(default_factory=list)
    best_value: float = float("nan")
    best_epoch: int = 0
    best_state: dict[str, Any] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        shares = None if self.shares is None else [[list(piece) for piece in share] for share in self.shares]
        return {**vars(self), "shares": shares, "curve": [asdict(figures) for figures in self.curve]}

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> "Position":
        shares = None
        if plain["shares"] is not None:
            shares = tuple(tuple(Piece(*piece) for piece in share) for share in plain["shares"])
        curve = [EpochFigures(**figures) for figures in plain["curve"]]
        return Position(**{**plain, "shares": shares, "curve": curve})

    def step_taken(self, rows: int, loss: float) -> None:
        self.steps += 1
        self.taken += 1
        self.rows += rows
        self.loss_sum += loss * rows

    def epoch_done(self, figures: EpochFigures, value: float, state: dict[str, Any], *, workers: int) -> None:
        """`value`: what the best epoch has least of; nan is never worse, so that the last epoch wins without one."""
        self.curve.append(figures)
        if not self.best_epoch or not value >= self.best_value:
            self.best_value, self.best_epoch, self.best_state = value, self.epoch, state
        self.epoch, self.steps, self.rows, self.loss_sum = self.epoch + 1, 0, 0, 0.0
        self.streams, self.shares = workers, None

    def is_over(self, config: TrainConfig) -> bool:
        if self.epoch > config.epochs:
            return True
        return 0 < config.patience <= self.epoch - 1 - self.best_epoch

    def share_out(self, plan: EpochPlan, *, workers: int) -> EpochPlan:
        """The plan by which `workers` go on: as they were, or what is left dealt anew to another number of them."""
        if self.shares is None:
            self.shares = plan.shares
        if len(self.shares) != workers:
            self.shares = dealt(self.shares, batches_used=self.steps * plan.batches_a_step, workers=workers)
            self.steps = 0
        return shared_out(plan, self.shares)
