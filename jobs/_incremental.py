"""Whom the score job scores: all users, or those alone whose list may be another one than the run before published.

What a list is made from is told in fingerprints (recs.scored_inputs). What all have in common: the model, the code,
settings, rules and items; a user's own: what the model is asked with, what the user bought, what must not be named, and
what the rules ask of users. Whom the model does not know is scored each time. The other lists are taken over: a run of
all users would make the same.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs._day_rules import facts
from jobs._models import Model
from jobs._publishing import newest_day, of_run
from jobs._recommend import Asking
from jobs._rules import Shaping
from recsys import columns as c
from recsys import tables
from recsys.families import CLOSED_FORM, FACTORS, HISTORIES, SPARK_FACTORS
from recsys.frames.feature_tables import FeatureTables
from recsys.frames.local_rows import local_rows
from recsys.lake.at_once import at_once
from recsys.scoring.all_items import ASKED, IS_KNOWN, item_flags, with_is_known
from recsys.scoring.changes import (
    changed_users,
    excluded_fingerprints,
    fingerprint_of_rows,
    list_facts,
    taken_fingerprints,
    user_fingerprints,
)
from recsys.scoring.item_facts import IS_IN_STOCK, PLACE
from recsys.scoring.rule_checks import user_contexts
from recsys.scoring.rules import IN_STOCK, PIN, PRICE_RANGE, Rule
from recsys.scoring.top_n import ALL
from recsys.stages import Run, code_hash

# They know users by what stands still from day to day; two towers make all vectors anew from the day's features.
_FAMILIES = (CLOSED_FORM, FACTORS, SPARK_FACTORS, HISTORIES)
# No list depends on these.
_OTHER_SETTINGS = ("incremental", "scenes", "batch_rows")


@dataclass(frozen=True, kw_only=True)
class State:
    """What all lists are made from, as fingerprints: of everything but popularity, and of that. `eligible`: a bit for
    each item index, the lowest first: the model knows the item and may name it."""

    common: str
    popularity: str
    eligible: bytes


@dataclass(frozen=True, kw_only=True)
class Published:
    """Rows of recs.top_n of one day's run, and those of recs.scored_inputs, without the state's."""

    day: date
    lists: DataFrame
    inputs: DataFrame


@dataclass(frozen=True, kw_only=True)
class Rescoring:
    """`users`: rows of clean.users that are scored; `kept`: of the others; None where all are scored, for the reason
    `why_all`. `replaced`: rows of recs.top_n beside the kept ones. `inputs`: user_id and fingerprint of all users,
    where these are to be recorded, with `state`. `held`: in memory."""

    users: DataFrame
    why_all: str | None = None
    kept: Published | None = None
    replaced: DataFrame | None = None
    num_scored: int | None = None
    inputs: DataFrame | None = None
    state: State | None = None
    held: tuple[DataFrame, ...] = ()


def rescoring(
    run: Run, models: Sequence[Model], shaping: Shaping, asked_of_each: Sequence[Asking | None], served: DataFrame
) -> Rescoring:
    if not run.config.score.incremental:
        return Rescoring(users=served, why_all="score.incremental is false")
    if len(models) > 1:
        return Rescoring(users=served, why_all="lists of several models are fused")
    (model,), (asked,) = models, asked_of_each
    if asked is None or model.family not in _FAMILIES:
        return Rescoring(users=served, why_all=f"models of {model.family} read features, which change every day")
    inputs = user_fingerprints(served, list(_parts(run, model, shaping, asked, served))).persist()
    steps: list[Callable[[], Any]] = [
        functools.partial(_state, run, model, shaping, asked), functools.partial(_last, run), inputs.count
    ]  # fmt: skip
    state, found, _ = at_once(run.spark, steps)
    why_all = found if isinstance(found, str) else _why_all(found[1], state)
    if why_all is not None:
        return Rescoring(users=served, why_all=why_all, inputs=inputs, state=state, held=(inputs,))
    last, last_state = found
    changed = _changed(run, last, last_state, state, inputs).persist()
    listed = last.lists.where(F.col(c.RANK) == 1).select(c.USER_ID)
    gone = listed.join(inputs.select(c.USER_ID), on=c.USER_ID, how="left_anti").persist()
    # Counted, so that Spark knows how few they are and does not shuffle all others to leave them out.
    num_scored, _ = at_once(run.spark, [changed.count, gone.count])
    others = gone.unionByName(changed)
    users = served.join(changed, on=c.USER_ID, how="left_semi").persist()
    return Rescoring(
        users=users,
        kept=_without(last, others),
        replaced=last.lists.join(others, on=c.USER_ID, how="left_semi"),
        num_scored=num_scored,
        inputs=inputs,
        state=state,
        held=(inputs, changed, gone, users),
    )


def record(run: Run, change: Rescoring, best: DataFrame | None) -> None:
    """Replaces the run date's and scene's rows of recs.scored_inputs; `best`: rows of the users that were scored."""
    if change.inputs is None or change.state is None:
        return
    parts = [] if change.kept is None else [change.kept.inputs]
    if best is not None:
        of_lists = list_facts(best, run.config.score.top_n)
        parts.append(change.inputs.join(of_lists, on=c.USER_ID, how="inner"))
    names = (c.USER_ID, c.FINGERPRINT, c.IS_BY_POPULARITY, c.KEPT_AWAY)
    users = parts[0].select(*names) if len(parts) == 1 else parts[0].select(*names).unionByName(parts[1].select(*names))
    rows = users.unionByName(_state_row(run, change.state), allowMissingColumns=True)
    constants = {c.RUN_DATE: F.lit(run.day), c.SCENE: F.lit(run.config.score.scene), c.RUN_ID: F.lit(run.run_id)}
    run.lake.overwrite(tables.SCORED_INPUTS, rows.withColumns(constants), where=of_run(run))


def _last(run: Run) -> tuple[Published, State] | str:
    """The newest lists of the scene, of the run date or a day before, and what they were made from; or why they tell
    nothing. Versions are pinned: the run replaces rows of both tables while it reads them."""
    day = newest_day(run, F.col(c.RUN_DATE) <= F.lit(run.day))
    if day is None or not run.lake.exists(tables.SCORED_INPUTS):
        return "what the last lists were made from is not recorded"
    is_last = (F.col(c.RUN_DATE) == F.lit(day)) & (F.col(c.SCENE) == run.config.score.scene)
    lists, inputs = (
        run.lake.read(table, run.lake.version(table)).where(is_last) for table in (tables.TOP_N, tables.SCORED_INPUTS)
    )
    published, state = lists.select(c.RUN_ID).first(), inputs.where(F.col(c.USER_ID).isNull()).first()
    if state is None or published is None or published[c.RUN_ID] != state[c.RUN_ID]:
        return "recs.scored_inputs is not of the run that published the last lists"
    last = Published(day=day, lists=lists, inputs=inputs.where(F.col(c.USER_ID).isNotNull()))
    eligible = bytes(state[c.ELIGIBLE_ITEMS])
    return last, State(common=state[c.FINGERPRINT], popularity=state[c.POPULARITY], eligible=eligible)


def _why_all(last: State, now: State) -> str | None:
    if last.common != now.common:
        return "the model, the code, settings, rules or items are others than in the last run"
    if _has_more(now.eligible, last.eligible):
        return "items may be recommended that could not in the last run"
    return None


def _has_more(first: bytes, second: bytes) -> bool:
    """Is a bit set that is not in the second?"""
    first_bits, second_bits = (int.from_bytes(bits, "little") for bits in (first, second))
    return bool(first_bits & ~second_bits)


def _changed(run: Run, last: Published, last_state: State, now: State, inputs: DataFrame) -> DataFrame:
    """user_id. An item that may be recommended no more touches the lists that named it: under rules and diversity,
    which look at more than the lists, `common` would be another one."""
    is_popularity_changed = last_state.popularity != now.popularity
    changed = changed_users(inputs, last.inputs, is_popularity_changed=is_popularity_changed)
    if not _has_more(last_state.eligible, now.eligible):
        return changed
    eligible = run.lake.read(tables.ITEMS).where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    named = last.lists.where(F.col(c.SOURCE) == ALL).join(eligible, on=c.ITEM_ID, how="left_anti")
    touched = inputs.join(named, on=c.USER_ID, how="left_semi").select(c.USER_ID)
    return changed.unionByName(touched).distinct()


def _without(last: Published, users: DataFrame) -> Published:
    lists, inputs = (rows.join(users, on=c.USER_ID, how="left_anti") for rows in (last.lists, last.inputs))
    return replace(last, lists=lists, inputs=inputs)


def _parts(run: Run, model: Model, shaping: Shaping, asked: Asking, served: DataFrame) -> Iterator[DataFrame]:
    """What a user's list is made from, a row a user at most."""
    features = run.features
    yield asked.users.select(c.USER_ID, ASKED)
    if model.family != HISTORIES:
        yield taken_fingerprints(features.user_item)
    if shaping.excluded is not None:
        yield excluded_fingerprints(shaping.excluded)
    if shaping.rules:
        of_users = served.select(c.USER_ID, c.ATTRIBUTES)
        yield user_contexts(of_users, features.user, shaping.rules, run.config.score.age_attribute)


