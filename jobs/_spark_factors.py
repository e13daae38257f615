"""Vectors that Spark fits in the train job: from who bought what, no process but Spark's own."""

from dataclasses import asdict

from jobs._learning import Finished, Learning, versions_text
from jobs._taken import READS, bought_before, require_taken
from recsys import columns as c
from recsys.examples.split import cutoffs_of
from recsys.lake.interaction_files import keep_checkpoints, write_factor_files
from recsys.models.interactions import Known
from recsys.models.registry import Spec
from recsys.spark_training.als import fit_als
from recsys.stages import Run
from recsys.training.recommenders import RANKER_RECORD, save_recommender
from recsys.training.vector_ranker import read_vectors


def _finish(run: Run, spec: Spec) -> Finished:
    pairs = bought_before(run, cutoffs_of(run.day, run.config.examples).validation).persist()
    rows = pairs.count()
    require_taken(run, is_any=rows > 0)
    keep_checkpoints(run.lake, run.day)
    factors = fit_als(pairs, seed=run.config.train.seed, **asdict(spec.config))
    user_files = write_factor_files(run.lake, run.day, c.USER_IDX, factors.users)
    item_files = write_factor_files(run.lake, run.day, c.ITEM_IDX, factors.items)
    pairs.unpersist()
    user_UD, known_U = read_vectors(user_files, c.USER_IDX)
    item_ID, known_I = read_vectors(item_files, c.ITEM_IDX)
    scores, known = spec.build((user_UD, item_ID)), Known(user_U=known_U, item_I=known_I)
    return Finished(
        figures={c.ROWS: rows, "epochs": 0, "delta_versions": versions_text(run.lake.versions(READS))},
        curve=[],
        save=lambda folder: save_recommender(folder, spec.name, scores, known),
        logged=RANKER_RECORD,
    )


LEARNING = Learning(reads=READS, finish=_finish)
