"""A log of views, carts and purchases with one purchase a user held out, as the files that `benchmarks.accuracy` takes.

Usage: python -m benchmarks.behaviours --events E.csv.gz --held-out T.csv.gz --output FOLDER

E holds user_id, item_id, event_type (view, cart or buy) and timestamp; T user_id and item_id, one purchase a user of
which E has no trace, no view and no cart either. Written are train.parquet and test.parquet, pairs
of any behaviour, and sequences.parquet, the same in the order of the last meeting, with the held-out purchase at the
end. tune_train.parquet and tune_test.parquet are such pairs of E alone, with each user's last purchase held out and all
traces of it taken away, from the users who bought at least two items: settings are chosen on these.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.splits import POSITION
from recsys import columns as c
from recsys.errors import InputError, UserError

_EVENT_TYPE, _TIMESTAMP, _BUY = "event_type", "timestamp", "buy"
_PAIR = [c.USER_ID, c.ITEM_ID]


def read_csv(path: Path, names: list[str]) -> pd.DataFrame:
    """Raises InputError for a missing file or column."""
    if not path.is_file():
        raise InputError(f"{path} does not exist. Cure: give the path of a CSV file of {', '.join(names)}")
    frame = pd.read_csv(path)
    if not set(names) <= set(frame.columns):
        raise InputError(f"{path} has the columns {list(frame.columns)}; expected {', '.join(names)}")
    return frame[names]


def last_purchases(events: pd.DataFrame) -> pd.DataFrame:
    """One pair a user who bought at least two items: the one bought last, of several at once the smallest item_id."""
    bought = events[events[_EVENT_TYPE] == _BUY].sort_values([_TIMESTAMP, c.ITEM_ID], ascending=[False, True])
    items = bought.groupby(c.USER_ID)[c.ITEM_ID].nunique()
    return bought[bought[c.USER_ID].isin(items.index[items > 1])].drop_duplicates(c.USER_ID)[_PAIR]


def without_traces(events: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    marked = events.merge(held_out, on=_PAIR, how="left", indicator=True)
    return marked[marked["_merge"] == "left_only"].drop(columns="_merge")


def pairs(events: pd.DataFrame) -> pd.DataFrame:
    return events[_PAIR].drop_duplicates()


def sequences(events: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    """Each pair at its last meeting; ties by item_id."""
    in_order = events.sort_values([c.USER_ID, _TIMESTAMP, c.ITEM_ID]).drop_duplicates(_PAIR, keep="last")
    whole = pd.concat([in_order[_PAIR], held_out[_PAIR]], ignore_index=True)
    whole[POSITION] = whole.groupby(c.USER_ID).cumcount()
    return whole


def write(folder: Path, parts: dict[str, pd.DataFrame]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        file = folder / f"{name}.parquet"
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), file)
        sys.stdout.write(f"{file}: {len(part)} rows\n")


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--events", type=Path, required=True, metavar="E.csv.gz")
    made.add_argument("--held-out", type=Path, required=True, metavar="T.csv.gz")
    made.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    given = made.parse_args()
    try:
        events = read_csv(given.events, [*_PAIR, _EVENT_TYPE, _TIMESTAMP])
        held_out = read_csv(given.held_out, _PAIR)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    last = last_purchases(events)
    parts = {
        "train": pairs(events),
        "test": held_out,
        "sequences": sequences(events, held_out),
        "tune_train": pairs(without_traces(events, last)),
        "tune_test": last,
    }
    write(given.output, parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
