"""Models of histories in the train job: what users took before the validation window, in order, and what came next."""

from datetime import date, timedelta

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs._learning import (
    Finished,
    Learning,
    checkpoints_of,
    curve_of,
    figures_of,
    rows_of_tables,
    slots,
    versions_text,
)
from jobs._start import start_of
from jobs._taken import READS, indexed, taken_before, vocabulary_size
from recsys import columns as c
from recsys import tables
from recsys.errors import InputError
from recsys.examples.histories import number_of_targets, windows, with_next
from recsys.examples.split import cutoffs_of
from recsys.features.graph import HISTORY_DAYS
from recsys.frames.as_of import EVENT_ORDER, events_before
from recsys.lake.interaction_files import write_interaction_files
from recsys.models.registry import Spec
from recsys.scoring.all_items import Flags, item_flags
from recsys.stages import Run
from recsys.training.history_ranker import save_history_model
from recsys.training.sequences import SequenceTask, train_sequences_on_spark


def _finish(run: Run, spec: Spec) -> Finished:
    config, settings = run.config.train, run.config.examples
    task, known = _task(run, spec)
    trained = train_sequences_on_spark(task, slots=slots(run))
    rows = sum(group.rows for group in task.train)
    return Finished(
        figures={
            **figures_of(trained, config, rows),
            "targets": task.targets,
            c.HISTORY: spec.config.history,
            c.HISTORY_EVENTS: list(settings.history_events),
            "delta_versions": versions_text(run.lake.versions(READS)),
        },
        curve=curve_of(trained),
        save=lambda folder: save_history_model(folder, spec, trained.state, known),
        logged={
            "loader": "recsys.training.history_ranker",
            "inputs": {c.SEQUENCE: "array<long>", c.ITEM_IDX: "long"},
        },
    )


def _task(run: Run, spec: Spec) -> tuple[SequenceTask, Flags]:
    """And the items that the training sees."""
    settings, size = run.config.examples, spec.config.history + 1
    day = cutoffs_of(run.day, settings).validation
    taken = _in_order(run, taken_before(run, day, settings.history_events)).persist()
    rows = windows(taken, size, c.USER_IDX, most=settings.history_rows).persist()
    validation = with_next(taken, _bought_from(run, day), size, c.USER_IDX)
    files = write_interaction_files(run.lake, run.day, rows, validation, row_groups=settings.row_groups)
    items = vocabulary_size(run.lake.read(tables.ITEM_IDS), c.ITEM_IDX)
    start = start_of(run, spec, {c.ITEM_IDX: items})
    seen = item_flags(rows.select(F.explode(_items(c.SEQUENCE)).alias(c.ITEM_IDX)))
    targets = number_of_targets(rows)
    for frame in (taken, rows):
        frame.unpersist()
    if not targets:
        raise InputError(
            f"no user took two items in the {HISTORY_DAYS} days before the validation window of {run.day} (event types "
            f"{list(settings.history_events)}). Cure: a run date with more events before it, a shorter "
            "examples.label_days, or other examples.history_events"
        )
    task = SequenceTask(
        spec=spec,
        config=run.config.train,
        folder=files.folder,
        train=files.train,
        validation=files.validation,
        items=items,
        targets=targets,
        may_repeat=True,
        checkpoints=checkpoints_of(run, spec, rows_of_tables(run, READS)),
        start=start,
    )
    return task, np.pad(seen, (0, max(items - len(seen), 0)))[:items]


def _items(sequence: str) -> Column:
    """Their indexes in the vocabulary, without what fills the row up."""
    return F.transform(F.filter(sequence, lambda item: item > 0), lambda item: item - 1)


def _bought_from(run: Run, day: date) -> DataFrame:
    """In the label window that begins with the day."""
    bought = run.lake.read(tables.EVENTS).where(F.col(c.EVENT_TYPE) == c.PURCHASE)
    days = run.config.examples.label_days
    return _in_order(run, events_before(bought, day + timedelta(days=days), days))


def _in_order(run: Run, events: DataFrame) -> DataFrame:
    return indexed(run, events).select(c.USER_IDX, c.ITEM_IDX, *EVENT_ORDER)


LEARNING = Learning(reads=READS, finish=_finish)
