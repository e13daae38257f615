"""What the lists of a run may have missed: later purchases that no model can name, and items of the exact lists, on
some of the users."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._candidate_sources import sources_of
from jobs._models import Model, names_of
from jobs._recommend import (
    Asking,
    all_items_lists,
    scored,
    with_inputs,
)
from jobs._window import candidates_text, recall_of_candidates, test_window
from recsys import columns as c
from recsys import tables
from recsys.evaluation.lists import REPEATS_ALLOWED
from recsys.evaluation.ranking import share_found
from recsys.frames.caches import held
from recsys.lake.runs import newest_figures
from recsys.scoring.candidates import candidates
from recsys.scoring.top_n import top_n
from recsys.search_by import EXACT, EXACTLY
from recsys.stages import Run

logger = logging.getLogger(__name__)

_SEARCHED_USERS = 1000
_SCORED_USERS = 100
# Of users and all eligible items: some seconds of two cores, also of a daily run for few users.
_MOST_PAIRS = 500_000


def later_recall(run: Run, models: Sequence[Model]) -> float | None:
    """Share of later purchases that one of the models can name: of the last evaluation where it had these models and
    quotas, else measured now; None where nobody bought anything."""
    last = newest_figures(run.lake, "evaluate", run.day)
    text = candidates_text(run, models)
    if last is not None and (last["candidates"], last.get("models")) == (text, names_of(models)):
        return float(last["candidate_recall"])
    window = test_window(run)
    found = recall_of_candidates(run, models, window).where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).first()
    window.truth.unpersist()
    return None if found is None else float(found[c.VALUE])


def search_recall(run: Run, asked: Asking | None) -> float | None:
    """Of the first score.top_n items of each of a thousand users, always the same ones while users stay the same; none
    left out. None where the search is exact or finds nobody to look for."""
    if asked is None or asked.by.method == EXACT:
        return None
    sample = replace(asked, users=_sampled(asked.users, _SEARCHED_USERS))
    with held(sample.users):
        exact, found = (
            all_items_lists(run, one, run.config.score.top_n) for one in (replace(sample, by=EXACTLY), sample)
        )
        return share_found(exact, found)


def exact_recall(run: Run, model: Model, users: DataFrame) -> float | None:
    """Of the first score.top_n items of all eligible ones, as the network itself ranks them, those that are among the
    user's candidates; of a hundred users, fewer where the catalogue is large, always the same ones while users stay the
    same. None of a model that ranks all items, and where there is nothing to rank."""
    if model.ranks_all_items:
        return None
    items, n = run.lake.read(tables.ITEMS), run.config.score.top_n
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    num_items = eligible.count()
    num_users = num_scored_users(num_items)
    sample = _sampled(users, num_users)
    with held(sample):
        pairs = sample.select(c.USER_ID, F.lit(run.day).alias(c.AS_OF_DATE)).crossJoin(eligible)
        best = top_n(scored(run, model, with_inputs(run, model, pairs, run.features, run.day)), n)
        more = sources_of(run, run.day, run.features, sample)
        recall = share_found(best, candidates(run.features, items, sample, run.config.candidates, more))
    logger.info(
        "candidates hold %s of the best %d of all %d eligible items, of %d users or fewer%s", recall, n, num_items,
        num_users, f": no more than {_MOST_PAIRS} pairs are scored" if num_users < _SCORED_USERS else "",
    )  # fmt: skip
    return recall


def num_scored_users(num_items: int) -> int:
    return min(max(_MOST_PAIRS // max(num_items, 1), 1), _SCORED_USERS)


def _sampled(users: DataFrame, count: int) -> DataFrame:
    return users.orderBy(F.xxhash64(c.USER_ID), c.USER_ID).limit(count)
