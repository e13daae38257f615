"""What the scenes of score_scenes share: what a scene is, and how it reads the lake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._taken import served_users
from recsys import columns as c
from recsys import tables
from recsys.config import Config
from recsys.evaluation.scenes import Trial
from recsys.examples.split import cutoffs_of
from recsys.features.purchases import basket_items
from recsys.frames.as_of import events_before
from recsys.stages import Run
from recsys.tables import Table


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`rows` makes its tables as of the run date, but for run_date, run_id and what rules say: lists so many times as
    long as list_length, for rules to choose from. `trial` tries it on the last label window, with what was known
    before it. `check` refuses a lake that cannot have the scene, before anything is made; `reads`: tables that not
    every lake has; `may_be_empty`: tables that a good day may leave without a list."""

    writes: tuple[Table, ...]
    rows: Callable[[Run, int], Mapping[Table, DataFrame]]
    trial: Callable[[Run], Trial]
    check: Callable[[Run], None] = lambda _: None
    reads: tuple[Table, ...] = ()
    may_be_empty: tuple[Table, ...] = ()


def list_length(config: Config, table: Table) -> int:
    lengths = {tables.COMPLEMENTS: config.scenes.complements, tables.SIMILAR_ITEMS: config.scenes.similar_items}
    return lengths.get(table, config.score.top_n)


def cut_off(run: Run) -> date:
    """The first day of the last label window."""
    return cutoffs_of(run.day, run.config.examples).test


def purchases_before(run: Run, day: date) -> DataFrame:
    """Of scenes.history_days, by users who have not opted out."""
    return events_before(_purchases(run), day, run.config.scenes.history_days)


def purchases_in_window(run: Run) -> DataFrame:
    """Of eligible items in the last label window, by users who have not opted out."""
    days, first = run.config.examples.label_days, cut_off(run)
    eligible = run.lake.read(tables.ITEMS).where(c.IS_ELIGIBLE)
    bought = events_before(_purchases(run), first + timedelta(days=days), days)
    return bought.join(eligible, on=c.ITEM_ID, how="left_semi")


def baskets_before(run: Run, day: date) -> DataFrame:
    """One row per user, basket, day and item."""
    return basket_items(purchases_before(run, day))


def served_events(run: Run) -> DataFrame:
    """Of users who have not opted out: who has is given no list, and nobody's list is learned from that user."""
    return run.lake.read(tables.EVENTS).join(served(run), on=c.USER_ID, how="left_semi")


def served(run: Run) -> DataFrame:
    return served_users(run).select(c.USER_ID)


def _purchases(run: Run) -> DataFrame:
    return served_events(run).where(F.col(c.EVENT_TYPE) == c.PURCHASE)
