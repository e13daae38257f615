"""The accuracy of one model on a split by path, all items ranked but those the user took in training.

Usage: python -m benchmarks.accuracy --model NAME (--train T.parquet --test X.parquet | --sequences S.parquet)
[--validation V.parquet] [--seeds 7,8,9] [--set model.key=value] [--set train.key=value] [--no-test] [--k 10]
[--quick]

Train and test hold user_id and item_id: Recall@20 and NDCG@20. Sequences hold position too, and each user's last item
is the test: HR@10 and NDCG@10. Values are means over users, and over seeds where there are several. With --validation
the epoch with the best NDCG@20 there is kept; the test set never decides. A model of histories keeps the epoch with the
best NDCG@10 of each user's item before the last; --no-test prints the figures of that alone, to tune by.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.report import emit
from benchmarks.sequences import HistoryScores, sequence_recommender
from benchmarks.splits import Pairs, Split, leave_one_out, read_split
from benchmarks.training_processes import trained_by
from recsys import columns as c
from recsys.config import CONF_FOLDER, TrainConfig, load_config
from recsys.errors import ConfigError, UserError
from recsys.families import CLOSED_FORM, FACTORS, HISTORIES
from recsys.logs import configure_logging
from recsys.models.interactions import Recommender, interaction_matrix
from recsys.models.rank_all import metric_sums
from recsys.models.registry import Spec, model_settings, model_spec, names_of, require_known
from recsys.training.interactions import PairTask, train_on_pairs, work_on_pairs
from recsys.training.pair_files import write_pair_files

ROW_GROUPS = 16
QUICK_EPOCHS = 2


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Length of the lists, and metrics by the names of METRICS and of the protocol."""

    k: int
    metrics: Mapping[str, str]


SPLIT = Protocol(k=20, metrics={"recall": "recall", "ndcg": "ndcg"})
SEQUENCES = Protocol(k=10, metrics={"hit_rate": "hr", "ndcg": "ndcg"})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the command line and the model's file ask for."""

    spec: Spec
    config: TrainConfig
    seeds: tuple[int, ...]


def plan_of(name: str, overrides: Sequence[str], seeds: Sequence[int], *, is_quick: bool) -> Plan:
    """conf/base.yaml's train section, under that of conf/models/<name>.yaml, under --set train.key=value."""
    require_known(name, (CLOSED_FORM, FACTORS, HISTORIES))
    settings, train = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
    for override in overrides:
        path_of_key, _, text = override.partition("=")
        section, *keys = path_of_key.split(".")
        if section not in ("model", "train") or not keys or not text:
            raise ConfigError(f"--set takes model.key=value or train.key=value, got {override!r}")
        _put(settings if section == "model" else train, keys, yaml.safe_load(text))
    if is_quick:
        train["epochs"] = min(QUICK_EPOCHS, train.get("epochs", QUICK_EPOCHS))
    config = load_config([], [f"train.{key}={value}" for key, value in {"workers": 1, **train}.items()]).train
    return Plan(spec=model_spec(name, settings), config=config, seeds=tuple(seeds))