def _state(run: Run, model: Model, shaping: Shaping, asked: Asking) -> State:
    named = _plain_items(run) if shaping.is_plain else _shaped_items(run, shaping, run.features)
    items = with_is_known(named, asked.load).persist()
    is_named = F.col(IS_KNOWN) | F.col(c.ITEM_ID).isin(_pinned(shaping.rules))
    told_apart = (IS_KNOWN, PLACE, c.ITEM_BUYERS_28D, *([c.IS_ELIGIBLE] if shaping.is_plain else []))
    of_items = _fingerprint(items.where(is_named).drop(*told_apart))
    flags = item_flags(items.where(F.col(IS_KNOWN) & F.col(c.IS_ELIGIBLE)))
    # Nothing is filled up where nothing shapes lists.
    popularity = "" if shaping.is_plain else _fingerprint(items.where(c.IS_ELIGIBLE).drop(IS_KNOWN))
    items.unpersist()
    settings = {name: value for name, value in asdict(run.config.score).items() if name not in _OTHER_SETTINGS}
    countries = [run.config.features.countries, run.config.features.stores_are_countries]
    common = [code_hash(), repr(model), settings, repr(shaping.rules), countries, of_items]
    digest = hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:32]
    return State(common=digest, popularity=popularity, eligible=np.packbits(flags, bitorder="little").tobytes())


