"""Steps a second and peak memory of graph models as the graph grows: 1, 10 and 50 million generated edges.

Usage: python -m benchmarks.graph_scale [--edges 1000000,10000000,50000000] [--models graphsage,lightgcn] [--quick]

As many users and items at every size; edges are drawn by power laws from a seed, and those drawn twice count once in
the graph. graphsage trains on as many rows at every size, each with 10 drawn neighbours on both sides: they come in the
example files, so its memory must not grow with the edges, and the peer is that of the first size. lightgcn holds
the whole graph in every process: its memory may grow, and a size that by the growth between the two before it would not
fit the limit is not run: the last line says how many edges would fit. Memory is the peak of the training process and
its children (PSS), with two threads, without what makes the graph and its files. Steps are those of conf/models, batch
and all, without the first of lightgcn and the first epoch of graphsage, in which caches warm up.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from benchmarks.generated_graph import ITEMS, USERS, edges, graph_of, write_graph_examples
from benchmarks.processes import Measured, run_measured
from benchmarks.report import emit
from recsys.config import CONF_FOLDER, TrainConfig, load_config
from recsys.logs import configure_logging
from recsys.manifest import RowGroup, from_json, to_json
from recsys.models.interactions import interaction_matrix
from recsys.models.registry import Spec, model_settings, model_spec
from recsys.training.batches import all_pairs, shuffled_pairs
from recsys.training.interactions import PairTask, loss_sum_of
from recsys.training.loop import Fit, take_accumulated_step
from recsys.training.optimization import build_optimizer
from recsys.training.pair_files import write_pair_files
from recsys.training.run import TrainingTask, train_with
from recsys.training.workers import OneWorker

CHILD = "--child"
SEED = 7
THREADS = 2
SIZES = (1_000_000, 10_000_000, 50_000_000)
QUICK_SIZES = (200_000,)
ROWS, QUICK_ROWS = 400_000, 50_000
ROW_GROUPS = 16
EPOCHS = 2
STEPS = 6
LIMIT_GIB = 6.0
HOLD_THE_GRAPH = ("lightgcn",)


@dataclass(frozen=True, kw_only=True)
class Seen:
    edges: int
    steps_per_s: float
    peak_gib: float


def configured(model: str) -> tuple[Spec, TrainConfig]:
    settings, train = model_settings(CONF_FOLDER / "models" / f"{model}.yaml")
    given = {**train, "workers": 1, "threads_per_worker": THREADS, "epochs": EPOCHS}
    config = load_config([], [f"train.{key}={value}" for key, value in given.items()]).train
    return model_spec(model, settings), replace(config, seed=SEED)


def write_examples(folder: Path, size: int, rows: int) -> None:
    graph = graph_of(*edges(size, users=USERS, items=ITEMS, seed=SEED), users=USERS, items=ITEMS)
    neighbours = load_config([]).features.sampled_neighbours
    manifest = write_graph_examples(folder, graph, rows=rows, row_groups=ROW_GROUPS, neighbours=neighbours, seed=SEED)
    (folder / "manifest.json").write_text(to_json(manifest))


def write_pairs(folder: Path, size: int, rows: int) -> None:  # noqa: ARG001  # as write_examples; all edges are rows
    pairs = edges(size, users=USERS, items=ITEMS, seed=SEED)
    groups = write_pair_files(folder, *pairs, row_groups=ROW_GROUPS, seed=SEED)
    (folder / "groups.json").write_text(json.dumps([asdict(group) for group in groups]))


def graphsage_steps(folder: Path) -> tuple[float, float]:
    """How many, and the seconds of them, both of the last epoch."""
    spec, config = configured("graphsage")
    manifest = from_json((folder / "manifest.json").read_text(), str(folder))
    trained = train_with(TrainingTask(spec=spec, config=config, folder=str(folder), manifest=manifest), OneWorker())
    rows = manifest.train.rows
    return rows / config.batch_size, rows / trained.curve[-1].rows_per_s


def lightgcn_steps(folder: Path) -> tuple[float, float]:
    """A step goes over the whole graph, however few its pairs are."""
    torch.set_num_threads(THREADS)
    groups = tuple(RowGroup(**group) for group in json.loads((folder / "groups.json").read_text()))
    shared, config = _pair_fit(str(folder), groups), configured("lightgcn")[1]
    batches = shuffled_pairs(
        str(folder), groups, batch_size=config.batch_size, buffer_rows=config.shuffle_buffer_rows, seed=[SEED]
    )
    ended = []
    for number, batch in enumerate(islice(batches, STEPS)):
        take_accumulated_step(shared, [batch], len(batch), number)
        ended.append(time.perf_counter())
    batches.close()
    if len(ended) < 2:
        raise SystemExit(f"lightgcn needs two steps of {config.batch_size:,} edges to be timed. Cure: more --edges")
    return len(ended) - 1, ended[-1] - ended[0]


def _pair_fit(folder: str, groups: tuple[RowGroup, ...]) -> Fit:
    """As every worker of a training begins, see train_on_pairs."""
    spec, config = configured("lightgcn")
    task = PairTask(spec=spec, config=config, folder=folder, row_groups=groups, users=USERS, items=ITEMS)
    pairs = all_pairs(folder, groups)
    torch.manual_seed(SEED)
    network = spec.build(
        interaction_matrix(pairs.user_idx_B.numpy(), pairs.item_idx_B.numpy(), users=USERS, items=ITEMS)
    )
    return Fit(
        model=network, optimizer=build_optimizer(network.parameters(), config, workers=1), config=config,
        workers=OneWorker(), device=torch.device("cpu"), loss_sum=loss_sum_of(task),
    )  # fmt: skip


WRITERS: dict[str, Callable[[Path, int, int], None]] = {"graphsage": write_examples, "lightgcn": write_pairs}
STEPS_OF: dict[str, Callable[[Path], tuple[float, float]]] = {"graphsage": graphsage_steps, "lightgcn": lightgcn_steps}


def run_child(model: str, folder: Path) -> int:
    """In a process of its own; prints as a job does."""
    configure_logging()
    steps, seconds = STEPS_OF[model](folder)
    sys.stdout.write(json.dumps({"stages": [{"stage": model, "steps": steps, "seconds": seconds}]}) + "\n")
    return 0


def measured(model: str, size: int, rows: int) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        WRITERS[model](Path(folder), size, rows)
        found: Measured = run_measured(["-m", "benchmarks.graph_scale", CHILD, model, folder])
    return Seen(edges=size, steps_per_s=found.stages[0]["steps"] / found.stage_seconds, peak_gib=found.peak_gib)


def edges_within(limit_gib: float, seen: Sequence[Seen]) -> float | None:
    """By the growth between the last two sizes; None before there are two, infinite where memory does not grow."""
    if len(seen) < 2:
        return None
    before, last = seen[-2:]
    gib_per_edge = (last.peak_gib - before.peak_gib) / (last.edges - before.edges)
    return last.edges + (limit_gib - last.peak_gib) / gib_per_edge if gib_per_edge > 0 else float("inf")


def scale(model: str, sizes: Sequence[int], rows: int) -> None:
    seen: list[Seen] = []
    for size in sizes:
        most = edges_within(LIMIT_GIB, seen)
        if most is not None and size > most:
            sys.stderr.write(f"{model}: {size:,} edges would not fit {LIMIT_GIB:g} GiB, so they are not run\n")
            continue
        seen.append(measured(model, size, rows))
        report(model, seen)
    most = edges_within(LIMIT_GIB, seen)
    if model in HOLD_THE_GRAPH and most is not None:
        emit("graph_scale", f"{model}, edges within {LIMIT_GIB:g} GiB, estimated", most, "edges", digits=0)


def report(model: str, seen: Sequence[Seen]) -> None:
    last, first = seen[-1], seen[0]
    case = f"{model}, {last.edges:,} edges"
    if len(seen) == 1:
        emit("graph_scale", case, last.steps_per_s, "steps/s")
        emit("graph_scale", f"{case}, peak memory", last.peak_gib, "GiB")
        return
    peer = f"{first.edges:,} edges"
    emit("graph_scale", case, last.steps_per_s, "steps/s", peer=peer, peer_value=first.steps_per_s)
    emit("graph_scale", f"{case}, peak memory", last.peak_gib, "GiB", peer=peer, peer_value=first.peak_gib,
         is_higher_better=False)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == [CHILD]:
        return run_child(arguments[1], Path(arguments[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", default=",".join(map(str, SIZES)), metavar="1000000,10000000")
    parser.add_argument("--models", default=",".join(STEPS_OF), help="of them")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZES[0]:,} edges, {QUICK_ROWS:,} rows")
    given = parser.parse_args(arguments)
    sizes = QUICK_SIZES if given.quick else tuple(map(int, given.edges.split(",")))
    for model in given.models.split(","):
        scale(model, sizes, QUICK_ROWS if given.quick else ROWS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
