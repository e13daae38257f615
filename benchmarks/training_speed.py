"""Training of LightGCN and SASRec beside RecBole's: interactions a second, and seconds to equal accuracy.

Usage: python -m benchmarks.training_speed --peer build/peers/recbole/bin/python
[--train T.parquet --valid V.parquet] [--sequences S.parquet] [--workers 1] [--set SECTION.KEY=VALUE]
[--peer-set KEY=VALUE] [--every 1] [--budget 240] [--quick]

T and V, the two parts of a train set (benchmarks.splits cuts one), train LightGCN; S, with positions, trains SASRec on
each user's items but the last two. Both sides read the same interactions, have 64 numbers a user or item, two layers
and two threads (ours: one worker of two, or --workers 2 of one each), and run in a process of their own, one after the
other; ours with conf/models, RecBole with PEER_SETTINGS. Losses are each side's own: of LightGCN sampled softmax with
4,096 negatives beside one negative a pair (BPR), of SASRec softmax over 1,024 negatives beside all items.

Interactions are training targets: pairs, or items told from those before them; an epoch has as many on both sides, else
there is no figure. Seconds are those of training steps with all that feeds them; for the time to equal accuracy also
of what comes before the first step (the graph, first values of vectors), but not of reading files or ranking.
Equal accuracy is the highest NDCG on the tuning split (LightGCN: NDCG@20 on V, all items ranked but those of T; SASRec:
NDCG@10 of each user's last item but one, all items ranked but those before it) that both sides reach: the best epoch
of the worse side. Each side's time to it ends with its first epoch that reaches it. The same code of ours ranks by both
sides' vectors, after every epoch. RecBole begins no epoch after --budget seconds of training, so its best may not be
its last word; ours has the epochs of conf/models, of SASRec EPOCHS at most.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.accuracy import Plan, name_of, pair_task, plan_of
from benchmarks.processes import run_measured
from benchmarks.recbole import (
    Side,
    ndcg_of_pairs,
    ndcg_of_sequences,
    side_of,
    trained_by_recbole,
    write_pairs,
    write_sequences,
)
from benchmarks.report import emit
from benchmarks.sequences import task_of
from benchmarks.splits import Split, every_nth_user, leave_one_out, read_split
from benchmarks.training_processes import trained_by
from recsys.logs import configure_logging
from recsys.models.histories import histories_of
from recsys.models.interactions import interaction_matrix
from recsys.training.interactions import train_on_pairs, work_on_pairs
from recsys.training.objective import VALIDATION_NDCG
from recsys.training.sequences import train_on_sequences, work_on_sequences

OURS = "--ours"
SEED = 7
THREADS = 2
EPOCHS = 10
QUICK_EPOCHS = 3
BUDGET_S = 240.0
QUICK_BUDGET_S = 20.0
LISTS_OF = {"lightgcn": 20, "sasrec": 10}
PEER_NAMES = {"lightgcn": "LightGCN", "sasrec": "SASRec"}
# RecBole's own but for these: networks as large as those of conf/models; for LightGCN the batch and rate that came to
# equal accuracy soonest of the few that were tried (results.md); for SASRec more steps than its batches of 2,048 give.
PEER_SETTINGS: dict[str, dict[str, Any]] = {
    "lightgcn": {
        "epochs": 1000, "embedding_size": 64, "n_layers": 2, "train_batch_size": 24576, "learning_rate": 0.01,
    },
    "sasrec": {
        "epochs": 1000, "hidden_size": 64, "inner_size": 64, "n_layers": 2, "n_heads": 2, "MAX_ITEM_LIST_LENGTH": 50,
        "train_batch_size": 256, "learning_rate": 0.002,
    },
}  # fmt: skip


def plan_of_ours(model: str, overrides: Sequence[str], workers: int, *, is_quick: bool) -> Plan:
    if THREADS % workers:
        raise SystemExit(f"--workers must share {THREADS} threads alike, got {workers}")
    threads = [f"train.workers={workers}", f"train.threads_per_worker={THREADS // workers}"]
    plan = plan_of(model, [*threads, *overrides], [SEED], is_quick=False)
    most = QUICK_EPOCHS if is_quick else EPOCHS if model == "sasrec" else plan.config.epochs
    if plan.config.epochs <= most:
        return plan
    return plan_of(model, [*threads, *overrides, f"train.epochs={most}"], [SEED], is_quick=False)


def our_pairs(plan: Plan, split: Split, folder: Path) -> list[dict[str, Any]]:
    """A stage for the start, one for each epoch."""
    seen_UI = interaction_matrix(*split.train, users=split.users, items=split.items)
    start_s = _seconds(lambda: plan.spec.build(seen_UI))
    trained = trained_by(train_on_pairs, work_on_pairs, pair_task(plan, split, split.others[0], SEED, folder))
    rows = len(split.train[0])
    return _stages(
        start_s, [(rows / epoch.rows_per_s, rows, epoch.validation[VALIDATION_NDCG]) for epoch in trained.curve]
    )


def our_sequences(plan: Plan, split: Split, folder: Path) -> list[dict[str, Any]]:
    start_s = _seconds(lambda: plan.spec.build(split.items))
    task = task_of(plan.spec, plan.config, histories_of(*split.train, users=split.users), split.items, folder)
    rows = sum(group.rows for group in task.train)
    curve = trained_by(train_on_sequences, work_on_sequences, task).curve
    return _stages(
        start_s, [(rows / epoch.rows_per_s, task.targets, epoch.validation[VALIDATION_NDCG]) for epoch in curve]
    )


def _seconds(build: Callable[[], object]) -> float:
    """Built once more for its time alone: the training does it inside."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    started = time.perf_counter()
    build()
    return time.perf_counter() - started


