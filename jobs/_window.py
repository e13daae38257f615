"""The last label window: what was bought in it, candidates of its cut-off, ranked, and the share of the one among the
other."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame

from jobs._candidates import CutOff, lists_of_candidates, ranked_rows
from jobs._models import Model, factors_model, names_of
from jobs._recommend import Asking
from recsys import columns as c
from recsys import tables
from recsys.config import QUOTAS
from recsys.evaluation.lists import truth_of
from recsys.evaluation.ranking import candidate_recall
from recsys.examples.labels import purchases_in_windows
from recsys.examples.split import cutoffs_of
from recsys.frames.feature_tables import FeatureTables
from recsys.lake.read_features import read_features
from recsys.scoring.all_items import keep_known
from recsys.stages import Run


@dataclass(frozen=True, kw_only=True)
class LabelWindow:
    """Features of one cut-off, what was bought in the days after it, and user_id of those who bought."""

    as_of: date
    features: FeatureTables
    truth: DataFrame
    buyers: DataFrame

    @property
    def cutoff(self) -> CutOff:
        return CutOff(as_of=self.as_of, features=self.features, users=self.buyers)


def test_window(run: Run) -> LabelWindow:
    """The last label window before the run date: no model has seen it. Its truth is kept in memory."""
    window = label_window(run, cutoffs_of(run.day, run.config.examples).test)
    window.truth.persist()
    return window


def label_window(run: Run, day: date) -> LabelWindow:
    """From the day on."""
    settings, lake = run.config.examples, run.lake
    features, items, users = read_features(lake, [day]), lake.read(tables.ITEMS), lake.read(tables.USERS)
    purchases = purchases_in_windows(lake.read(tables.EVENTS), [day], settings.label_days)
    truth = truth_of(purchases, items, users, features.user_item)
    buyers = users.join(truth.select(c.USER_ID).distinct(), on=c.USER_ID, how="left_semi").select(c.USER_ID)
    return LabelWindow(as_of=day, features=features, truth=truth, buyers=buyers)


def ranked_candidates(run: Run, model: Model, window: LabelWindow) -> DataFrame:
    """All of them, a row each, with rank, score and what else ranked_rows has."""
    lists = lists_of_candidates(run, model, run.config.candidates.most, window.cutoff)
    return ranked_rows(lists)


def recall_of_candidates(run: Run, window: LabelWindow, named_by: Sequence[Asking | DataFrame]) -> DataFrame:
    """Per list_kind, the share of the truth that one of the models can name at all: candidates, or whatever a model
    that ranks all items knows."""
    named = [_nameable(run, window, one) for one in named_by]
    pairs = named[0] if len(named) == 1 else functools.reduce(DataFrame.unionByName, named).distinct()
    return candidate_recall(pairs, window.truth)


def _nameable(run: Run, window: LabelWindow, one: Asking | DataFrame) -> DataFrame:
    """user_id and item_id of candidates, or of those pairs of the truth that the model knows."""
    if isinstance(one, DataFrame):
        return one.select(c.USER_ID, c.ITEM_ID)
    pairs, items = window.truth.select(c.USER_ID, c.ITEM_ID).distinct(), run.lake.read(tables.ITEM_IDS)
    indexed = pairs.join(one.users, on=c.USER_ID, how="inner").join(items, on=c.ITEM_ID, how="inner")
    return keep_known(indexed, one.load).select(c.USER_ID, c.ITEM_ID)


def candidates_text(run: Run, models: Sequence[Model]) -> str:
    """What there is to choose from; of several models the quotas where one of them ranks candidates, and all items
    where one ranks these."""
    texts = ["all items" if model.ranks_all_items else _quotas_text(run) for model in models]
    return " and ".join(dict.fromkeys(texts))


def _quotas_text(run: Run) -> str:
    quotas, of_candidates = run.config.candidates, factors_model(run)
    told = {"new": f" of {quotas.new_item_days} days"}
    if of_candidates:
        told["factor"] = f" of {names_of([of_candidates])[0]}"
    of_each = {key.removesuffix("_items"): getattr(quotas, key) for key in QUOTAS}
    return ", ".join(f"{source} {quota}{told.get(source, '')}" for source, quota in of_each.items() if quota)
