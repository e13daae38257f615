"""All candidates of some users who bought something in the validation window, for the example files."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import functions as F

from jobs._candidate_sources import more_sources
from jobs._taken import ids_of
from recsys import columns as c
from recsys import tables
from recsys.catalog import Feature
from recsys.evaluation.lists import REPEATS_ALLOWED, truth_of
from recsys.examples.assemble import assemble
from recsys.examples.labels import purchases_in_windows
from recsys.examples.ranked_users import drawn_buyers, ranked_pairs, with_ranking_key
from recsys.frames.caches import settled
from recsys.lake.example_files import RankingRows
from recsys.lake.read_features import read_features
from recsys.scoring.candidates import candidates
from recsys.stages import Run


def ranking_rows(run: Run, day: date, taken: Sequence[Feature]) -> RankingRows | None:
    """Of the label window from the day on; what counts as bought is what evaluate counts. None where no user is
    asked for."""
    settings, lake = run.config.examples, run.lake
    if not settings.ranked_users:
        return None
    features, items, users = read_features(lake, [day]), lake.read(tables.ITEMS), lake.read(tables.USERS)
    purchases = purchases_in_windows(lake.read(tables.EVENTS), [day], settings.label_days)
    truth = truth_of(purchases, items, users, features.user_item)
    bought = truth.where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).select(c.USER_ID, c.ITEM_ID)
    buyers = settled(drawn_buyers(bought, settings.ranked_users))
    served = users.join(buyers, on=c.USER_ID, how="left_semi")
    named = candidates(features, items, served, run.config.candidates, more_sources(run, [day]))
    pairs = with_ranking_key(ranked_pairs(named, bought, buyers))
    history = lake.read(tables.ITEM_HISTORY)
    rows = assemble(pairs, features, items, ids_of(lake), taken, item_history=history)
    return RankingRows(rows=rows, users=buyers.count())