def _plain_items(run: Run) -> DataFrame:
    """What lists without rules, exclusions and diversity say of an item, its name; eligible items are told apart."""
    read = run.lake.read
    named = read(tables.ITEMS).select(c.ITEM_ID, c.NAME, c.IS_ELIGIBLE)
    return read(tables.ITEM_IDS).join(named, on=c.ITEM_ID, how="left")


def _shaped_items(run: Run, shaping: Shaping, features: FeatureTables) -> DataFrame:
    """What rules and diversity read of an item, and by what it is filled up with."""
    kinds = {rule.kind for rule in shaping.rules}
    buyers = features.item.select(c.ITEM_ID, c.ITEM_BUYERS_28D)
    items = facts(run, features).withColumn(c.IS_ELIGIBLE, F.col(PLACE).isNotNull())
    unread = {c.ITEM_PRICE_CENTS_91D: PRICE_RANGE, IS_IN_STOCK: IN_STOCK}
    return items.drop(*(name for name, kind in unread.items() if kind not in kinds)).join(
        buyers, on=c.ITEM_ID, how="left"
    )


def _fingerprint(rows: DataFrame) -> str:
    found = rows.agg(fingerprint_of_rows(rows.columns).alias(c.FINGERPRINT)).first()
    assert found is not None, "an aggregate without groups has one row"
    return str(found[c.FINGERPRINT])


def _pinned(rules: tuple[Rule, ...]) -> list[str]:
    return [item for rule in rules if rule.kind == PIN for item in rule.item_ids]


def _state_row(run: Run, state: State) -> DataFrame:
    schema = f"{c.USER_ID} string, {c.FINGERPRINT} string, {c.POPULARITY} string, {c.ELIGIBLE_ITEMS} binary"
    return local_rows(run.spark, [(None, state.common, state.popularity, state.eligible)], schema)
