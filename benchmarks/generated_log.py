"""A made-up log of any size, one CSV file a day: planted tastes that drift, seasons, new users and items every day,
late, repeated and dirty rows, one user and one item with 1 % of all events each.

Usage: python -m benchmarks.generated_log --output FOLDER [--events 1000000] [--days 180] [--seed 7]

Every value is a hash of seed, day and number of the row: any day can be made alone and is the same everywhere. The
mapping is benchmarks/conf/sources/generated.yaml; what becomes of the rows is known (`FileTruth`).
"""

import argparse
import sys
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TASTES = 8
# Of a user's events so many are with items of the own taste, the others with what the season sells.
OWN_TASTE_SHARE = 0.8
TASTE_DAYS = 60
BESTSELLER_DAYS = 30
SEASON_DAYS = 365
LATE_SHARE = 0.01
MAX_LATE_DAYS = 7
REPEATED_SHARE = 0.005
DIRTY_SHARE = 0.01
SALE_SHARE = 0.1
STORES = 20
KINDS = ("view", "cart", "purchase")
KIND_ENDS = (0.5, 0.65, 1.0)
PURCHASE = KINDS.index("purchase")
HOT = 0  # number of the user, and of the item, with 1 % of the events

# What a row is for follows from its number within the day, modulo 100.
_NEW_USERS, _NEW_ITEMS, _HOT_USER, _HOT_ITEM = range(10), range(10, 20), 50, 75
_MAY_BE_DIRTY = range(80, 100)
_MILLISECONDS_A_DAY = 86_400_000
_OPEN_FROM_MS, _OPEN_FOR_MS = 8 * 3_600_000, 13 * 3_600_000


