"""The whole chain on a small slice of the real log: unbroken, again, interrupted, twice at once."""

import signal
import subprocess
from pathlib import Path

from recsys import columns as c
from recsys import tables
from tests.e2e.conftest import STAGES, WRITTEN, Finished, command, frame, run


def test_every_user_gets_a_whole_list(finished_lake: tuple[Path, Finished]) -> None:
    lake, _ = finished_lake
    top_n, users = frame(lake, tables.TOP_N), frame(lake, tables.USERS)
    served = set(users[~users[c.IS_OPTED_OUT]][c.USER_ID])
    assert set(top_n[c.USER_ID]) == served
    assert (top_n.groupby(c.USER_ID)[c.RANK].agg(list).map(sorted).map(tuple) == tuple(range(1, 11))).all()


def test_the_keys_of_all_tables_are_unique(finished_lake: tuple[Path, Finished]) -> None:
    lake, _ = finished_lake
    for table in WRITTEN:
        keys = frame(lake, table)[list(table.key)]
        assert not keys.duplicated().any(), table.name


def test_the_counts_of_cleaning_reconcile(finished_lake: tuple[Path, Finished]) -> None:
    lake, _ = finished_lake
    quality = frame(lake, tables.QUALITY)
    parts = quality[c.ROWS_KEPT] + quality[c.ROWS_QUARANTINED] + quality[c.ROWS_DUPLICATE]
    assert (quality[c.ROWS_READ] == parts).all()
    assert quality[c.ROWS_QUARANTINED].sum() > 0


def test_the_summary_shows_what_was_made(finished_lake: tuple[Path, Finished]) -> None:
    _, done = finished_lake
    for text in ("== Stages ==", "simulated", "ndcg@10", "candidate set holds", "bought", "recs.top_n", "spark-sql"):
        assert text in done.out
    assert [stage["stage"] for stage in done.figures["stages"]] == list(STAGES)  # type: ignore[attr-defined]


def test_the_first_lists_were_checked_and_every_reason_names_what_the_user_did(
    finished_lake: tuple[Path, Finished],
) -> None:
    lake, _ = finished_lake
    checks = frame(lake, tables.PUBLISHING)
    assert checks[c.IS_PASSED].all()
    lists, events = frame(lake, tables.TOP_N), frame(lake, tables.EVENTS)
    done = set(zip(events[c.USER_ID], events[c.ITEM_ID], strict=True))
    told = [(user, one) for user, evidence in zip(lists[c.USER_ID], lists[c.EVIDENCE], strict=True) for one in evidence]
    assert {(user, one["id"]) for user, one in told if one["kind"] in ("bought", "viewed")} <= done
    assert {one["kind"] for _, one in told} >= {"bought", "category", "buyers"}
    assert (lists[c.REASON_EN].str.len() > 0).all()
    assert (lists[c.REASON_ZH].str.len() > 0).all()


def test_interrupted_it_says_so_and_leaves_no_lock(slice_folder: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    arguments = command("run_pipeline", lake, f"source.input={slice_folder}")
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "clean_logs for" in line)
        second = run(command("clean_logs", lake, f"source.input={slice_folder}"), tmp_path)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        code = process.wait()
    assert second.code == 2
    assert "another run is writing to this lake: run_pipeline" in second.err
    assert code == 1
    assert "was interrupted" in rest
    assert not (lake / "_writer.lock").exists()
