"""Which days a set of cut-offs needs purchases in, and the refusal of a log that has none there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from recsys.errors import InputError

HISTORY_DAYS = 365  # the longest window of any feature


@dataclass(frozen=True, kw_only=True)
class Span:
    """Days from `start` up to, but without, `end`."""

    start: date
    end: date
    purpose: str

    def __str__(self) -> str:
        return f"{self.start} to {self.end - timedelta(days=1)} ({self.purpose})"


def needed_spans(label_cutoffs: Sequence[date], *, label_days: int) -> tuple[Span, ...]:
    """The history before the first cut-off, which those of the others hold, and each cut-off's label window."""
    first = min(label_cutoffs)
    history = Span(start=first - timedelta(days=HISTORY_DAYS), end=first, purpose=f"history before cut-off {first}")
    label_windows = (
        Span(start=day, end=day + timedelta(days=label_days), purpose=f"labels of cut-off {day}")
        for day in label_cutoffs
    )
    return (history, *label_windows)


def empty_spans(spans: Sequence[Span], days: Iterable[date]) -> list[Span]:
    """Those that hold none of the days."""
    known = set(days)
    return [span for span in spans if not any(span.start <= day < span.end for day in known)]


def cutoffs_that_saw(days: Iterable[date], as_of_dates: Iterable[date]) -> list[date]:
    """Those of `as_of_dates` that have one of the days among the HISTORY_DAYS before them, in order."""
    history, seen = timedelta(days=HISTORY_DAYS), set(days)
    return sorted(as_of for as_of in as_of_dates if any(as_of - history <= day < as_of for day in seen))


def no_purchases(empty: Sequence[Span], first: date | None, last: date | None) -> InputError:
    """`first` and `last` are the purchase days that the log covers; None where it has no purchase."""
    if first is None or last is None:
        return InputError("clean.events has no purchase. Cure: run clean_logs on a folder that holds purchases")
    return InputError(
        f"no purchase from {'; '.join(map(str, empty))}; expected some, clean.events covers {first} to {last}. "
        f"Cure: give a --run-date up to {last + timedelta(days=1)}, a smaller examples.label_days or "
        "examples.train_windows, or run clean_logs on the missing days"
    )
