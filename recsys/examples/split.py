"""Train, validation and test by global time: label windows that end one after the other."""

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, kw_only=True)
class Cutoffs:
    """Days of knowledge (excluded); the labels of a cut-off are the purchases of the `label_days` days from it on.

    The two cut-offs that part the log are `validation` and `test`: train labels end before the first, validation
    labels lie between them, test labels from the second to the run date.
    """

    train: tuple[date, ...]
    validation: date
    test: date
    label_days: int


def cutoffs(run_date: date, *, label_days: int, train_windows: int) -> Cutoffs:
    window = timedelta(days=label_days)
    test = run_date - window
    validation = test - window
    train = tuple(validation - number * window for number in range(train_windows, 0, -1))
    return Cutoffs(train=train, validation=validation, test=test, label_days=label_days)
