from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.preparation import LENGTH, Lists, require_equal, their_lists

USERS = [f"u{number}" for number in range(200)]
OURS = Lists(test=dict.fromkeys(USERS, (9, "c")), items={user: ["a", "b"] for user in USERS}, times={})
THEIRS = replace(OURS, times={user: [1, 2] for user in USERS})


def test_the_order_of_events_of_one_instant_alone_may_differ() -> None:
    require_equal(OURS, THEIRS)
    swapped = replace(THEIRS, items={**THEIRS.items, "u7": ["b", "a"]})
    with pytest.raises(SystemExit, match=r"1 of 200 users differ, such as \['u7'\]; 0 are tied"):
        require_equal(OURS, swapped)
    require_equal(OURS, replace(swapped, times={**THEIRS.times, "u7": [2, 2]}))
    # The last of a sequence and the test event may change places, but not the instant.
    tied = replace(THEIRS, test={**THEIRS.test, "u7": (9, "b")}, times={**THEIRS.times, "u7": [1, 9]})
    require_equal(OURS, tied)
    with pytest.raises(SystemExit, match=r"1 of 200 users differ"):
        require_equal(OURS, replace(tied, test={**THEIRS.test, "u7": (8, "b")}))
    with pytest.raises(SystemExit, match=r"0 of 200 users differ.*200 are tied"):
        require_equal(OURS, replace(THEIRS, times={user: [2, 2] for user in USERS}))
    with pytest.raises(SystemExit, match=r"same users .*'ours': \(200, 200\), 'RePlay': \(200, 1\)"):
        require_equal(OURS, replace(THEIRS, items={"u0": ["a", "b"]}))


def test_of_long_sequences_the_newest_are_compared(tmp_path: Path) -> None:
    items = [f"i{number}" for number in range(60)]
    times = [datetime(1970, 1, 1) + timedelta(microseconds=number) for number in range(60)]
    sequences = {"user_id": ["short", "long"], "item_id": [items[:2], items], "timestamp": [times[:2], times]}
    events = {"user_id": ["long"], "item_id": ["last"], "timestamp": times[-1:]}
    for name, columns in (("sequences", sequences), ("test", events)):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table(columns), tmp_path / name / "0.parquet")
    found = their_lists(tmp_path)
    assert found.items == {"short": ["i0", "i1"], "long": items[-LENGTH:]}
    assert found.times == {"short": [0, 1], "long": list(range(60 - LENGTH - 1, 60))}
    assert found.test == {"long": (59, "last")}
