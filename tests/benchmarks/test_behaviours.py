from pathlib import Path

import pandas as pd
import pytest

from benchmarks.behaviours import last_purchases, pairs, read_csv, sequences, without_traces
from recsys.errors import InputError

EVENTS = pd.DataFrame(
    [
        (1, 10, "view", 1), (1, 10, "buy", 2), (1, 11, "view", 3), (1, 11, "buy", 4), (1, 10, "view", 5),
        (2, 12, "buy", 1), (2, 12, "buy", 2),
        (3, 14, "buy", 1), (3, 13, "buy", 1),
    ],
    columns=["user_id", "item_id", "event_type", "timestamp"],
)  # fmt: skip
HELD_OUT = pd.DataFrame([(1, 20), (2, 21)], columns=["user_id", "item_id"])


def rows(frame: pd.DataFrame) -> list[tuple[int, ...]]:
    return sorted(frame.itertuples(index=False, name=None))


def test_the_last_purchase_of_those_who_bought_two_items() -> None:
    assert rows(last_purchases(EVENTS)) == [(1, 11), (3, 13)]


def test_no_trace_of_what_is_held_out_stays() -> None:
    left = without_traces(EVENTS, last_purchases(EVENTS))
    assert rows(pairs(left)) == [(1, 10), (2, 12), (3, 14)]


def test_sequences_end_with_what_is_held_out_and_meet_each_item_once() -> None:
    assert rows(sequences(EVENTS, HELD_OUT)) == [
        (1, 10, 1), (1, 11, 0), (1, 20, 2), (2, 12, 0), (2, 21, 1), (3, 13, 0), (3, 14, 1),
    ]  # fmt: skip


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.csv does not exist. Cure: give the path of a CSV file of user_id"):
        read_csv(tmp_path / "nothing.csv", ["user_id"])
    (tmp_path / "one.csv").write_text("user\n1\n")
    with pytest.raises(InputError, match=r"one.csv has the columns \['user'\]; expected user_id"):
        read_csv(tmp_path / "one.csv", ["user_id"])
