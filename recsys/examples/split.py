"""Train, validation and test by global time: label windows one after the other, with a gap between the splits."""

from dataclasses import dataclass, replace
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import ExamplesConfig


@dataclass(frozen=True, kw_only=True)
class Cutoffs:
    """Days of knowledge (excluded); the labels of a cut-off are the purchases of the `label_days` days from it on.

    The two cut-offs that part the log are `validation` and `test`: train labels end `gap_days` before the first,
    validation labels lie between them and end `gap_days` before the second, test labels last up to the run date.
    """

    train: tuple[date, ...]
    validation: date
    test: date
    label_days: int
    gap_days: int


def cutoffs(run_date: date, *, label_days: int, train_windows: int, gap_days: int) -> Cutoffs:
    window, gap = timedelta(days=label_days), timedelta(days=gap_days)
    test = run_date - window
    validation = test - gap - window
    train = tuple(validation - gap - number * window for number in range(train_windows, 0, -1))
    return Cutoffs(train=train, validation=validation, test=test, label_days=label_days, gap_days=gap_days)


def cutoffs_of(run_date: date, settings: ExamplesConfig) -> Cutoffs:
    return cutoffs(
        run_date,
        label_days=settings.label_days,
        train_windows=settings.train_windows,
        gap_days=settings.gap_days,
    )


def earlier(days: Cutoffs, *, windows: int) -> Cutoffs:
    """All cut-offs so many label windows before: a fold of rolling time."""
    by = windows * timedelta(days=days.label_days)
    train = tuple(day - by for day in days.train)
    return replace(days, train=train, validation=days.validation - by, test=days.test - by)


def with_split(pairs: DataFrame, days: Cutoffs) -> DataFrame:
    """The split follows from the cut-off."""
    is_validation = F.col(c.AS_OF_DATE) == F.lit(days.validation)
    return pairs.withColumn(c.SPLIT, F.when(is_validation, c.VALIDATION).otherwise(c.TRAIN))


def with_example_key(pairs: DataFrame) -> DataFrame:
    """A number that looks random and is the same in every run: it mixes the example files."""
    return pairs.withColumn(c.EXAMPLE_KEY, F.xxhash64(c.SPLIT, c.AS_OF_DATE, c.USER_ID, c.ITEM_ID))
