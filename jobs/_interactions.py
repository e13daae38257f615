"""Models of interactions in the train job: who took what, from the lake into files, and from these trained."""

from dataclasses import replace

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
from jobs._taken import (
    PAIR,
    READS,
    bought_before,
    bought_with_days,
    ids_of,
    indexed,
    require_taken,
    taken_before,
    vocabulary_size,
)
from recsys import columns as c
from recsys import tables
from recsys.examples.labels import purchases_in_windows
from recsys.examples.split import cutoffs_of
from recsys.families import CLOSED_FORM
from recsys.features.nodes import item_nodes, user_nodes
from recsys.features.purchases import item_days
from recsys.lake.interaction_files import InteractionFiles, write_interaction_files, write_node_files
from recsys.manifest import RowGroup
from recsys.models.registry import Spec
from recsys.stages import Figures, Run
from recsys.tables import Table
from recsys.training.interactions import PairTask, PairTrained, train_pairs_on_spark
from recsys.training.recommenders import RANKER_RECORD, save_recommender

_NODE_READS = (tables.ITEMS, tables.CATEGORY_IDS)


def _finish(run: Run, spec: Spec) -> Finished:
    task = _task(run, spec)
    trained = train_pairs_on_spark(task, slots=slots(run))
    scores = trained.scores
    assert scores is not None, "the leader returns what it learned"
    return Finished(
        figures=_figures(run, task, trained),
        curve=curve_of(trained),
        save=lambda folder: save_recommender(folder, spec.name, scores, trained.known, trained.state),
        logged=RANKER_RECORD,
    )


def _task(run: Run, spec: Spec) -> PairTask:
    known = _known_ids(run, spec)
    start = start_of(run, spec, known)
    files = _files(run, spec)
    require_taken(run, is_any=bool(files.train))
    config = run.config.train
    user_nodes, item_nodes = _node_files(run) if spec.reads_nodes else ((), ())
    return PairTask(
        spec=spec,
        # A closed form is solved once, by one process.
        config=replace(config, workers=1) if spec.family == CLOSED_FORM else config,
        folder=files.folder,
        row_groups=files.train,
        users=known[c.USER_IDX],
        items=known[c.ITEM_IDX],
        held_out=files.validation,
        categories=known.get(c.CATEGORY_IDX, 0),
        user_nodes=user_nodes,
        item_nodes=item_nodes,
        checkpoints=checkpoints_of(run, spec, rows_of_tables(run, _reads(spec))),
        start=start,
    )


def _reads(spec: Spec) -> tuple[Table, ...]:
    return (*READS, *(_NODE_READS if spec.reads_nodes else ()))


def _known_ids(run: Run, spec: Spec) -> dict[str, int]:
    """Sizes of the vocabularies that the model has vectors for."""
    ids = {c.USER_IDX: tables.USER_IDS, c.ITEM_IDX: tables.ITEM_IDS}
    if spec.reads_nodes:
        ids |= {c.CATEGORY_IDX: tables.CATEGORY_IDS}
    return {name: vocabulary_size(run.lake.read(table), name) for name, table in ids.items()}


def _figures(run: Run, task: PairTask, trained: PairTrained) -> Figures:
    rows = sum(group.rows for group in task.row_groups)
    solved = {c.ROWS: rows, "epochs": 0, "workers": task.config.workers}
    return {
        **(figures_of(trained, task.config, rows) if trained.curve else solved),
        "delta_versions": versions_text(run.lake.versions(_reads(task.spec))),
    }


def _files(run: Run, spec: Spec) -> InteractionFiles:
    """Trained on what was bought before the validation window, validated on what was first bought in it."""
    settings, day = run.config.examples, cutoffs_of(run.day, run.config.examples).validation
    taken = (bought_with_days(run, day) if spec.weight else bought_before(run, day)).persist()
    bought = purchases_in_windows(run.lake.read(tables.EVENTS), [day], settings.label_days)
    new = indexed(run, bought).select(*PAIR).join(taken, on=list(PAIR), how="left_anti")
    files = write_interaction_files(run.lake, run.day, taken, new, row_groups=settings.row_groups)
    taken.unpersist()
    return files


def _node_files(run: Run) -> tuple[tuple[RowGroup, ...], tuple[RowGroup, ...]]:
    """Of users and of items, with what was known before the validation window; of each with an index."""
    settings, ids = run.config.examples, ids_of(run.lake)
    days = item_days(taken_before(run, cutoffs_of(run.day, settings).validation, [c.PURCHASE]))
    nodes = {
        c.USER_IDX: user_nodes(days).join(ids.users, on=c.USER_ID, how="inner").withColumn(c.CATEGORY_IDX, F.lit(-1)),
        c.ITEM_IDX: item_nodes(days, run.lake.read(tables.ITEMS), ids.categories).join(
            ids.items, on=c.ITEM_ID, how="inner"
        ),
    }
    users, items = (
        write_node_files(
            run.lake, run.day, f"{idx}_nodes", rows.select(F.col(idx).alias(c.IDX), c.NODE_NUMBERS, c.CATEGORY_IDX),
            row_groups=settings.row_groups,
        )
        for idx, rows in nodes.items()
    )  # fmt: skip
    return users, items


LEARNING = Learning(reads=READS, reads_of_nodes=_NODE_READS, finish=_finish)
