"""Exact top N of all items for every user, seen items left out, into a Delta table: users a second, beside peers.

Usage: python -m benchmarks.top_n [--cases als,search,large,exact] [--peer build/peers/implicit/bin/python] [--quick]

Vectors are random, and histories have a heavy tail: most users have seen a few items, some thousands. Seconds are those
of reading the users, ranking and writing, in the second of two runs in one session (the first is told on standard
error): without the start of Spark and of its Python processes. In `large`, a few users go first.

als: Spark's ALS.recommendForAllUsers on the same vectors, which leaves nothing out; its result is not even written.
search: the bare product search of faiss (IndexFlatIP) with as many threads, which leaves nothing out either, and with
--peer the top-k of `implicit`, which does; benchmarks/peers/README.md makes the environment of the peer.
large: growing numbers of users, their memory, and the bare product of the matrices.
exact: a thousand users against sorting all items by products in 64-bit numbers.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.recommendation import ALSModel
from pyspark.sql import DataFrame, SparkSession

from benchmarks.processes import Watch, run_measured
from benchmarks.report import emit
from recsys import columns as c
from recsys.config import load_config
from recsys.lake.session import build_session
from recsys.models.factors import FactorScores
from recsys.models.interactions import Known, Scores
from recsys.scoring.all_items import ASKED, LEFT_OUT, best_of_all
from recsys.training.recommenders import load_ranker, save_recommender

SEED = 7
DIM = 64
THREADS = 2
LIMIT_GIB = 6.0
PEER_SCRIPT = "benchmarks/peers/implicit_topk.py"
CASES = ("als", "search", "large", "exact")
# So many users of the bare product are timed, and the rest reckoned.
PRODUCT_USERS = 16_384
FILES = 16


@dataclass(frozen=True, kw_only=True)
class Size:
    users: int
    items: int
    k: int

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.items:,} items, top {self.k}, {DIM} dimensions"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    als: Size
    search: Size
    large: tuple[Size, ...]


FULL = Sizes(
    als=Size(users=100_000, items=50_000, k=10),
    search=Size(users=200_000, items=50_000, k=10),
    large=tuple(Size(users=users, items=100_000, k=50) for users in (10_000, 100_000, 1_000_000)),
)
WARM = Size(users=2_000, items=1_000, k=10)
QUICK = Sizes(
    als=Size(users=5_000, items=10_000, k=10),
    search=Size(users=20_000, items=20_000, k=10),
    large=tuple(Size(users=users, items=20_000, k=50) for users in (5_000, 20_000)),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Vectors, who has seen what, and where ours finds both."""

    size: Size
    user_UD: Scores
    item_ID: Scores
    seen_start_U: Any
    seen_item_P: Any
    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def users(self) -> Path:
        return self.folder / "users"


