"""What the lists of a run may have missed: later purchases that no model can name, and items of the exact lists, on
some of the users."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from jobs._models import Model, names_of
from jobs._recommend import Asking, all_items_lists, asking
from jobs._window import candidates_text, ranked_candidates, recall_of_candidates, test_window
from recsys import columns as c
from recsys import tables
from recsys.evaluation.lists import REPEATS_ALLOWED
from recsys.evaluation.ranking import DECIMALS, share_found
from recsys.frames.caches import held
from recsys.lake.runs import newest_figures
from recsys.scoring.two_stage import NUM_EXACT, NUM_EXACT_NAMED
from recsys.search_by import EXACT, EXACTLY
from recsys.stages import Run

logger = logging.getLogger(__name__)

_SEARCHED_USERS = 1000
_RANKED_USERS = 100
# Of users and all eligible items: a second or two of a core.
_MOST_PAIRS = 2_000_000


def later_recall(run: Run, models: Sequence[Model]) -> float | None:
    """Share of later purchases that one of the models can name: of the last evaluation where it had these models and
    quotas, else measured now; None where nobody bought anything."""
    last = newest_figures(run.lake, "evaluate", run.day)
    text = candidates_text(run, models)
    if last is not None and (last["candidates"], last.get("models")) == (text, names_of(models)):
        return float(last["candidate_recall"])
    window = test_window(run)
    named_by = [
        asking(run, model, window.as_of) if model.ranks_all_items else ranked_candidates(run, model, window)
        for model in models
    ]
    found = recall_of_candidates(run, window, named_by).where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).first()
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


def sampled_users(run: Run, users: DataFrame) -> list[str]:
    """Of whom all items are ranked: a hundred users, fewer where the catalogue is large, always the same ones while
    users stay the same."""
    count = num_sampled_users(run.lake.read(tables.ITEMS).where(c.IS_ELIGIBLE).count())
    return [row[c.USER_ID] for row in _sampled(users, count).select(c.USER_ID).collect()]


def exact_figures() -> tuple[Column, Column]:
    """To observe of lists of candidates."""
    exact, named = (F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in (NUM_EXACT, NUM_EXACT_NAMED))
    return exact, named


def exact_recall(counted: Observation) -> float | None:
    """Of the first score.top_n items of all eligible ones, as the network itself ranks them, those that are among the
    user's candidates; of sampled users with candidates. None where there is nothing to rank. `counted`:
    exact_figures."""
    exact, named = (int(counted.get[name]) for name in (NUM_EXACT, NUM_EXACT_NAMED))
    logger.info("candidates hold %d of %d items that are best among all eligible ones, of sampled users", named, exact)
    return round(named / exact, DECIMALS) if exact else None


def num_sampled_users(num_items: int) -> int:
    return min(max(_MOST_PAIRS // max(num_items, 1), 1), _RANKED_USERS)


def _sampled(users: DataFrame, count: int) -> DataFrame:
    return users.orderBy(F.xxhash64(c.USER_ID), c.USER_ID).limit(count)
