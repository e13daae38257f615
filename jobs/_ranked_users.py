"""All candidates of some users who bought something in the validation window, for the example files."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import functions as F

from jobs._candidate_sources import more_sources
from jobs._taken import ids_of
from jobs._window import label_window
from recsys import columns as c
from recsys import tables
from recsys.catalog import Feature
from recsys.evaluation.lists import REPEATS_ALLOWED
from recsys.examples.assemble import assemble
from recsys.examples.ranked_users import drawn_buyers, ranked_pairs, with_ranking_key
from recsys.frames.caches import settled
from recsys.lake.example_files import RankingRows
from recsys.scoring.candidates import candidates
from recsys.stages import Run


def ranking_rows(run: Run, day: date, taken: Sequence[Feature]) -> RankingRows | None:
    """Of the label window from the day on; what counts as bought is what evaluate counts. None where no user is
    asked for."""
    settings, lake = run.config.examples, run.lake
    if not settings.ranked_users:
        return None
    window, items = label_window(run, day), lake.read(tables.ITEMS)
    bought = window.truth.where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).select(c.USER_ID, c.ITEM_ID)
    buyers = settled(drawn_buyers(bought, settings.ranked_users))
    served = lake.read(tables.USERS).join(buyers, on=c.USER_ID, how="left_semi")
    named = candidates(window.features, items, served, run.config.candidates, more_sources(run, [day]))
    pairs = with_ranking_key(ranked_pairs(named, bought, buyers))
    history = lake.read(tables.ITEM_HISTORY)
    rows = assemble(pairs, window.features, items, ids_of(lake), taken, item_history=history)
    return RankingRows(rows=rows, users=buyers.count())