def _stages(start_s: float, epochs: Sequence[tuple[float, int, float]]) -> list[dict[str, Any]]:
    return [
        {"stage": "start", "seconds": start_s},
        *(
            {"stage": f"epoch {number + 1}", "seconds": seconds, "interactions": interactions, "ndcg": ndcg}
            for number, (seconds, interactions, ndcg) in enumerate(epochs)
        ),
    ]


def run_ours(given: argparse.Namespace) -> int:
    """In a process of its own; prints as a job does."""
    configure_logging()
    model = "sasrec" if given.sequences else "lightgcn"
    plan = plan_of_ours(model, given.overrides, given.workers, is_quick=given.quick)
    train = our_sequences if given.sequences else our_pairs
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps({"stages": train(plan, read(given), Path(folder))}) + "\n")
    return 0


def read(given: argparse.Namespace) -> Split:
    split = leave_one_out(given.sequences) if given.sequences else read_split(given.train, [given.valid])
    return every_nth_user(split, given.every)


def compare(model: str, given: argparse.Namespace, data: Sequence[str]) -> None:
    """`data`: the arguments that name it, as both sides read it."""
    arguments = [f"--workers={given.workers}", *(f"--set={override}" for override in given.overrides)]
    quick = ["--quick"] if given.quick else []
    stages = run_measured(["-m", "benchmarks.training_speed", OURS, *data, *arguments, *quick]).stages
    ours = side_of(stages, [stage["ndcg"] for stage in stages[1:]])
    theirs = peer_side(model, parser().parse_args(data), given)
    require_alike(ours, theirs)
    tell("ours", ours)
    tell("RecBole", theirs)
    users = f" (one user in {given.every})" if given.every > 1 else ""
    name = name_of(given.sequences if model == "sasrec" else given.train) + users
    report(f"{name}, {model}, {THREADS} threads, --workers {given.workers}", LISTS_OF[model], ours, theirs)


