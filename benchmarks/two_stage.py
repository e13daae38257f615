"""Candidates and network: user-item pairs a second from feature tables to the lists in a Delta table, beside the bare
network on as many pairs, whose tensors lie in memory, in as many processes.

Usage: python -m benchmarks.two_stage [--users N] [--model NAME] [--quick]

Seconds are those of the second of two runs in one session, without the start of Spark and of its Python processes; all
of a run counts, reading the tables and writing the items' inputs for the executors included.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from deltalake import write_deltalake
from numpy.typing import NDArray
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from benchmarks.planted_examples import VOCABULARY, planted_columns, planted_inputs
from benchmarks.report import emit
from jobs._candidates import lists_of_candidates, of_run_date, ranked_rows
from jobs._models import Model
from recsys import columns as c
from recsys import tables, tracking
from recsys.catalog import NEIGHBOUR_IDS, NEIGHBOUR_WEIGHTS, NUMERIC_INPUTS
from recsys.config import CONF_FOLDER, load_config
from recsys.frames.local_rows import fields_of
from recsys.lake.session import build_session
from recsys.lake.store import Lake
from recsys.models.registry import model_settings, model_spec
from recsys.stages import Run
from recsys.tables import Table
from recsys.tracking import TrainingRecord
from recsys.training.export import SCORE_BATCH_ROWS, load_network, save_model, state_bytes

SEED = 7
THREADS = 2
DAY = date(2024, 5, 8)
STORES = 100
OWN_ITEMS, OWN_CATEGORIES, STORE_ITEMS = 100, 20, 2_000
# Of models that read neighbourhoods: items a user, users an item, as features.sampled_neighbours of conf/base.yaml.
NEIGHBOURS = 10

Columns = dict[str, Any]


def write_tables(lake: Lake, users: int) -> None:
    generator = np.random.default_rng(SEED)
    items, categories = VOCABULARY[c.ITEM_IDX], VOCABULARY[c.CATEGORY_IDX]
    user_id, item_id = _texts("u", np.arange(users)), _texts("i", np.arange(items))
    category = _texts("c", np.arange(categories))
    category_of_item = category[generator.integers(0, categories, items)]
    owner = np.repeat(np.arange(users), OWN_ITEMS)
    # A run of items from a random one: distinct, and quick to make.
    owned = (np.repeat(generator.integers(0, items, users), OWN_ITEMS) + _tiled(users, OWN_ITEMS)) % items
    liker = np.repeat(np.arange(users), OWN_CATEGORIES)
    liked = (
        np.repeat(generator.integers(0, categories, users), OWN_CATEGORIES) + _tiled(users, OWN_CATEGORIES)
    ) % categories
    store = _texts("s", np.arange(STORES))
    promoted = (np.repeat(generator.integers(0, items, STORES), STORE_ITEMS) + _tiled(STORES, STORE_ITEMS)) % items
    weekday, hour = np.meshgrid(np.arange(1, 8), np.arange(24))
    places = {c.STORE_ID: np.repeat(store, weekday.size), c.LOCAL_WEEKDAY: np.tile(weekday.ravel(), STORES)}
    usual = {
        c.USER_MAIN_STORE_ID: store[generator.integers(0, STORES, users)],
        c.USER_USUAL_WEEKDAY: generator.integers(1, 8, users),
        c.USER_USUAL_HOUR: generator.integers(0, 24, users),
    }
    write(lake, tables.USERS, {c.USER_ID: user_id, c.IS_OPTED_OUT: np.zeros(users, np.bool_)})
    write(
        lake, tables.ITEMS, {c.ITEM_ID: item_id, c.CATEGORY: category_of_item, c.IS_ELIGIBLE: np.ones(items, np.bool_)}
    )
    write(lake, tables.USER_IDS, {c.USER_ID: user_id, c.USER_IDX: np.arange(users)})
    write(lake, tables.ITEM_IDS, {c.ITEM_ID: item_id, c.ITEM_IDX: np.arange(items)})
    write(lake, tables.CATEGORY_IDS, {c.CATEGORY: category, c.CATEGORY_IDX: np.arange(categories)})
    write(lake, tables.EVENTS, {})
    features: dict[Table, Columns] = {
        tables.USER_FEATURES: {c.USER_ID: user_id, **usual},
        tables.ITEM_FEATURES: {c.ITEM_ID: item_id, c.ITEM_CATEGORY: category_of_item},
        tables.USER_ITEM_FEATURES: {c.USER_ID: user_id[owner], c.ITEM_ID: item_id[owned]},
        tables.USER_CATEGORY_FEATURES: {c.USER_ID: user_id[liker], c.CATEGORY: category[liked]},
        tables.CONTEXT_FEATURES: {**places, c.LOCAL_HOUR: np.tile(hour.ravel(), STORES)},
        tables.STORE_ITEM_FEATURES: {c.STORE_ID: np.repeat(store, STORE_ITEMS), c.ITEM_ID: item_id[promoted]},
    }
    for table, columns in features.items():
        write(lake, table, {**columns, **_numbers(table, columns, generator)})
    write_neighbourhoods(lake, user_id, item_id, generator)


def write_neighbourhoods(lake: Lake, user_id: NDArray[Any], item_id: NDArray[Any], generator: Any) -> None:
    def listed(values: NDArray[Any]) -> pa.Array:
        return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, NEIGHBOURS, dtype=np.int32), pa.array(values))

    sides = (
        (tables.USER_NEIGHBOURS_FEATURES, c.USER_ID, user_id, item_id),
        (tables.ITEM_NEIGHBOURS_FEATURES, c.ITEM_ID, item_id, user_id),
    )
    for table, key, ids, others in sides:
        size = len(ids) * NEIGHBOURS
        values = (others[generator.integers(0, len(others), size)], np.ones(size, np.bool_), np.ones(size))
        names = [name for name in table.column_names if name not in (c.AS_OF_DATE, key)]
        lists = {name: listed(value) for name, value in zip(names, values, strict=True)}
        write(lake, table, {key: ids, **lists})


def write(lake: Lake, table: Table, columns: Columns) -> None:
    """The other columns are null, but the day."""
    schema = to_arrow_schema(fields_of(table.schema))
    rows = len(next(iter(columns.values()), ()))
    given = {c.AS_OF_DATE: np.full(rows, np.datetime64(DAY)), **columns}
    arrays = [
        pa.array(given[field.name]).cast(field.type) if field.name in given else pa.nulls(rows, field.type)
        for field in schema
    ]
    whole = pa.Table.from_arrays(arrays, schema=schema)
    write_deltalake(lake.path(table), whole, mode="overwrite", partition_by=list(table.partition_by) or None)


def _numbers(table: Table, given: Columns, generator: np.random.Generator) -> Columns:
    rows = len(next(iter(given.values())))
    names = [f.name for f in NUMERIC_INPUTS if f.name in table.column_names and f.name not in given]
    return {name: np.floor(generator.gamma(1.0, 3.0, rows)) + 1 for name in names}


def _texts(prefix: str, numbers: NDArray[np.int64]) -> NDArray[Any]:
    return np.array([f"{prefix}{number:07d}" for number in numbers])


def _tiled(groups: int, length: int) -> NDArray[np.int64]:
    return np.tile(np.arange(length), groups)


def register(run: Run, name: str, folder: Path) -> Model:
    """With random weights."""
    torch.manual_seed(SEED)
    spec = model_spec(name, model_settings(CONF_FOLDER / "models" / f"{name}.yaml")[0])
    neighbours = NEIGHBOURS if spec.reads_neighbours else 0
    inputs = replace(planted_inputs(), neighbours=neighbours)
    save_model(folder, spec, inputs, state_bytes(spec.build(inputs)))
    registered = tracking.registered_name(name)
    record = TrainingRecord(name=registered, fingerprint=name, params={}, tags={}, curve=[], model_folder=folder)
    version = tracking.log_and_register(tracking.registry_of(run.config.tracking, run.lake.root), record).version
    return Model(name=registered, version=version, neighbours=neighbours)


@contextmanager
def planted_run(users: int, name: str) -> Iterator[tuple[Run, Model, Path]]:
    """On a lake of its own, with the registered model and the folder that it was exported to."""
    with tempfile.TemporaryDirectory() as folder:
        config = load_config([], [f"tracking.uri=sqlite:///{folder}/mlflow.db"])
        spark = build_session("recsys-benchmark", config.spark)
        lake, exported = Lake(spark, f"{folder}/lake"), Path(folder) / "exported"
        run = Run(spark=spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=DAY)
        write_tables(lake, users)
        yield run, register(run, name, exported), exported
        spark.stop()


def in_spark(run: Run, model: Model) -> float:
    """Seconds to the written lists."""
    started = time.perf_counter()
    run = replace(run)  # It looks the features up anew.
    rows = ranked_rows(lists_of_candidates(run, model, run.config.score.top_n, of_run_date(run)))
    rows.write.format("delta").mode("overwrite").save(f"{run.lake.root}/lists")
    return time.perf_counter() - started


def num_pairs(run: Run) -> int:
    rows = run.spark.read.format("delta").load(f"{run.lake.root}/lists").where(F.col(c.RANK) == 1)
    found = rows.agg(F.sum(c.NUM_ITEMS)).first()
    assert found is not None, "an aggregate without groups has one row"
    return int(found[0])


@torch.no_grad()
def bare_share(arguments: tuple[Path, int, int]) -> float:
    """Seconds of one process for its share of pairs, in batches of the same size; making them does not count."""
    folder, rows, seed = arguments
    torch.set_num_threads(1)
    network, inputs = load_network(folder)
    columns = {**planted_columns(rows, seed), **planted_neighbours(rows, inputs.neighbours, seed)}
    ids, numbers = (
        torch.from_numpy(np.column_stack([columns[name] for name in names]).astype(dtype))
        for names, dtype in zip(inputs.columns, (np.int64, np.float32), strict=True)
    )
    started = time.perf_counter()
    for first in range(0, rows, SCORE_BATCH_ROWS):
        batch = slice(first, first + SCORE_BATCH_ROWS)
        torch.sigmoid(network(ids[batch], numbers[batch]).double())
    return time.perf_counter() - started


def planted_neighbours(rows: int, size: int, seed: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(seed)
    kinds = (c.ITEM_IDX, c.CATEGORY_IDX, c.USER_IDX)
    ids = {
        name: generator.integers(0, VOCABULARY[kind], (rows, size))
        for name, kind in zip(NEIGHBOUR_IDS, kinds, strict=True)
    }
    return {**ids, **{name: np.ones((rows, size)) for name in NEIGHBOUR_WEIGHTS}}


def bare(folder: Path, pairs: int) -> float:
    """Of some of the pairs, which fit into memory: the rest takes as long."""
    rows = min(pairs, 2_000_000) // THREADS
    with ProcessPoolExecutor(THREADS) as pool:
        seconds = max(pool.map(bare_share, [(folder, rows, SEED + number) for number in range(THREADS)]))
    return seconds * pairs / (rows * THREADS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--quick", action="store_true", help="2,000 users")
    given = parser.parse_args()
    users = 2_000 if given.quick else given.users
    with planted_run(users, given.model) as (run, model, exported):
        in_spark(run, model)
        ours, pairs = in_spark(run, model), num_pairs(run)
        theirs = bare(exported, pairs)
    case = f"{users:,} users, {pairs:,} pairs, {given.model}, {THREADS} tasks"
    peer = "bare network on tensors in memory"
    emit("two_stage", case, pairs / ours, "pairs/s", peer=peer, peer_value=pairs / theirs, digits=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
