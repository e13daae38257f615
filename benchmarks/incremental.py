"""The score job where 1 % of users bought something since the day before, beside the same job scoring all users.

Usage: python -m benchmarks.incremental [--users N] [--items N] [--quick]

Vectors are random, and each user has bought twenty items. Four runs of the job in one session, Spark's start left out:
all users on the first day; the changed users of the second and, which counts, of the third; all users of the third. So
both that count run code that is warm; the first two are told on standard error. A run is all of the job's work: asking,
ranking, reasons, checks, tables.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from benchmarks.report import emit
from benchmarks.two_stage import write
from jobs import score
from recsys import columns as c
from recsys import tables, tracking
from recsys.config import CONF_FOLDER, load_config
from recsys.families import FACTORS
from recsys.lake import runs
from recsys.lake.session import build_session
from recsys.lake.store import Lake
from recsys.models.factors import FactorScores
from recsys.models.interactions import Known
from recsys.stages import Figures, Run
from recsys.tracking import TrainingRecord
from recsys.training.recommenders import RANKER_RECORD, save_recommender

SEED = 7
DIM = 64
OWN_ITEMS = 20
CHANGED_SHARE = 0.01
DAY = date(2024, 5, 8)
DAYS = tuple(DAY + timedelta(days=number) for number in range(3))
TENTH = 0.1


def write_tables(lake: Lake, users: int, items: int) -> None:
    generator = np.random.default_rng(SEED)
    user_id, item_id = (
        np.array([f"{kind}{n:07d}" for n in range(size)]) for kind, size in (("u", users), ("i", items))
    )
    write(lake, tables.USERS, {c.USER_ID: user_id, c.IS_OPTED_OUT: np.zeros(users, np.bool_)})
    write(lake, tables.ITEMS, {c.ITEM_ID: item_id, c.NAME: item_id, c.IS_ELIGIBLE: np.ones(items, np.bool_)})
    write(lake, tables.USER_IDS, {c.USER_ID: user_id, c.USER_IDX: np.arange(users)})
    write(lake, tables.ITEM_IDS, {c.ITEM_ID: item_id, c.ITEM_IDX: np.arange(items)})
    for table in (tables.EVENTS, tables.CATEGORY_IDS, tables.CONTEXT_FEATURES, tables.STORE_ITEM_FEATURES):
        write(lake, table, {})
    write(lake, tables.USER_CATEGORY_FEATURES, {})
    write(lake, tables.USER_FEATURES, _of_days({c.USER_ID: user_id}))
    buyers = generator.integers(0, users, items)
    write(lake, tables.ITEM_FEATURES, _of_days({c.ITEM_ID: item_id, c.ITEM_BUYERS_28D: buyers}))
    write(lake, tables.USER_ITEM_FEATURES, _user_items(user_id, item_id, generator))


def _of_days(columns: dict[str, Any]) -> dict[str, Any]:
    """The same on each day."""
    rows = len(next(iter(columns.values())))
    of_days = {name: np.tile(values, len(DAYS)) for name, values in columns.items()}
    return {c.AS_OF_DATE: np.repeat(np.array(DAYS, dtype="datetime64[D]"), rows), **of_days}


def _user_items(user_id: Any, item_id: Any, generator: np.random.Generator) -> dict[str, Any]:
    """Those users who changed bought one of their items again on the day before."""
    users, rows = len(user_id), len(user_id) * OWN_ITEMS
    place = np.tile(np.arange(OWN_ITEMS), users)
    # A run of items from a random one: distinct, and quick to make.
    bought = (np.repeat(generator.integers(0, len(item_id), users), OWN_ITEMS) + place) % len(item_id)
    days, recency = [generator.integers(1, 5, rows)], [generator.integers(1, 300, rows).astype(np.int32)]
    for _ in DAYS[1:]:
        is_changed = np.zeros(users, np.bool_)
        is_changed[generator.choice(users, int(users * CHANGED_SHARE), replace=False)] = True
        is_again = np.repeat(is_changed, OWN_ITEMS) & (place == 0)
        days.append(days[-1] + is_again)
        recency.append(np.where(is_again, 1, recency[-1] + 1).astype(np.int32))
    return {
        **_of_days({c.USER_ID: np.repeat(user_id, OWN_ITEMS), c.ITEM_ID: item_id[bought]}),
        c.USER_ITEM_PURCHASES_365D: np.concatenate(days),
        c.USER_ITEM_RECENCY_DAYS: np.concatenate(recency),
    }


def register(run: Run, users: int, items: int, folder: Path) -> None:
    """Random vectors; recorded as the training and the evaluation of the first day."""
    generator = np.random.default_rng(SEED)
    user_UD, item_ID = (generator.normal(size=(rows, DIM)).astype(np.float32) for rows in (users, items))
    known = Known(user_U=np.ones(users, np.bool_), item_I=np.ones(items, np.bool_))
    save_recommender(folder, "mf", FactorScores(user_UD=user_UD, item_ID=item_ID), known)
    name = tracking.registered_name("mf")
    record = TrainingRecord(
        name=name,
        fingerprint="mf",
        params={},
        tags={},
        curve=[],
        model_folder=folder,
        **RANKER_RECORD,  # type: ignore[arg-type]  # loader and inputs
    )
    version = tracking.log_and_register(tracking.registry_of(run.config.tracking, run.lake.root), record).version
    trained = {c.MODEL_NAME: name, c.MODEL_VERSION: version, c.FAMILY: FACTORS}
    runs.record(run.lake, "train", DAY, "train", 1.0, {}, trained)
    recall = {"candidates": "all items", "models": [f"{name}/{version}"], "candidate_recall": 1.0}
    runs.record(run.lake, "evaluate", DAY, "evaluate", 1.0, {}, recall)


def timed(run: Run, name: str) -> tuple[float, Figures]:
    started = time.perf_counter()
    figures = score.STAGE.run(replace(run, run_id=name))
    seconds = time.perf_counter() - started
    sys.stderr.write(f"{name}: {seconds:.1f} s, {figures}\n")
    return seconds, figures


def lists_of(run: Run) -> Any:
    rows = run.lake.read(tables.TOP_N).where(F.col(c.RUN_DATE) == F.lit(run.day)).drop(c.RUN_ID)
    return rows.agg(F.count("*"), F.bit_xor(F.xxhash64(*rows.columns))).first()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="20,000 users and 5,000 items")
    given = parser.parse_args()
    users, items = (20_000, 5_000) if given.quick else (given.users, given.items)
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        config, of_all = load_config([], settings), load_config([], [*settings, "score.incremental=false"])
        spark = build_session("recsys-benchmark", config.spark)
        lake = Lake(spark, f"{folder}/lake")
        run = Run(spark=spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=DAY)
        write_tables(lake, users, items)
        register(run, users, items, Path(folder) / "exported")
        first, second, third = (replace(run, run_date=day) for day in DAYS)
        timed(first, "first day, all users")
        timed(second, "second day, changed users")
        changed_s, figures = timed(third, "third day, changed users")
        lists = lists_of(third)
        all_s, _ = timed(replace(third, config=of_all), "third day, all users")
        assert lists == lists_of(third), "the lists differ from those of all users"
        spark.stop()
    case = f"{users:,} users, {items:,} items, {figures['users_scored']:,} users scored"
    emit(
        "incremental",
        f"{case}, changed users",
        changed_s,
        "s",
        peer="all users",
        peer_value=all_s,
        is_higher_better=False,
    )
    emit(
        "incremental",
        f"{case}, share of the seconds of all",
        changed_s / all_s,
        "share",
        peer="wanted",
        peer_value=TENTH,
        is_higher_better=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