@dataclass(frozen=True, kw_only=True)
class LogShape:
    """`events` happen on `days` days; the log has half of its users and items from the start."""

    events: int
    days: int
    seed: int = 7
    first_day: date = date(2023, 1, 1)

    @property
    def users(self) -> int:
        return max(200, self.events // 250)

    @property
    def items(self) -> int:
        return max(20 * TASTES, self.events // 2000)

    def day(self, number: int) -> date:
        return self.first_day + timedelta(days=number)


@dataclass(frozen=True, kw_only=True)
class FileTruth:
    """What cleaning must make of an event file; `reasons`: broken rule → rows."""

    file: str
    rows_kept: int
    rows_duplicate: int
    reasons: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Events of one day, not yet dirty; `time_ms` since 1970."""

    number: Ints
    user: Ints
    item: Ints
    kind: Ints
    time_ms: Ints
    quantity: Ints
    price_cents: Ints


def draw(seed: int, purpose: str, keys: Ints) -> Floats:
    """Numbers in [0, 1) that look random, one a key (SplitMix64, Steele et al. 2014)."""
    salt = np.uint64((zlib.crc32(purpose.encode()) << 32) ^ (seed & 0xFFFFFFFF))
    mixed = _mix(_mix(keys.astype(np.uint64)) ^ _mix(np.array([salt], dtype=np.uint64)))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(values: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def events_of_days(shape: LogShape) -> Ints:
    """How many events happen each day: more at weekends and in summer; they add up to `shape.events`."""
    days = np.arange(shape.days)
    weekday = (days + shape.first_day.weekday()) % 7
    weight = np.where(weekday >= 5, 1.5, 1.0) * (1 - 0.3 * np.cos(2 * np.pi * days / SEASON_DAYS))
    ends = np.rint(np.cumsum(weight) / weight.sum() * shape.events).astype(np.int64)
    counts: Ints = np.diff(ends, prepend=0)
    return counts


def known_on(total: int, shape: LogShape, day: int) -> int:
    """Users, or items, that there are on a day: half from the start, the same number of new ones each day after."""
    return total - new_each_day(total, shape) * (shape.days - 1 - day)


def new_each_day(total: int, shape: LogShape) -> int:
    return max(1, total // 2 // shape.days)


def tastes(shape: LogShape, users: Ints, day: int) -> Ints:
    """A user goes on to the next taste every 60 days, not all on the same day."""
    start = draw(shape.seed, "taste", users) * TASTES
    now: Floats = np.floor(start + day / TASTE_DAYS)
    return now.astype(np.int64) % TASTES


def happened(shape: LogShape, day: int, number: Ints) -> Rows:
    """Those rows of a day, by their number within it."""
    of_row = partial(_draw_of_row, shape.seed, day, number)
    user = _users(shape, day, number)
    item = _items(shape, day, number, user)
    kind = np.searchsorted(KIND_ENDS, of_row("kind"), side="right").astype(np.int64)
    midnight_ms = (shape.day(day) - date(1970, 1, 1)).days * _MILLISECONDS_A_DAY
    return Rows(
        number=number,
        user=user,
        item=item,
        kind=kind,
        time_ms=midnight_ms + _OPEN_FROM_MS + (of_row("time") * _OPEN_FOR_MS).astype(np.int64),
        quantity=1 + (of_row("quantity") ** 3 * 5).astype(np.int64),
        price_cents=_prices(shape, day, item),
    )


def _draw_of_row(seed: int, day: int, number: Ints, purpose: str) -> Floats:
    return draw(seed, purpose, (day << 32) + number)


def _users(shape: LogShape, day: int, number: Ints) -> Ints:
    known = known_on(shape.users, shape, day)
    drawn = 1 + (_draw_of_row(shape.seed, day, number, "user") ** 1.5 * (known - 1)).astype(np.int64)
    with_new = _with_new(drawn, number, day, _NEW_USERS, known - new_each_day(shape.users, shape), known)
    return np.where(number % 100 == _HOT_USER, HOT, with_new)


def _items(shape: LogShape, day: int, number: Ints, user: Ints) -> Ints:
    """Item i is of taste i modulo 8; a taste's bestsellers change every 30 days."""
    known = known_on(shape.items, shape, day)
    of_row = partial(_draw_of_row, shape.seed, day, number)
    taste = np.where(of_row("own taste") < OWN_TASTE_SHARE, tastes(shape, user, day), _in_season(day, of_row("season")))
    # Item 0 is the hot one: nobody draws it.
    first = np.where(taste == HOT, TASTES, taste)
    of_taste = (known - 1 - first) // TASTES + 1
    rank = (of_row("item") ** 2 * of_taste).astype(np.int64)
    moved = (rank + day // BESTSELLER_DAYS * (of_taste // 20 + 1)) % of_taste
    drawn = first + moved * TASTES
    with_new = _with_new(drawn, number, day, _NEW_ITEMS, known - new_each_day(shape.items, shape), known)
    return np.where(number % 100 == _HOT_ITEM, HOT, with_new)


def _in_season(day: int, drawn: Floats) -> Ints:
    """Each taste sells best at another time of the year."""
    weight = 1 + 0.8 * np.cos(2 * np.pi * (day / SEASON_DAYS - np.arange(TASTES) / TASTES))
    return np.searchsorted(np.cumsum(weight / weight.sum())[:-1], drawn, side="right").astype(np.int64)


def _with_new(drawn: Ints, number: Ints, day: int, places: range, first: int, end: int) -> Ints:
    """Those that are new on the day, `first` up to `end`, get one event each."""
    if day == 0:
        return drawn
    place = number % 100 - places.start
    new = first + number // 100 * len(places) + place
    return np.where((place >= 0) & (place < len(places)) & (new < end), new, drawn)


def _prices(shape: LogShape, day: int, item: Ints) -> Ints:
    """An item has its price, a tenth less in some weeks."""
    regular = 100 + (draw(shape.seed, "price", item) ** 2 * 9900).astype(np.int64)
    is_on_sale = draw(shape.seed, "sale", item + (day // 7 << 32)) < SALE_SHARE
    return np.where(is_on_sale, regular * 9 // 10, regular)


def delays(shape: LogShape, day: int, number: Ints) -> Ints:
    """Days after which a row comes; 0 for most."""
    drawn = _draw_of_row(shape.seed, day, number, "late") / LATE_SHARE
    return np.where(drawn < 1, 1 + (drawn * MAX_LATE_DAYS).astype(np.int64), 0)


def rows_of_file(shape: LogShape, file_day: int) -> list[Rows]:
    """By day: the late ones of the days before, then those of the day. The last file has all that are late still."""
    found = []
    counts = events_of_days(shape)
    for day in range(max(0, file_day - MAX_LATE_DAYS), file_day + 1):
        number = np.arange(counts[day], dtype=np.int64)
        lands_on = np.minimum(day + delays(shape, day, number), shape.days - 1)
        found.append(happened(shape, day, number[lands_on == file_day]))
    return found


Columns = dict[str, pa.Array]


def _columns(rows: Rows) -> Columns:
    bought = pa.array(rows.kind == PURCHASE)
    user = pa.array(rows.user)
    day = pa.array(rows.time_ms // _MILLISECONDS_A_DAY)
    return {
        "user": _named("u", user),
        "item": _named("i", pa.array(rows.item)),
        "kind": pa.array(KINDS).take(pa.array(rows.kind)),
        "time": pc.cast(pa.array(rows.time_ms).cast(pa.timestamp("ms")), pa.string()),
        "basket": _where(bought, _named("b", user, "-", day)),
        "store": _named("s", pa.array(rows.user % STORES)),
        "quantity": _where(bought, pc.cast(pa.array(rows.quantity), pa.string())),
        "price": _where(bought, pc.cast(pa.array(rows.price_cents), pa.string())),
    }


def _named(*parts: "str | pa.Array") -> pa.Array:
    texts = [part if isinstance(part, str) else pc.cast(part, pa.string()) for part in parts]
    return pc.binary_join_element_wise(*texts, "")


def _where(condition: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(condition, values, pa.scalar(None, pa.string()))


# Broken rule of recsys/clean/rules.py → what a dirty row has instead of its value.
FAULTS: dict[str, tuple[str, str | None]] = {
    "amount_out_of_range": ("price", "999999999"),
    "bad_number": ("price", "n/a"),
    "bad_time": ("time", "31/12/23 8 am"),
    "missing_item": ("item", None),
    "missing_user": ("user", None),
    "quantity_out_of_range": ("quantity", "0"),
    "unknown_event_type": ("kind", "hover"),
    "unknown_item": ("item", "withdrawn"),
}


def faults(shape: LogShape, day: int, rows: Rows) -> Ints:
    """Of each row the place of its fault in FAULTS, -1 for a clean one. An absurd price shows in a purchase alone."""
    drawn = _draw_of_row(shape.seed, day, rows.number, "dirty") * len(_MAY_BE_DIRTY) / 100 / DIRTY_SHARE
    is_dirty = (drawn < 1) & (rows.number % 100 >= _MAY_BE_DIRTY.start)
    fault = np.where(is_dirty, (drawn * len(FAULTS)).astype(np.int64), -1)
    is_unseen = (fault == list(FAULTS).index("amount_out_of_range")) & (rows.kind != PURCHASE)
    return np.where(is_unseen, -1, fault)


def _soiled(columns: Columns, fault: Ints) -> Columns:
    soiled = dict(columns)
    for place, (name, value) in enumerate(FAULTS.values()):
        soiled[name] = pc.if_else(pa.array(fault == place), pa.scalar(value, pa.string()), soiled[name])
    return soiled


def event_table(shape: LogShape, file_day: int) -> tuple[pa.Table, FileTruth]:
    """The lines of a file and what cleaning must make of them."""
    tables, all_faults, num_repeated = [], [], 0
    for rows, day in zip(rows_of_file(shape, file_day), _days_of_file(file_day), strict=True):
        fault = faults(shape, day, rows)
        is_repeated = (_draw_of_row(shape.seed, day, rows.number, "repeated") < REPEATED_SHARE) & (fault < 0)
        table = pa.table(_soiled(_columns(rows), fault))
        tables.append(table.take(pa.array(np.repeat(np.arange(len(fault)), 1 + is_repeated))))
        all_faults.append(fault)
        num_repeated += int(is_repeated.sum())
    of_fault = np.bincount(np.concatenate(all_faults) + 1, minlength=len(FAULTS) + 1)
    return pa.concat_tables(tables), FileTruth(
        file=f"events/{shape.day(file_day)}.csv",
        rows_kept=int(of_fault[0]),
        rows_duplicate=num_repeated,
        reasons={name: int(count) for name, count in zip(FAULTS, of_fault[1:], strict=True) if count},
    )


def _days_of_file(file_day: int) -> range:
    return range(max(0, file_day - MAX_LATE_DAYS), file_day + 1)


def item_table(shape: LogShape, day: int) -> pa.Table:
    """The items that are new on a day; on the first, all that there are."""
    known = known_on(shape.items, shape, day)
    first = 0 if day == 0 else known - new_each_day(shape.items, shape)
    items = np.arange(first, known)
    number = pa.array(items)
    taste = pa.array(items % TASTES)
    return pa.table(
        {
            "item": _named("i", number),
            "name": _named("thing ", number, " of taste ", taste),
            "category": _named("c", taste, "-", pa.array(items // TASTES % 5)),
            "brand": _named("brand ", pa.array(items % 31)),
        }
    )


def write_day(shape: LogShape, folder: Path, day: int) -> FileTruth:
    """Both files of a day: events/<day>.csv and items/<day>.csv."""
    events, truth = event_table(shape, day)
    options = csv.WriteOptions(quoting_style="needed")
    for name, table in (("events", events), ("items", item_table(shape, day))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        csv.write_csv(table, folder / name / f"{shape.day(day)}.csv", options)
    return truth


def write_log(
    shape: LogShape, folder: Path, *, processes: int = 2, progress: Callable[[str], Any] = lambda _: None
) -> list[FileTruth]:
    """All days; `progress` is told every tenth of them."""
    with ProcessPoolExecutor(processes) as pool:
        truths = []
        for day, truth in enumerate(pool.map(partial(write_day, shape, folder), range(shape.days)), start=1):
            truths.append(truth)
            if day % max(1, shape.days // 10) == 0:
                progress(f"{day} of {shape.days} days\n")
    return truths


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args(given)
    shape = LogShape(events=arguments.events, days=arguments.days, seed=arguments.seed)
    truths = write_log(shape, arguments.output, progress=sys.stderr.write)
    sys.stderr.write(f"{sum(truth.rows_kept for truth in truths):,} good events in {len(truths)} files\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
