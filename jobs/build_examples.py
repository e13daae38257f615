"""Labels candidates of the train and validation cut-offs, adds model inputs, writes examples.pairs and its files."""

import sys

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.app import main
from recsys.examples.assemble import Ids, assemble
from recsys.examples.labels import purchases_in_windows, with_label
from recsys.examples.negatives import keep_sampled
from recsys.examples.split import Cutoffs, cutoffs, with_example_key, with_split
from recsys.lake.example_files import write_example_files
from recsys.lake.read_features import FEATURE_TABLES, read_features
from recsys.scoring.candidates import candidates
from recsys.stages import Figures, Run, Stage

_READS = (tables.EVENTS, tables.ITEMS, tables.USERS, tables.USER_IDS, tables.ITEM_IDS, tables.CATEGORY_IDS)


def run(run: Run) -> Figures:
    settings = run.config.examples
    days = cutoffs(run.day, label_days=settings.label_days, train_windows=settings.train_windows)
    version = run.lake.overwrite(
        tables.EXAMPLES,
        _examples(run, days).withColumn(c.RUN_DATE, F.lit(run.day)),
        where=f"{c.RUN_DATE} = DATE'{run.day.isoformat()}'",
    )
    written = write_example_files(
        run.lake, run.day, version, row_groups=settings.row_groups, versions=run.lake.versions(STAGE.reads)
    )
    train, validation = written.manifest.train, written.manifest.validation
    return {
        c.ROWS: train.rows + validation.rows,
        "train_rows": train.rows,
        "train_positives": train.positives,
        "validation_rows": validation.rows,
        "validation_positives": validation.positives,
        "row_groups": len(train.row_groups),
        "cutoffs": ", ".join(day.isoformat() for day in (*days.train, days.validation)),
        "files": written.folder,
        "manifest": written.manifest.hash,
    }


def _examples(run: Run, days: Cutoffs) -> DataFrame:
    lake, settings = run.lake, run.config.examples
    as_of_dates = (*days.train, days.validation)
    features = read_features(lake, as_of_dates)
    items = lake.read(tables.ITEMS)
    ids = Ids(
        users=lake.read(tables.USER_IDS), items=lake.read(tables.ITEM_IDS), categories=lake.read(tables.CATEGORY_IDS)
    )
    pairs = candidates(features, items, lake.read(tables.USERS), run.config.candidates)
    purchases = purchases_in_windows(lake.read(tables.EVENTS), as_of_dates, settings.label_days)
    sampled = keep_sampled(with_label(pairs, purchases), settings.negatives_per_positive)
    return with_example_key(with_split(assemble(sampled, features, items, ids), days))


STAGE = Stage(
    name="build_examples",
    reads=(*_READS, *FEATURE_TABLES),
    writes=(tables.EXAMPLES,),
    settings=("examples", "candidates"),
    run=run,
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