def case_of(size: Size, folder: Path) -> Case:
    generator = np.random.default_rng(SEED)
    user_UD, item_ID = (generator.normal(size=(rows, DIM)).astype(np.float32) for rows in (size.users, size.items))
    # Zipf: half the users have seen five items, one in a thousand over a thousand; the first half of all items.
    seen_U = np.minimum(4 + generator.zipf(1.9, size=size.users), size.items // 2)
    seen_U[0] = size.items // 2
    start_U = np.concatenate([[0], np.cumsum(seen_U)])
    # A user's seen items are a run from a random one: distinct, and quick to make.
    first_U = generator.integers(0, size.items, size=size.users)
    place_P = np.arange(start_U[-1]) - np.repeat(start_U[:-1], seen_U)
    item_P = ((np.repeat(first_U, seen_U) + place_P) % size.items).astype(np.int32)
    case = Case(
        size=size, user_UD=user_UD, item_ID=item_ID, seen_start_U=start_U, seen_item_P=item_P, folder=folder
    )  # fmt: skip
    save(case)
    return case


def save(case: Case) -> None:
    known = Known(user_U=np.ones(case.size.users, np.bool_), item_I=np.ones(case.size.items, np.bool_))
    save_recommender(case.model, "mf", FactorScores(user_UD=case.user_UD, item_ID=case.item_ID), known)
    case.users.mkdir(parents=True)
    for number, rows in enumerate(np.array_split(np.arange(case.size.users), FILES)):
        start_B = case.seen_start_U[rows[0] : rows[-1] + 2]
        seen = pa.ListArray.from_arrays(
            (start_B - start_B[0]).astype(np.int32), case.seen_item_P[start_B[0] : start_B[-1]]
        )
        columns = {c.USER_ID: rows.astype(str), ASKED: rows.astype(np.int32), LEFT_OUT: seen}
        pq.write_table(pa.table(columns), case.users / f"{number}.parquet")


def ours(spark: SparkSession, case: Case) -> DataFrame:
    load = partial(load_ranker, str(case.model))
    items = case.size.items
    return best_of_all(spark.read.parquet(str(case.users)), load, lambda: np.ones(items, np.bool_), case.size.k)


def write_ours(spark: SparkSession, case: Case) -> None:
    ours(spark, case).write.format("delta").mode("overwrite").save(str(case.folder / "top_n"))


def seconds_of(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def seconds_of_second(spark: SparkSession, case: Case) -> float:
    first, second = (seconds_of(lambda: write_ours(spark, case)) for _ in range(2))
    sys.stderr.write(f"{case.size}: {first:.1f} s in the first run, {second:.1f} s in the second\n")
    return second


def report(case: Case, seconds: float, peer: str, peer_seconds: float) -> None:
    users = case.size.users
    emit("top_n", str(case.size), users / seconds, "users/s", peer=peer, peer_value=users / peer_seconds, digits=0)


def beside_als(spark: SparkSession, size: Size, folder: Path) -> None:
    warm, case = case_of(WARM, folder / "warm"), case_of(size, folder)
    # Ours first: Spark ends Python processes that nobody needs for a minute.
    seconds = seconds_of_second(spark, case)
    by_als(spark, warm)
    report(case, seconds, "Spark's ALS.recommendForAllUsers", by_als(spark, case))


def by_als(spark: SparkSession, case: Case) -> float:
    model = als_model(spark, case)
    return seconds_of(lambda: model.recommendForAllUsers(case.size.k).write.format("noop").mode("overwrite").save())


def als_model(spark: SparkSession, case: Case) -> ALSModel:
    """Of these vectors: Spark has no public way to make one but to fit it."""
    factors = [factor_table(spark, rows, case.folder / name) for name, rows in vectors_of(case).items()]
    jvm: Any = spark.sparkContext._jvm
    made = jvm.org.apache.spark.ml.recommendation.ALSModel("als", DIM, *(frame._jdf for frame in factors))
    made.setUserCol("user").setItemCol("item").setPredictionCol("prediction")
    return ALSModel(made)


def vectors_of(case: Case) -> dict[str, Scores]:
    return {"user_factors": case.user_UD, "item_factors": case.item_ID}


def factor_table(spark: SparkSession, vectors: Scores, file: Path) -> DataFrame:
    flat = pa.array(vectors.ravel())
    lists = pa.ListArray.from_arrays(np.arange(0, len(flat) + 1, DIM, dtype=np.int32), flat)
    pq.write_table(pa.table({"id": np.arange(len(vectors), dtype=np.int32), "features": lists}), file)
    # As many blocks as ALS makes by itself: ten.
    return spark.read.parquet(str(file)).repartition(10).cache()


def beside_searches(spark: SparkSession, size: Size, folder: Path, peer: str | None) -> None:
    case = case_of(size, folder)
    write_s = seconds_of_second(spark, case)
    report(case, write_s, "bare faiss IndexFlatIP, nothing left out, not written", seconds_of(partial(by_faiss, case)))
    if peer is not None:
        report(case, write_s, "implicit's top-k, seen left out, not written", by_implicit(case, peer))


def by_faiss(case: Case) -> None:
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(DIM)
    index.add(case.item_ID)
    index.search(case.user_UD, case.size.k)


def by_implicit(case: Case, peer: str) -> float:
    """Seconds, without those of its start and of reading."""
    arrays = {
        "users": case.user_UD, "items": case.item_ID, "seen_start": case.seen_start_U, "seen_item": case.seen_item_P
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(case.folder / f"{name}.npy", values)
    return run_measured([PEER_SCRIPT, str(case.folder), str(case.size.k), str(THREADS)], python=peer).stage_seconds


def growing(spark: SparkSession, sizes: Sequence[Size], folder: Path) -> None:
    """Each size beside linear growth from the one before; the largest with its memory, and the bare product."""
    write_ours(spark, case_of(WARM, folder / "warm"))
    before: tuple[int, float] | None = None
    for number, size in enumerate(sizes):
        case = case_of(size, folder / str(number))
        watch = Watch(os.getpid())
        watch.start()
        seconds = seconds_of(lambda case=case: write_ours(spark, case))  # type: ignore[misc]  # bound for the loop
        watch.stop()
        report(case, seconds, "the bare product of the matrices", product_seconds(case))
        emit(
            "top_n",
            f"{size}, peak memory",
            watch.peak_gib,
            "GiB",
            peer="limit",
            peer_value=LIMIT_GIB,
            is_higher_better=False,
        )
        if before is not None:
            linear = before[1] * size.users / before[0]
            emit(
                "top_n", f"{size}, growth", seconds, "s",
                peer=f"linear from {before[0]:,} users", peer_value=linear, is_higher_better=False,
            )  # fmt: skip
        before = size.users, seconds


def product_seconds(case: Case) -> float:
    users, block = min(PRODUCT_USERS, case.size.users), 512
    started = time.perf_counter()
    for first in range(0, users, block):
        _ = case.user_UD[first : first + block] @ case.item_ID.T
    return (time.perf_counter() - started) * case.size.users / users


def exact(spark: SparkSession, size: Size, folder: Path) -> None:
    """Share of lists that equal, item by item, those of sorting all products in 64-bit numbers."""
    case = case_of(Size(users=1_000, items=size.items, k=size.k), folder)
    rows: Any = ours(spark, case).select(c.USER_ID, c.RANK, c.ITEM_IDX).toPandas()
    found = rows.sort_values([c.USER_ID, c.RANK]).groupby(c.USER_ID)[c.ITEM_IDX].apply(list)
    same = sum(found[str(user)] == sorted_items(case, user) for user in range(case.size.users))
    emit("top_n", f"{case.size}, exact lists", same / case.size.users, "share", peer="all", peer_value=1.0)


def sorted_items(case: Case, user: int) -> list[int]:
    score_I = case.item_ID.astype(np.float64) @ case.user_UD[user].astype(np.float64)
    score_I[case.seen_item_P[case.seen_start_U[user] : case.seen_start_U[user + 1]]] = -np.inf
    best = np.lexsort((np.arange(len(score_I)), -score_I))[: case.size.k]
    return [int(item) for item in best]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--peer", metavar="PYTHON", help="of the environment that has implicit")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    given = parser.parse_args()
    sizes = QUICK if given.quick else FULL
    cases: dict[str, Callable[[SparkSession, Path], None]] = {
        "als": lambda spark, folder: beside_als(spark, sizes.als, folder),
        "search": lambda spark, folder: beside_searches(spark, sizes.search, folder, given.peer),
        "large": lambda spark, folder: growing(spark, sizes.large, folder),
        "exact": lambda spark, folder: exact(spark, sizes.als, folder),
    }
    with tempfile.TemporaryDirectory() as folder:
        spark = build_session("recsys-benchmark", load_config([]).spark)
        for name in given.cases.split(","):
            cases[name](spark, Path(folder) / name)
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
