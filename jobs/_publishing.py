"""Lists are published once they are like the last ones: checked, written in one commit, recorded in ops.publishing."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs._overwrite import of_scene
from recsys import columns as c
from recsys import tables
from recsys.evaluation.baselines import popular_ranks
from recsys.frames.local_rows import local_rows
from recsys.lake.at_once import at_once
from recsys.lake.latest import name_latest
from recsys.scoring.publishing import Check, Compared, checks, compared, require_alike
from recsys.stages import Run


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Rows of recs.top_n of a run: those that are new, and those taken over from the lists of `kept_day`.

    `replaced`: the rows of that day that were not taken over.
    """

    new: DataFrame
    kept: DataFrame | None = None
    replaced: DataFrame | None = None
    kept_day: date | None = None

    @property
    def all(self) -> DataFrame:
        return self.new if self.kept is None else self.new.unionByName(self.kept)


@dataclass(frozen=True, kw_only=True)
class Size:
    rows: int
    users: int
    items: int


def publish(run: Run, lists: Lists, beside: Sequence[Callable[[], object]] = ()) -> Size:
    """Replaces the run date's and scene's rows of recs.top_n, or raises DataQualityError and leaves them.

    The checks are recorded either way: a failure is what people look for there. `beside`: what is written before,
    where they pass. Lists are seen once all else is written, by one commit.
    """
    last_day = newest_day(run, F.col(c.RUN_DATE) < F.lit(run.day))
    both = _compared(run, lists, last_day)
    num_eligible = run.lake.read(tables.ITEMS).where(c.IS_ELIGIBLE).count()
    found = checks(both, num_eligible, run.config.publishing)
    try:
        require_alike(found, run.config.score.scene, run.day, last_day)
    except Exception:
        _record(run, found, last_day)
        raise
    written: list[Callable[[], object]] = [*beside, functools.partial(_record, run, found, last_day)]
    at_once(run.spark, written)
    is_first = not run.lake.exists(tables.TOP_N)
    if not is_first:
        name_latest(run.lake, run.config.publishing.view)
    run.lake.overwrite(tables.TOP_N, lists.all, of_run(run))
    if is_first:
        # A view of a table that is not there is refused.
        name_latest(run.lake, run.config.publishing.view)
    return Size(rows=both.told["rows"], users=both.told["users"], items=both.told["items"])


def of_run(run: Run) -> str:
    return of_scene(run, run.config.score.scene)


def newest_day(run: Run, is_asked: Column) -> date | None:
    """The newest run date, of those asked for, that has lists of the scene."""
    if not run.lake.exists(tables.TOP_N):
        return None
    of_scene = run.lake.read(tables.TOP_N).where(F.col(c.SCENE) == run.config.score.scene)
    newest = of_scene.where(is_asked).agg(F.max(c.RUN_DATE).alias(c.RUN_DATE)).first()
    return None if newest is None else newest[c.RUN_DATE]


def _compared(run: Run, lists: Lists, last_day: date | None) -> Compared:
    ranks = popular_ranks(run.lake.read(tables.ITEMS), run.features.item, window_days=28)
    popular = ranks.toDF(c.ITEM_ID, c.RANK).where(F.col(c.RANK) <= run.config.publishing.popular_items)
    if last_day is None:
        return compared(lists.all, None, popular)
    if lists.kept_day == last_day:
        return compared(lists.new, lists.replaced, popular, lists.kept)
    is_last = (F.col(c.RUN_DATE) == F.lit(last_day)) & (F.col(c.SCENE) == run.config.score.scene)
    return compared(lists.all, run.lake.read(tables.TOP_N).where(is_last), popular)


def _record(run: Run, found: list[Check], last_day: date | None) -> None:
    rows = [
        (
            run.day, run.config.score.scene, check.name, check.value, check.last, check.low, check.high,
            check.is_passed, last_day, run.run_id,
        )
        for check in found
    ]  # fmt: skip
    frame = local_rows(run.spark, rows, tables.PUBLISHING.schema).coalesce(1)
    run.lake.overwrite(tables.PUBLISHING, frame, where=of_run(run))