def _put(settings: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        settings = settings.setdefault(key, {})
    settings[keys[-1]] = value


def recommender_of(plan: Plan, split: Split, held_out: Pairs, seed: int) -> Recommender:
    if plan.spec.family == HISTORIES:
        return sequence_recommender(plan.spec, plan.config, split, seed)
    if plan.spec.family == CLOSED_FORM:
        torch.set_num_threads(plan.config.threads_per_worker)
        fitted: Recommender = plan.spec.build(interaction_matrix(*split.train, users=split.users, items=split.items))
        return fitted
    with tempfile.TemporaryDirectory() as folder:
        task = pair_task(plan, split, held_out, seed, Path(folder))
        scores = trained_by(train_on_pairs, work_on_pairs, task).scores
    assert scores is not None, "the leader returns the vectors"
    return scores


def pair_task(plan: Plan, split: Split, held_out: Pairs, seed: int, folder: Path) -> PairTask:
    return PairTask(
        spec=plan.spec,
        config=replace(plan.config, seed=seed),
        folder=str(folder),
        row_groups=write_pair_files(folder, *split.train, row_groups=ROW_GROUPS, seed=seed),
        users=split.users,
        items=split.items,
        held_out=write_pair_files(folder, *held_out, row_groups=1, seed=seed, split=c.VALIDATION),
    )


def measured(recommender: Recommender, split: Split, test: Pairs, protocol: Protocol) -> Mapping[str, float]:
    seen_UI = interaction_matrix(*split.train, users=split.users, items=split.items)
    truth_UI = interaction_matrix(*test, users=split.users, items=split.items)
    users = np.flatnonzero(np.diff(truth_UI.indptr))
    sums = metric_sums(recommender, seen_UI, truth_UI, users, k=protocol.k, metrics=list(protocol.metrics))
    names = (f"{name}@{protocol.k}" for name in protocol.metrics.values())
    return {name: float(value) / len(users) for name, value in zip(names, sums, strict=True)}


def run(plan: Plan, split: Split, data: str, protocol: Protocol, *, is_tested: bool = True) -> None:
    """`split.others`: the test set, and the validation set where there is one."""
    empty = np.empty(0, dtype=np.int64)
    test, held_out = (*split.others, (empty, empty))[:2]
    by_seed, fit_s, rank_s = [], [], []
    for seed in plan.seeds:
        started = time.perf_counter()
        recommender = recommender_of(plan, split, held_out, seed)
        fit_s.append(time.perf_counter() - started)
        by_seed.append(figures_of(recommender, split, test, protocol, is_tested=is_tested))
        rank_s.append(time.perf_counter() - started - fit_s[-1])
    for name in by_seed[0]:
        values = [figures[name] for figures in by_seed]
        report(f"{data}, {plan.spec.name}, {name}", values, "mean over users")
    report(f"{data}, {plan.spec.name}, fit", fit_s, "s")
    report(f"{data}, {plan.spec.name}, rank", rank_s, "s")


def figures_of(
    recommender: Recommender, split: Split, test: Pairs, protocol: Protocol, *, is_tested: bool
) -> dict[str, float]:
    """Of the test set, and before those of the validation where the recommender knows them."""
    validation = recommender.validation if isinstance(recommender, HistoryScores) else {}
    of_validation = {f"{name.replace('_', ' ', 1)}@{protocol.k}": value for name, value in validation.items()}
    return {**of_validation, **(measured(recommender, split, test, protocol) if is_tested else {})}


def report(case: str, values: Sequence[float], unit: str) -> None:
    """The mean, and from two seeds on the standard deviation."""
    emit("accuracy", case, float(np.mean(values)), unit, digits=5)
    if len(values) > 1:
        deviation = float(np.std(values, ddof=1))
        emit("accuracy", f"{case}, deviation over {len(values)} seeds", deviation, unit, digits=5)


def main() -> int:
    given = parser().parse_args()
    configure_logging()
    try:
        require_one_kind(given)
        plan = plan_of(given.model, given.overrides, [int(s) for s in given.seeds.split(",")], is_quick=given.quick)
        if given.sequences:
            split = leave_one_out(given.sequences)
            run(plan, split, name_of(given.sequences), protocol_of(given), is_tested=not given.no_test)
        else:
            others = [given.test, *([given.validation] if given.validation else [])]
            run(plan, read_split(given.train, others), name_of(given.train), protocol_of(given))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def protocol_of(given: argparse.Namespace) -> Protocol:
    if not given.sequences:
        return replace(SPLIT, k=given.k or SPLIT.k)
    if given.k:
        raise ConfigError(f"--k is for --train and --test; lists of sequences have {SEQUENCES.k} items")
    return SEQUENCES


def require_one_kind(given: argparse.Namespace) -> None:
    is_split = bool(given.train and given.test)
    if is_split == bool(given.sequences):
        raise ConfigError("give either --train and --test, or --sequences")
    if given.model in names_of(HISTORIES) and not given.sequences:
        raise ConfigError(f"{given.model} learns from the order of what a user took: give --sequences")
    if given.no_test and given.model not in names_of(HISTORIES):
        raise ConfigError(f"--no-test is for the models {names_of(HISTORIES)}; for {given.model} give --validation")


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--model", required=True, metavar="NAME", help="of recsys/models/registry.py, but none of features"
    )
    made.add_argument("--train", type=Path, metavar="T.parquet")
    made.add_argument("--test", type=Path, metavar="X.parquet")
    made.add_argument("--sequences", type=Path, metavar="S.parquet")
    made.add_argument("--validation", type=Path, metavar="V.parquet", help="decides which epoch is kept")
    made.add_argument("--seeds", default="7", metavar="7,8,9", help="of weights and the order of rows")
    made.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    made.add_argument("--no-test", action="store_true", help="of a model of histories: validation figures alone")
    made.add_argument("--k", type=int, help=f"length of the lists of --test; {SPLIT.k} where not said")
    made.add_argument("--quick", action="store_true", help=f"at most {QUICK_EPOCHS} epochs")
    return made


if __name__ == "__main__":
    sys.exit(main())
