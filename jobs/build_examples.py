"""Labels candidates of the train and validation cut-offs, adds model inputs, writes examples.pairs and its files."""

import sys
from collections.abc import Sequence
from datetime import date
from functools import partial

from pyspark.sql import DataFrame

from jobs._candidate_sources import more_sources
from jobs._example_reports import write_leakage, write_splits
from jobs._models import require_factors_model
from jobs._negatives import sampled
from jobs._neighbours import beside_neighbours
from jobs._overwrite import overwrite_day
from jobs._ranked_users import ranking_rows
from jobs._taken import ids_of
from recsys import catalog, tables
from recsys import columns as c
from recsys.app import main
from recsys.catalog import Feature, numeric_inputs
from recsys.errors import ConfigError
from recsys.examples.assemble import assemble
from recsys.examples.labels import labels_in_windows, with_label
from recsys.examples.split import Cutoffs, cutoffs_of, with_example_key, with_split
from recsys.lake.at_once import at_once
from recsys.lake.example_files import Neighbours, write_example_files
from recsys.lake.read_features import FEATURE_TABLES, NEIGHBOUR_TABLES, candidate_tables, of_cutoffs, read_features
from recsys.lake.told import told_by
from recsys.scoring.candidates import candidates
from recsys.stages import Figures, Run, Stage

_READS = (
    tables.EVENTS, tables.ITEMS, tables.ITEM_HISTORY, tables.USERS, tables.USER_IDS, tables.ITEM_IDS,
    tables.CATEGORY_IDS,
)  # fmt: skip


def run(run: Run) -> Figures:
    settings = run.config.examples
    days = cutoffs_of(run.day, settings)
    taken = numeric_inputs(told_by(run.lake))
    version = overwrite_day(run, tables.EXAMPLES, _examples(run, days, taken))
    written = write_example_files(
        run.lake, run.day, version,
        row_groups=settings.row_groups, taken=taken, versions=run.lake.versions(STAGE.reads_of(run)),
        neighbours=_neighbours(run, (*days.train, days.validation)),
        ranking=ranking_rows(run, days.validation, taken),
    )  # fmt: skip
    train, validation = written.manifest.train, written.manifest.validation
    rows_of = {c.TRAIN: train.rows, c.VALIDATION: validation.rows}
    items = of_cutoffs(run.lake, tables.ITEM_FEATURES, (*days.train, days.validation))
    leakage = partial(write_leakage, run, _labels(run, days), items, version, rows_of)
    suspects, schemes = at_once(run.spark, [leakage, partial(write_splits, run, days)])
    return {
        c.ROWS: train.rows + validation.rows,
        "train_rows": train.rows,
        "train_positives": train.positives,
        "validation_rows": validation.rows,
        "validation_positives": validation.positives,
        "ranked_users": written.manifest.ranking.users,
        "ranking_rows": written.manifest.ranking.rows,
        "row_groups": len(train.row_groups),
        "cutoffs": ", ".join(day.isoformat() for day in (*days.train, days.validation)),
        "suspicious_inputs": ", ".join(suspects) or "none",
        "schemes": ", ".join(schemes) or "none",
        "files": written.folder,
        "manifest": written.manifest.hash,
    }


def check(run: Run) -> None:
    """Later jobs would refuse it too, but after all the work."""
    require_factors_model(run)
    workers, row_groups = run.config.train.workers, run.config.examples.row_groups
    if workers > row_groups:
        raise ConfigError(
            f"train.workers is {workers}, but examples.row_groups is {row_groups}, and each worker needs a row group. "
            f"Cure: --set examples.row_groups={workers} or more, or fewer train.workers"
        )


def _examples(run: Run, days: Cutoffs, taken: Sequence[Feature]) -> DataFrame:
    lake = run.lake
    as_of_dates = (*days.train, days.validation)
    features = read_features(lake, as_of_dates)
    items = lake.read(tables.ITEMS)
    more = more_sources(run, as_of_dates)
    pairs = candidates(features, items, lake.read(tables.USERS), run.config.candidates, more)
    labels = _labels(run, days)
    chosen = sampled(run, with_label(pairs, labels), labels, features)
    history = lake.read(tables.ITEM_HISTORY)
    with_inputs = assemble(chosen, features, items, ids_of(lake), taken, item_history=history)
    return with_example_key(with_split(with_inputs, days))


def _neighbours(run: Run, as_of_dates: Sequence[date]) -> Neighbours | None:
    if not _are_neighbours_asked(run):
        return None
    size = run.config.features.sampled_neighbours
    return Neighbours(size=size, beside=partial(beside_neighbours, run, as_of_dates=as_of_dates, size=size))


def _are_neighbours_asked(run: Run) -> bool:
    grains = {catalog.USER_NEIGHBOURS.name, catalog.ITEM_NEIGHBOURS.name}
    return grains <= set(run.config.features.grains)


def _labels(run: Run, days: Cutoffs) -> DataFrame:
    settings = run.config.examples
    as_of_dates = (*days.train, days.validation)
    return labels_in_windows(run.lake.read(tables.EVENTS), as_of_dates, settings.label_days, settings.labels)


STAGE = Stage(
    name="build_examples",
    reads=lambda run: (
        *_READS,
        *FEATURE_TABLES,
        *(NEIGHBOUR_TABLES if _are_neighbours_asked(run) else ()),
        *candidate_tables(run.lake, run.config.candidates),
    ),
    writes=(tables.EXAMPLES, tables.NEGATIVES, tables.PARTED_EVENTS, tables.SPLITS, tables.LEAKAGE),
    settings=("examples", "candidates"),
    run=run,
    check=check,
    inputs=lambda run: [f"neighbours {run.config.features.sampled_neighbours}"] if _are_neighbours_asked(run) else [],
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
