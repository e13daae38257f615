"""Models of interactions in the train job: who took what, from the lake into files, and from these trained."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.errors import InputError
from recsys.examples.labels import purchases_in_windows
from recsys.examples.split import cutoffs_of
from recsys.features.graph import HISTORY_DAYS
from recsys.frames.as_of import events_before
from recsys.lake.interaction_files import InteractionFiles, write_interaction_files
from recsys.lake.runs import origins
from recsys.models.interaction_registry import (
    ClosedFormSpec,
    InteractionSpec,
    interaction_settings,
    interaction_spec,
)
from recsys.stages import Figures, Run
from recsys.training.interactions import PairTask, PairTrained, train_pairs_on_spark

READS = (tables.EVENTS, tables.USERS, tables.USER_IDS, tables.ITEM_IDS)
KEY = [c.USER_IDX, c.ITEM_IDX]

Spec = ClosedFormSpec | InteractionSpec


def interactions_spec(file: Path) -> Spec:
    settings, _ = interaction_settings(file)
    return interaction_spec(file.stem, settings)


def interactions_inputs(run: Run, spec: Spec) -> tuple[str, ...]:
    """What the training depends on beside its settings in conf/base.yaml."""
    settings = json.dumps(asdict(spec.config), sort_keys=True)
    return (settings, json.dumps(origins(run.lake, READS, run.run_date), sort_keys=True))


def trained_on_interactions(run: Run, spec: Spec, *, slots: int) -> tuple[PairTask, PairTrained]:
    files = _files(run)
    if not files.train:
        raise InputError(
            f"no user bought anything in the {HISTORY_DAYS} days before the validation window of {run.day}. Cure: a "
            "run date with more events before it, or a shorter examples.label_days"
        )
    config = run.config.train
    task = PairTask(
        spec=spec,
        # A closed form is solved once, by one process.
        config=replace(config, workers=1) if isinstance(spec, ClosedFormSpec) else config,
        folder=files.folder,
        row_groups=files.train,
        users=_size(run.lake.read(tables.USER_IDS), c.USER_IDX),
        items=_size(run.lake.read(tables.ITEM_IDS), c.ITEM_IDX),
        held_out=files.validation,
    )
    return task, train_pairs_on_spark(task, slots=slots)


def interactions_figures(run: Run, task: PairTask, trained: PairTrained) -> Figures:
    rows = sum(group.rows for group in task.row_groups)
    versions = ", ".join(f"{name}={version}" for name, version in sorted(run.lake.versions(READS).items()))
    of_training: Figures = {}
    if trained.curve:
        best, seconds = trained.curve[trained.best_epoch - 1], sum(rows / epoch.rows_per_s for epoch in trained.curve)
        of_training = {
            "best_epoch": trained.best_epoch,
            "train_loss": trained.curve[-1].train_loss,
            "rows_per_s": round(len(trained.curve) * rows / seconds),
        }
        if task.held_out:
            of_training |= {"validation_recall_at_20": best.recall, "validation_ndcg_at_20": best.ndcg}
    return {
        c.ROWS: rows,
        "epochs": len(trained.curve),
        **of_training,
        "workers": task.config.workers,
        "delta_versions": versions,
    }


def interactions_curve(trained: PairTrained) -> list[dict[str, float]]:
    return [
        {
            "train/loss": epoch.train_loss,
            "train/rows_per_s": epoch.rows_per_s,
            "validation/recall_at_20": epoch.recall,
            "validation/ndcg_at_20": epoch.ndcg,
        }
        for epoch in trained.curve
    ]


def _files(run: Run) -> InteractionFiles:
    """Trained on what was bought before the validation window, validated on what was first bought in it."""
    settings, events = run.config.examples, run.lake.read(tables.EVENTS)
    days = cutoffs_of(run.day, settings)
    before = events_before(events.where(F.col(c.EVENT_TYPE) == c.PURCHASE), days.validation, HISTORY_DAYS)
    taken = _indexed(run, before).persist()
    later = _indexed(run, purchases_in_windows(events, [days.validation], settings.label_days))
    new = later.join(taken, on=KEY, how="left_anti")
    files = write_interaction_files(run.lake, run.day, taken, new, row_groups=settings.row_groups)
    taken.unpersist()
    return files


def _indexed(run: Run, purchases: DataFrame) -> DataFrame:
    """user_idx and item_idx, each pair once; nothing of users who opted out."""
    read = run.lake.read
    served = read(tables.USERS).where(~F.col(c.IS_OPTED_OUT)).select(c.USER_ID)
    return (
        purchases.select(c.USER_ID, c.ITEM_ID)
        .distinct()
        .join(served, on=c.USER_ID, how="left_semi")
        .join(read(tables.USER_IDS), on=c.USER_ID, how="inner")
        .join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner")
        .select(*KEY)
    )


def _size(ids: DataFrame, name: str) -> int:
    largest = ids.agg(F.max(name).alias("largest")).first()
    return 0 if largest is None or largest["largest"] is None else int(largest["largest"]) + 1