def peer_side(model: str, data: argparse.Namespace, given: argparse.Namespace) -> Side:
    split = read(data)
    torch.set_num_threads(THREADS)
    config = {**PEER_SETTINGS[model], **peer_overrides(given.peer_overrides)}
    settings = {
        "users": split.users,
        "items": split.items,
        "threads": THREADS,
        "budget_s": QUICK_BUDGET_S if given.quick else given.budget,
        "config": config,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if model == "sasrec":
            write_sequences(folder, split)
            ranked = partial(ndcg_of_sequences, split=split, history=config["MAX_ITEM_LIST_LENGTH"])
        else:
            write_pairs(folder, split.train, split.others[0])
            ranked = partial(ndcg_of_pairs, split=split, k=LISTS_OF[model])
        return trained_by_recbole(PEER_NAMES[model], given.peer, folder, settings, ranked)


def peer_overrides(texts: Sequence[str]) -> dict[str, Any]:
    pairs = (text.partition("=") for text in texts)
    return {key: yaml.safe_load(value) for key, _, value in pairs}


def require_alike(ours: Side, theirs: Side) -> None:
    found = {epoch.interactions for epoch in (*ours.epochs, *theirs.epochs)}
    if len(found) != 1:
        raise SystemExit(f"an epoch of both sides must have the same interactions; found {sorted(found)}")


def tell(name: str, side: Side) -> None:
    """Both curves, for a reader of standard error."""
    epochs = ", ".join(f"{epoch.ndcg:.5f}" for epoch in side.epochs)
    seconds = sum(epoch.seconds for epoch in side.epochs) / len(side.epochs)
    sys.stderr.write(f"{name}: start {side.start_s:.2f} s, an epoch {seconds:.2f} s, NDCG by epoch {epochs}\n")


def report(case: str, k: int, ours: Side, theirs: Side) -> None:
    per_s = (ours.interactions_per_s, theirs.interactions_per_s)
    emit("training_speed", case, per_s[0], "interactions/s", peer="RecBole", peer_value=per_s[1], digits=1)
    target = min(ours.best, theirs.best)
    emit("training_speed", f"{case}, to ndcg@{k} {target:.5f}", ours.seconds_to(target), "s", peer="RecBole",
         peer_value=theirs.seconds_to(target), is_higher_better=False)  # fmt: skip
    epochs = f"{len(ours.epochs)} epochs beside {len(theirs.epochs)}"
    emit("training_speed", f"{case}, best ndcg@{k} of {epochs}", ours.best, "mean over users", peer="RecBole",
         peer_value=theirs.best, digits=5)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == [OURS]:
        return run_ours(parser().parse_args(arguments[1:]))
    given = parser().parse_args(arguments)
    if not given.peer or bool(given.train) != bool(given.valid) or not (given.train or given.sequences):
        raise SystemExit("give --peer, and --train with --valid, or --sequences, or all three")
    every = ["--every", str(given.every)]
    if given.train:
        compare("lightgcn", given, [*every, "--train", str(given.train), "--valid", str(given.valid)])
    if given.sequences:
        compare("sasrec", given, [*every, "--sequences", str(given.sequences)])
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--peer", metavar="PYTHON", help="of the environment that has recbole (peers/README.md)")
    made.add_argument("--train", type=Path, metavar="T.parquet")
    made.add_argument("--valid", type=Path, metavar="V.parquet")
    made.add_argument("--sequences", type=Path, metavar="S.parquet")
    made.add_argument("--every", type=int, default=1, metavar="N", help="one user in N, with all interactions")
    made.add_argument("--workers", type=int, default=1, help=f"of ours; they share {THREADS} threads")
    made.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    made.add_argument("--peer-set", action="append", default=[], metavar="KEY=VALUE", dest="peer_overrides")
    made.add_argument("--budget", type=float, default=BUDGET_S, metavar="SECONDS", help="of RecBole's training")
    made.add_argument("--quick", action="store_true", help=f"{QUICK_EPOCHS} epochs, {QUICK_BUDGET_S:.0f} s of RecBole")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
